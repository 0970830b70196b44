"""The page of flow results, from made numbers; and what it measures, on made pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.flow import Flow
from anybyte.files.flow_sets import Pair
from scripts import results_flow

TRAINING = {
    "recipe": "small/flow",
    "seed": 0,
    "steps": 1500,
    "examples": 6000,
    "minutes": 31.4,
    "size": [48, 64],
    "optimizer": "LAMB at 0.003, cosine",
    "parameters": 187_000,
    "scales": [32, 16],
    "validation": {"step": 1400, "epe": 1.25, "zero_epe": 2.5},
}


def metrics(epe: float, zero: float) -> dict[str, float]:
    rates = {"fl": 0.1, "over_1": 0.4, "over_3": 0.2, "over_5": 0.1}
    return {"epe": epe, "zero_epe": zero, "seconds": 0.5, **rates}


def pair(name: str, group: str, zero: float, farneback: float, model: float) -> dict[str, object]:
    errors = {"zero": zero, "farneback": farneback, "dis": 1.0, "untrained": 9.0, "model": model}
    return {"name": name, "set": group, "metrics": {key: metrics(value, zero) for key, value in errors.items()}}


NUMBERS = {
    "training": TRAINING,
    "pairs": [
        pair("clean/a", "sintel clean", 4.0, 2.0, 1.5),
        pair("clean/b", "sintel clean", 8.0, 6.0, 9.0),
        pair("0", "chairs", 3.0, 3.5, 2.5),
    ],
}


def test_the_page_says_what_the_numbers_say(tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text(json.dumps(NUMBERS))
    page = tmp_path / "flow.md"
    assert results_flow.main(["page", "--json", str(tmp_path / "flow.json"), "--page", str(page)]) == 0
    text = page.read_text()
    assert "| sintel clean | 2 | 6.00 | 4.00 | 1.00 | 9.00 | 5.25 |" in text
    assert "| clean/b | 8.00 | 6.00 | 1.00 | 9.00 | 9.00 |" in text
    assert "Better than zero flow on 1 of 2 pairs of Sintel, 1 of 1 of FlyingChairs and 0 of 0 of KITTI." in text
    assert "Worse than Farnebäck on average over all pairs (4.33 and 3.83 pixels), and better on 2 of 3 pairs." in text
    assert "Better than the same model before training on average" in text
    assert "6,000 examples in 1,500 steps, 31 minutes" in text
    assert "How the passes were chosen" not in text


def test_the_choice_of_passes_is_shown() -> None:
    rows = [
        {"method": method, "passes": "16, 8", "epe": epe, "pairs": 8}
        for method, epe in (("model", 3.0), ("untrained", 5.0))
    ]
    rows.append({"method": "zero", "passes": "", "epe": 12.0, "pairs": 8})
    text = results_flow.write_page(NUMBERS | {"validation": rows})
    assert "| ours, 1/(16, 8) | 5.00 | 3.00 |" in text
    assert "| zero flow |  | 12.00 |" in text
    assert "were chosen on 8 pairs of 384 x 768 pixels" in text


def test_the_picture_is_two_by_two() -> None:
    frame = np.full((20, 40, 3), 7, np.uint8)
    right = np.tile(np.float32([2, 0]), (20, 40, 1))
    picture = results_flow.draw(
        Pair("a", "b", frame, frame, Flow(right)),
        {"farneback": results_flow.zero, "model": lambda a, b: right},
        width=20,
    )
    assert picture.shape == (20, 40, 3)
    assert (picture[:10, :20] == 7).all()
    assert (picture[10:, :20] == 255).all()  # what does not move is white
    assert np.array_equal(picture[:10, 20:], picture[10:, 20:])


def test_opencv_finds_a_shift() -> None:
    pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    large = np.kron(rng.integers(0, 256, (20, 24, 1)), np.ones((5, 5, 3))).astype(np.uint8)
    first, second = large[10:90, 10:106], large[10:90, 7:103]
    for name, method in results_flow.opencv_methods():
        found = method(first, second)
        assert found.dtype == np.float32, name
        assert np.median(found[20:-20, 20:-20, 0]) == pytest.approx(3, abs=0.6), name
