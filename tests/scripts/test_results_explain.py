"""The script that measures explanations: it goes on where it stopped, and the page is what the numbers say."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import results_explain

from anybyte.explain import METHODS
from anybyte.files.media import encode_image
from tests.tiny_model import LABELS, save_tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tiny model, and a test part of six small pictures."""
    monkeypatch.setitem(results_explain.SETS, "made", results_explain.Set("made.zip", "Made, TIFF", "ByteFormer, `x`"))
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for part in ("train", "val", "test"):
            for number in range(6):
                pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
                archive.writestr(f"{part}/{LABELS[number]}/{number}.tiff", encode_image(pixels, "tiff"))
    model = save_tiny_model(tmp_path / "model")
    return ["--set", f"made={model}", "--data", str(tmp_path), "--work", str(tmp_path / "work")]


def test_it_measures_every_way_and_goes_on(options: list[str], tmp_path: Path) -> None:
    lines = tmp_path / "work" / "made.jsonl"
    assert results_explain.main(["run", *options, "--files", "2"]) == 0
    whole = lines.read_text().splitlines()
    lines.write_text(whole[0] + "\n")
    assert results_explain.main(["run", *options, "--files", "2"]) == 0
    again = lines.read_text().splitlines()
    first, second = (json.loads(line) for line in again)
    assert again[0] == whole[0]
    assert second["curves"] == json.loads(whole[1])["curves"]
    assert first["file"] != second["file"]
    for found in (first, second):
        assert set(found["curves"]["mask 1"]) == {*METHODS, results_explain.RANDOM, results_explain.HEADER}
        for deletion, insertion in found["curves"]["mask 1"].values():
            assert deletion[0] == insertion[-1] == pytest.approx(found["probability"], abs=1e-4)
            assert deletion[-1] == insertion[0]
    page = ["--json", tmp_path / "e.json", "--out", tmp_path / "e.md", "--picture", tmp_path / "e.png"]
    assert results_explain.main(["page", "--work", str(tmp_path / "work"), *map(str, page)]) == 0
    text = (tmp_path / "e.md").read_text()
    assert "2 of Made, TIFF" in text
    assert "**integrated_gradients**" in text
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_a_set_that_is_not_known(options: list[str]) -> None:
    options[1] = "mode=x"
    with pytest.raises(ValueError, match="no set 'mode'; there are cifar10_tiff"):
        results_explain.main(["run", *options])


def test_areas_are_compared_with_those_of_random_order() -> None:
    points = len(results_explain.SHARES)
    files = [
        {"curves": {"mask 1": {"good": [[0.2] * points, [0.8] * points], "random": [[0.4] * points, [0.4] * points]}}}
    ] * 3
    found = results_explain.ways(files, "mask 1", "good")
    assert found["deletion"]["ratio"] == pytest.approx(0.5)
    assert found["deletion"]["better"] == 1
    assert found["insertion"]["ratio"] == pytest.approx(2)
    assert found["insertion"]["interval"] == pytest.approx([2, 2])


def test_the_page_is_what_the_numbers_say() -> None:
    numbers = json.loads((ROOT / results_explain.DATA).read_text(encoding="utf-8"))
    assert results_explain.write_page(numbers) == (ROOT / results_explain.PAGE).read_text(encoding="utf-8")
