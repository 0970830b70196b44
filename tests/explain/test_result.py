from __future__ import annotations

import json

import numpy as np
import pytest

from anybyte.explain import Explanation, Stretch
from anybyte.explain.result import stretch_sums


def explanation(scores: list[float], **fields: object) -> Explanation:
    options = {"label": "cat", "logit": 2.0, "probability": 0.5, "method": "occlusion", "name": "a.bin"} | fields
    return Explanation(np.array(scores, dtype=np.float32), data=bytes(len(scores)), **options)  # type: ignore[arg-type]


def test_the_strongest_stretches_come_first() -> None:
    one = explanation([0, 1, 0, 0, -5, 0, 2, 2, 2, 0.5])
    assert one.top_stretches(3, size=4) == [Stretch(8, 10, 2.5), Stretch(0, 4, 1.0), Stretch(4, 8, -1.0)]
    assert one.top_stretches(1) == [Stretch(0, 10, 2.5)]
    assert len(one.top_stretches(9, size=1)) == 9
    for options in ({"n": 0}, {"n": 1, "size": 0}):
        with pytest.raises(ValueError, match="is 0, expected at least 1"):
            one.top_stretches(**options)


def test_sums_of_stretches() -> None:
    assert stretch_sums(np.arange(5, dtype=np.float32), 2).tolist() == [1, 5, 4]


def test_as_json() -> None:
    one = explanation([0.5, -0.25], baseline=0.1, completeness_error=0.002, settings={"steps": 32}, altered=True)
    found = json.loads(json.dumps(one.to_json()))
    assert found == {
        "name": "a.bin",
        "bytes": 2,
        "label": "cat",
        "probability": 0.5,
        "logit": 2.0,
        "baseline": 0.1,
        "method": "occlusion",
        "settings": {"steps": 32},
        "completeness_error": 0.002,
        "altered": True,
        "top_stretches": [{"start": 0, "end": 2, "score": 0.25}],
        "scores": [0.5, -0.25],
    }
    assert "scores" not in one.to_json(scores=False)


def test_scores_are_one_a_byte() -> None:
    with pytest.raises(ValueError, match=r"scores must be float32 \[3\], one a byte, not float32 \[2\]"):
        Explanation(np.zeros(2, dtype=np.float32), "cat", 0.0, 0.5, "gradient", "a", b"abc")
    with pytest.raises(ValueError, match=r"not float64 \[3\]"):
        Explanation(np.zeros(3), "cat", 0.0, 0.5, "gradient", "a", b"abc")
