"""The page of flow results, from made numbers; and what it measures, on made pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.flow import Flow
from anybyte.files.flow_sets import Pair
from scripts import results_flow
from scripts.flow_page import write_page

RUN = {
    "recipe": "small/flow",
    "seed": 0,
    "steps": 1500,
    "examples": 6000,
    "minutes": 31.4,
    "size": [48, 64],
    "optimizer": "LAMB at 0.003, cosine",
    "validation": {"step": 1400, "epe": 1.25, "zero_epe": 2.5},
}
TRAINING = {
    "runs": [RUN, RUN | {"recipe": "small/flow/finer", "size": [96, 128]}],
    "parameters": 187_000,
    "scales": [32, 16],
    "reading": {"kind": "frames", "scales": [1 / 32, 1 / 16], "tiles": True, "median": 7, "check": 5},
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
    assert "- `small/flow`: pairs of 48 x 64 pixels, 6,000 examples in\n  1,500 steps, 31 minutes" in text
    assert "- `small/flow/finer`: pairs of 96 x 128 pixels" in text
    assert "anybyte train small/flow --data pictures.zip --out runs/flow_1 --run.threads 1\n" in text
    assert "small/flow/finer --data pictures.zip --out runs/flow_2 --run.threads 1 --run.init_from runs/flow_1" in text
    assert "over frames at 1/32, 1/16 of their size" in text
    assert "a median of 7 x 7" in text
    assert "over 5 x 5 pixels" in text
    assert "The model met the pairs below once" in text
    assert "How it was chosen" not in text


def test_the_page_says_that_pairs_were_looked_at_before() -> None:
    earlier = results_flow.summary_of(NUMBERS["pairs"])  # type: ignore[arg-type]
    assert earlier == {"pairs": 3, "epe": pytest.approx(13 / 3), "better": 2}
    text = " ".join(write_page(NUMBERS | {"earlier": earlier}).split())
    assert "second look at the pairs below" in text
    assert "was off by 4.33 pixels on average; it was better than zero flow on 2 of 3" in text


def test_the_choice_is_shown() -> None:
    reading = {"kind": "frames", "scales": [1 / 16, 1 / 8], "tiles": True, "median": 5, "check": None}
    rows: list[dict[str, object]] = [
        {"method": method, "reading": reading, "epe": {"small": epe, "large": 4 * epe}, "pairs": 8}
        for method, epe in (("untrained", 5.0), ("small/flow", 3.0))
    ]
    rows.append({"method": "zero", "epe": {"small": 6.0, "large": 30.0}, "pairs": 8})
    made = {"small": {"size": [10, 20], "motion": 10.0}, "large": {"size": [30, 40], "motion": 60.0}}
    text = write_page(NUMBERS | {"validation": rows, "made": made})
    assert "| 1/(16, 8), tiles, median 5 | 5.00 | 20.00 | 3.00 | 12.00 |" in text
    assert (
        "| passes | ours, before training, small | ours, before training, large | after `small/flow`, small |" in text
    )
    assert "| zero flow |  |  | 6.00 | 30.00 |" in text
    assert "chosen on 2 times 8 pairs of 10 x 20 and 30 x 40 pixels" in text
    assert "move by up to 10 and 60 pixels" in text


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
