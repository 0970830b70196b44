from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from anybyte.evaluate.audit import Findings, Row
from anybyte.evaluate.audit_report import Audit, Section, write_audit
from anybyte.privacy.attacks.guesses import KeyScore
from scripts.privacy_page import BEGIN, END, main
from tests.privacy.pictures import smooth_pictures


def test_the_page_holds_the_audit_s_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = Findings(
        [Row("headers", "files", 3, KeyScore(0.5, 0.25, 0.125, 3.0), None, 12.34, 0.5, 0.1)],
        [("original", smooth_pictures(8, 200))],
    )
    about = {"model": "/some/where/model", "attacked": "3 files of /some/where/data.zip", "format": "tiff"}
    write_audit(Audit(about, (Section("permutation", "A title", findings),)), tmp_path / "audits/1-first")
    page = tmp_path / "docs/page.md"
    page.parent.mkdir()
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    images = tmp_path / "docs/images"
    arguments = ["x", str(tmp_path / "audits"), "--page", str(page), "--images", str(images)]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "some/where" not in text
    assert "### A title: data.zip, tiff" in text
    assert "| headers | files | 3 | 50.0% | 25.0% | 12.5% | 3.00 | 12.3 | 0.500 | 0.1 |" in text
    assert "(images/1-first.png)" in text
    with Image.open(images / "1-first.png") as picture:
        assert picture.width <= 700
    main()
    assert page.read_text() == text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="once each"):
        main()
