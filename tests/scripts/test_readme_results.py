"""The README's table of Perceivers: it is what the pages' numbers say."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme_results

ROOT = Path(__file__).parents[2]


def test_the_readme_says_what_the_pages_say(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    assert readme_results.main(["--results", str(ROOT / "docs/results"), "--readme", str(readme)]) == 0
    assert readme.read_text(encoding="utf-8") == (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_page_that_is_named_is_there() -> None:
    for line in readme_results.table(ROOT / "docs/results").splitlines()[2:]:
        link = line.split("](")[1].split(")")[0]
        assert (ROOT / link).is_file()


def test_a_page_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="0 lines '<!-- perceivers:start -->'"):
        readme_results.main(["--results", str(ROOT / "docs/results"), "--readme", str(readme)])
    assert readme.read_text() == "no marks"
