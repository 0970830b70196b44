from __future__ import annotations

import dataclasses
import errno
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from anybyte.evaluate.report import to_json, to_markdown, to_png, write_report
from anybyte.evaluate.runner import Evaluation, evaluate

from .sources import Files, FirstByte


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    source = Files.of(("cat", "dog"), (0, b"\x00\x09"), (1, b"\x01\x08"), (1, b"\x00\x07"))
    return evaluate(FirstByte(3), source, ("cat", "dog", "owl"))


def test_three_files_and_nothing_else(evaluation: Evaluation, tmp_path: Path) -> None:
    for _ in range(2):
        write_report(evaluation, tmp_path / "deep/out", {"model": "m"})
    assert sorted(path.name for path in (tmp_path / "deep/out").iterdir()) == ["report.json", "report.md", "report.png"]


def test_json_holds_every_number(evaluation: Evaluation) -> None:
    values = json.loads(to_json(evaluation, {"model": "m"}))
    assert values["about"] == {"model": "m"}
    assert values["top1"] == pytest.approx(2 / 3)
    assert values["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert values["absent"] == ["owl"]
    assert values["mistakes"][0]["path"] == "2.bin"
    assert values["ece_bins"] == len(values["bins"]) == 15
    fields = {field.name for field in dataclasses.fields(evaluation)}
    assert fields <= set(values)


def test_markdown_names_mistakes_confusions_and_absent_classes(evaluation: Evaluation) -> None:
    text = to_markdown(evaluation, {"data": "animals/"})
    assert "| data | animals/ |" in text
    assert "| top-1 accuracy | 66.67% |" in text
    assert "| dog | 1.0000 | 0.5000 | 0.6667 | 2 |" in text
    assert "| dog | cat | 1 |" in text
    assert "| 2.bin | dog | cat | 0.7000 |" in text
    assert "No files in this data: owl." in text
    assert "left out" not in text


def test_markdown_takes_any_name(evaluation: Evaluation) -> None:
    mistake = dataclasses.replace(evaluation.mistakes[0], path="a|b\n<script>_*\udcff")
    text = to_markdown(dataclasses.replace(evaluation, mistakes=(mistake,), skipped=(("e", "is empty"),)))
    assert r"| a\|b\\n\<script\>\_\*\\udcff | dog |" in text
    assert "| e | is empty |" in text


@pytest.mark.parametrize("count", [2, 50])
def test_png_of_few_and_many_classes(count: int) -> None:
    labels = ("$\\frac$", "日本", *(f"class {number}" for number in range(count - 2)))
    source = Files.of(labels, *((number, bytes([number, 9])) for number in range(count)))
    evaluation = evaluate(FirstByte(count), source, labels)
    picture = to_png(evaluation)
    with Image.open(io.BytesIO(picture)) as image:
        assert min(image.size) > 300
    assert picture == to_png(evaluation)


def test_a_folder_that_cannot_be_written(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_report(evaluation, tmp_path / "file")


def test_a_full_disk_leaves_the_earlier_reports(
    evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(evaluation, tmp_path, {"model": "first"})
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_bytes = Path.write_bytes

    def write(path: Path, data: bytes) -> int:
        if "report.png" in path.name:
            write_bytes(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match=r"No space left on device.*report.png") as caught:
        write_report(evaluation, tmp_path, {"model": "second"})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "report.png"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
