"""The demo from start to end, in a setting so small that it learns nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import anybyte
from anybyte.cli import main
from anybyte.demo import run
from anybyte.demo.data import DemoSize
from anybyte.demo.run import DemoResult, demo_recipe, run_demo

SMALL = DemoSize(written=(40, 15, 15), speakers=(2, 1, 1))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo"), minutes=0.1, size=SMALL, say=lines.append)


class Page(HTMLParser):
    """Collects a page's headings and whatever it would fetch, and sees that its elements are closed in order."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.without_words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag in ("img", "audio", "meter") and not (values.get("alt") or values.get("aria-label")):
            self.without_words.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_it_leaves_files_a_model_and_a_report(result: DemoResult) -> None:
    assert result.report.is_file()
    assert (result.folder / "run/model/model.safetensors").is_file()
    assert len(list((result.folder / "data/test").glob("*/*"))) == 15 * 3 + 10
    predictor = anybyte.load(result.folder / "run")
    some = sorted((result.folder / "data/test").glob("*/*"))[:3]
    assert [answer.path for answer in predictor.classify(some)] == [str(path) for path in some]


def test_it_says_how_far_it_is(result: DemoResult, lines: list[str]) -> None:
    text = "\n".join(lines)
    for stage in result.seconds:
        assert f"{stage} ..." in text
    assert set(result.seconds) == {"write files", "train", "evaluate", "classify", "report"}


def test_accuracies_are_of_all_held_out_files(result: DemoResult) -> None:
    assert {name: scores.files for name, scores in result.by_format.items()} == {
        "tiff": 15, "png:0": 15, "ppm": 15, "wav:u8": 5, "wav:s16": 5,
    }  # fmt: skip
    right = sum(scores.top1 * scores.files for name, scores in result.by_format.items() if not name.startswith("wav"))
    assert result.written == pytest.approx(right / 45)
    record = json.loads((result.folder / "demo.json").read_text())
    assert record["accuracy"]["written"] == result.written
    assert record["accuracy"]["spoken"] == result.spoken


def test_the_report_has_every_section_and_needs_nothing_from_outside(result: DemoResult) -> None:
    page = Page(result.report.read_text())
    assert page.open == []
    assert page.headings == [
        "The files", "What the model reads", "Training", "How well it does on files it has not seen",
        "A few files, one by one", "Go on from here", "How this was made",
    ]  # fmt: skip
    assert len(page.addresses) > 20
    assert all(address.startswith("data:") for address in page.addresses)
    assert page.without_words == []
    text = result.report.read_text()
    assert not re.search(r"https?://|@import|<script", text)
    for example in result.examples:
        assert example.path.name in text


def test_a_second_demo_replaces_the_first(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/old").write_text("old")
    run._clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "holds files that are not from a demo" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_time_is_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "new"), "--minutes", "0"]) == 2
    assert "minutes must be positive, got 0" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_the_command_passes_its_options_on(
    result: DemoResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = {}

    def stand_in(folder: Path, seed: int, minutes: float, say: object) -> DemoResult:
        called.update(folder=folder, seed=seed, minutes=minutes)
        return result

    monkeypatch.setattr(run, "run_demo", stand_in)
    assert main(["demo", "--out", "here", "--seed", "3", "--minutes", "0.5"]) == 0
    assert called == {"folder": Path("here"), "seed": 3, "minutes": 0.5}
    assert str(result.report) in capsys.readouterr().out


def test_more_minutes_train_longer(tmp_path: Path) -> None:
    assert demo_recipe(tmp_path, epochs=3).run.epochs == 3
    assert demo_recipe(tmp_path).data.path == str(tmp_path / "data")
