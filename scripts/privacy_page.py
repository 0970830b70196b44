"""Writes the results in docs/privacy.md from audits: `scripts/privacy_page.py AUDITS`.

AUDITS is a folder of folders that `anybyte privacy audit --out` wrote, one a section, taken by name. Their tables go
between the two marks in the page, and their pictures, made small, to docs/pictures/privacy/.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
from pathlib import Path
from typing import Any

from PIL import Image

from anybyte.evaluate.audit import Row
from anybyte.evaluate.audit_report import tabulate
from anybyte.privacy.attacks.guesses import KeyScore
from anybyte.privacy.attacks.mask import PlacesScore

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
MOST_PIXELS = 700
"""Width of a picture in the page."""
COLOURS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audits", metavar="AUDITS", type=Path, help="folder of the audits' folders")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/privacy.md")
    parser.add_argument("--images", type=Path, default=ROOT / "docs/pictures/privacy")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.audits.glob("*/audit.json"))
    if not folders:
        parser.error(f"{options.audits} holds no folder with an audit.json")
    options.images.mkdir(parents=True, exist_ok=True)
    sections = [write_section(folder, options.images, options.page.parent) for folder in folders]
    write_between(options.page, "\n".join(sections))


def write_section(folder: Path, images: Path, base: Path) -> str:
    """The Markdown of one audit; its pictures are written, too."""
    audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    parts = []
    for section in audit["sections"]:
        parts += [f"### {title_of(audit['about'], section)}\n", f"{describe(audit['about'])}\n"]
        heads, rows = tabulate([read_row(row) for row in section["rows"]])
        lines = [heads, ("---",) * len(heads), *rows]
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
        parts += [f"Not done: {reason}.\n" for reason in section["left_out"]]
        picture = folder / f"{section['name']}.png"
        if picture.exists():
            target = images / f"{folder.name}.png"
            target.write_bytes(shrink(picture.read_bytes()))
            parts.append(f"![{section['title']}: what each attack gives back]({os.path.relpath(target, base)})\n")
    return "\n".join(parts)


def title_of(about: dict[str, str], section: dict[str, Any]) -> str:
    """The section's title, and the data by its last name."""
    data = about["attacked"].rsplit(" of ", 1)[-1]
    return f"{section['title']}: {Path(data).name}, {about['format']}"


def describe(about: dict[str, str]) -> str:
    """What was attacked and how good the model is, in a line without folders."""
    parts = [f"{name} {re.sub(r'[^ ,]*/', '', value)}" for name, value in about.items() if name != "format"]
    return "; ".join(parts) + "."


def read_row(row: dict[str, Any]) -> Row:
    """A row as it was before it was written as JSON."""
    key = row["key"] and KeyScore(**row["key"])
    mask = row["mask"] and PlacesScore(**row["mask"])
    return Row(**{**row, "key": key, "mask": mask})


def shrink(data: bytes) -> bytes:
    """The picture in few colours, and no wider than a page."""
    with Image.open(io.BytesIO(data)) as picture:
        small = picture.convert("RGB")
    if small.width > MOST_PIXELS:
        small = small.resize((MOST_PIXELS, round(small.height * MOST_PIXELS / small.width)), Image.Resampling.BOX)
    file = io.BytesIO()
    small.quantize(COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue()


def write_between(page: Path, text: str) -> None:
    """Replaces what stands between the marks.

    Raises:
        ValueError: the page lacks them.
    """
    old = page.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise ValueError(f"{page} must hold {BEGIN} and {END} once each")
    head, tail = old.split(BEGIN)[0], old.split(END)[1]
    page.write_text(f"{head}{BEGIN}\n\n{text}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
