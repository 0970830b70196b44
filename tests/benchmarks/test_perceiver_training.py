"""The benchmark of two steps of each recipe, on small ones and in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybyte.recipes import get_recipe
from benchmarks import measure, perceiver_training_memory


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "in_fresh_process", lambda function, *args: function(*args))
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow


def test_recipes_are_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    so_far, options = tmp_path / "so_far.jsonl", ["--results", str(tmp_path), "--precision", "fp32"]
    command = [*options, "--recipes", "small/entities", "--so-far", str(so_far)]
    perceiver_training_memory.main(command)
    (first,) = tmp_path.glob("perceiver_training_memory-*.json")
    found = json.loads(first.read_text())["results"]["small/entities"]
    assert found["parameters"] == perceiver_training_memory.num_parameters(get_recipe("small/entities"))
    assert found["precision"] == "fp32"
    assert len(found["losses"]) == len(found["processor_seconds_a_step"]) == perceiver_training_memory.STEPS
    assert found["peak_memory_bytes"] > 10**8
    first.unlink()

    def fail(*args: object) -> None:
        raise AssertionError("it was measured again")

    monkeypatch.setattr(perceiver_training_memory, "two_steps", fail)
    perceiver_training_memory.main(command)
    (again,) = tmp_path.glob("perceiver_training_memory-*.json")
    assert json.loads(again.read_text())["results"]["small/entities"] == found


def test_what_does_not_fit_is_left_out_with_the_reason(tmp_path: Path) -> None:
    options = ["--results", str(tmp_path), "--recipes", "small/points", "--limit-gb", "0.001"]
    perceiver_training_memory.main(options)
    (kept,) = tmp_path.glob("perceiver_training_memory-*.json")
    assert "of 0.0 GB of memory" in json.loads(kept.read_text())["results"]["small/points"]["skipped"]
    with pytest.raises(SystemExit):
        perceiver_training_memory.main(["--recipes", "nothing/*"])
