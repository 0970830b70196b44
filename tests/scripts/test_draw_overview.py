"""The script that draws the picture of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "draw_overview.py"


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "pictures" / "overview.png"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), "--out", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"\x89PNG")
