"""Declared problems: losses, what is left out of them, and what validation reports."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import DeclaredConfig, LossConfig
from anybyte.models.perceiver import Perceiver
from anybyte.models.schema_files import parse_schema
from anybyte.tasks import Sample
from anybyte.tasks.arrays import Arrays
from anybyte.tasks.declared import Declared, measure

SCHEMA = parse_schema("""\
inputs:
  picture: {kind: image, shape: [4, 4, 2], patch: 2}
  units: {kind: set, shape: 3}
  words: {kind: tokens, shape: 6, vocabulary: 9}
  said: {kind: label, classes: 3}
outputs:
  what: {classes: 4, label_smoothing: 0.2}
  tags: {classes: 5, loss: binary_cross_entropy, weight: 2}
  where: {values: 2}
  again: {reconstructs: picture, weight: 0.5}
  spoken: {kind: tokens, shape: 6, weight: 3}
  moves: {of: units, classes: 2}
size: {latents: 4, width: 16, layers: 1, heads: 2}
""")
NAN = math.nan


def declared(**changes: dict[str, Any]) -> Declared:
    """The task of `SCHEMA`, with fields of some losses changed."""
    losses = [dataclasses.replace(loss, **changes.get(loss.output, {})) for loss in SCHEMA.task().losses]
    return Declared(SCHEMA.config(), DeclaredConfig(losses=tuple(losses)))


def make_arrays(count: int = 5, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    inputs = {
        "picture": rng.normal(size=(count, 4, 4, 2)).astype(np.float32),
        "units": rng.normal(size=(count, 7, 3)),
        "words": rng.integers(0, 9, (count, 6)),
        "said": rng.integers(0, 3, count),
    }
    targets = {
        "what": rng.integers(0, 4, count),
        "tags": rng.integers(0, 2, (count, 5)).astype(np.float32),
        "where": rng.normal(size=(count, 2)),
        "spoken": rng.integers(0, 9, (count, 6)),
        "moves": rng.integers(0, 2, (count, 7)),
    }
    return Arrays(inputs, targets)


def samples(arrays: Arrays, seed: int = 0) -> list[Sample]:
    return [Sample(*arrays.read(index, None), np.random.default_rng([seed, index])) for index in range(len(arrays))]


@pytest.fixture
def model() -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(SCHEMA.config())


def answers_of(model: nn.Module, task: Declared, arrays: Arrays) -> dict[str, Tensor]:
    inputs, _ = task.collate(samples(arrays))
    answers: dict[str, Tensor] = model(inputs["arrays"])
    return answers


def test_each_loss_is_the_weighted_mean_over_each_example(model: Perceiver) -> None:
    arrays, task = make_arrays(), declared()
    answers, target = answers_of(model, task, arrays), {n: torch.as_tensor(v) for n, v in arrays.targets.items()}
    loss, count = task.loss(model, *task.collate(samples(arrays)))
    assert count == 5
    spoken = F.cross_entropy(answers["spoken"].flatten(0, 1), target["spoken"].flatten(), reduction="none")
    moves = F.cross_entropy(answers["moves"].flatten(0, 1), target["moves"].flatten(), reduction="none")
    tags = F.binary_cross_entropy_with_logits(answers["tags"], target["tags"], reduction="none")
    picture = torch.as_tensor(arrays.inputs["picture"])
    expected = (
        F.cross_entropy(answers["what"], target["what"], reduction="sum", label_smoothing=0.2)
        + 2 * tags.mean(1).sum()
        + F.mse_loss(answers["where"], target["where"].float(), reduction="none").mean(1).sum()
        + 0.5 * (answers["again"] - picture).abs().mean((1, 2, 3)).sum()
        + 3 * spoken.view(5, 6).mean(1).sum()
        + moves.view(5, 7).mean(1).sum()
    )
    torch.testing.assert_close(loss, expected)


def test_parts_add_up_to_the_whole(model: Perceiver) -> None:
    arrays, task = make_arrays(), declared()
    model.eval()
    all_of_it = samples(arrays)
    whole, count = task.loss(model, *task.collate(all_of_it))
    parts = [task.loss(model, *task.collate(part)) for part in (all_of_it[:2], all_of_it[2:])]
    torch.testing.assert_close(whole, parts[0][0] + parts[1][0])
    assert count == parts[0][1] + parts[1][1]
    with torch.no_grad():
        sums = [task.measure(model, *task.collate(part)) for part in (all_of_it, all_of_it[:2], all_of_it[2:])]
    for name, value in sums[0].items():
        assert value == pytest.approx(sums[1][name] + sums[2][name], rel=1e-5), name


@pytest.mark.parametrize("output", ["what", "tags", "where", "spoken", "moves"])
def test_missing_targets_count_for_nothing(model: Perceiver, output: str) -> None:
    arrays, task = make_arrays(), declared()
    values = arrays.targets[output]
    assert isinstance(values, np.ndarray)
    missing: float = NAN if values.dtype.kind == "f" else -1
    arrays.targets[output] = np.full_like(values, missing)
    loss, _ = task.loss(model, *task.collate(samples(arrays)))
    others = DeclaredConfig(losses=tuple(loss for loss in task.losses if loss.output != output))
    without, _ = Declared(SCHEMA.config(), others).loss(model, *task.collate(samples(arrays)))
    torch.testing.assert_close(loss, without)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    projection = model.get_parameter(f"decoder.outputs.{output}.bias" if output == "spoken" else
                                     f"decoder.outputs.{output}.projection.weight")  # fmt: skip
    assert projection.grad is not None, "processes wait for every gradient"
    assert not projection.grad.any()
    with torch.no_grad():
        metrics = measure(model, task, arrays)
    assert not [name for name in metrics if name.startswith(output)]


def test_a_target_known_in_part_is_the_mean_of_that_part(model: Perceiver) -> None:
    arrays, task = make_arrays(), declared()
    only = Declared(SCHEMA.config(), DeclaredConfig(losses=(LossConfig(output="spoken", loss="cross_entropy"),)))
    asked = np.array([[1, 4]] * 5)
    masked = np.full((5, 6), -1)
    np.put_along_axis(masked, asked, np.take_along_axis(np.asarray(arrays.targets["spoken"]), asked, 1), 1)
    answers = answers_of(model, task, arrays)["spoken"]
    right = torch.as_tensor(arrays.targets["spoken"])[:, [1, 4]]
    expected = F.cross_entropy(answers[:, [1, 4]].flatten(0, 1), right.flatten(), reduction="sum")
    arrays.targets["spoken"] = masked
    loss, _ = only.loss(model, *only.collate(samples(arrays)))
    torch.testing.assert_close(loss, expected / 2)


def test_rows_train_random_places_that_are_the_samples_own(model: Perceiver) -> None:
    arrays, task = make_arrays(), declared(again={"rows": 3}, spoken={"rows": 2})
    inputs, targets = task.collate(samples(arrays))
    assert {name: tuple(rows.shape) for name, rows in targets["rows"].items()} == {"again": (5, 3), "spoken": (5, 2)}
    again, same = targets["rows"]["again"], task.collate(samples(arrays)[1:3])[1]["rows"]["again"]
    assert torch.equal(again[1:3], same), "in any batch"
    other = task.collate(samples(arrays, seed=1))[1]["rows"]["again"]
    assert not torch.equal(again, other), "and others in another epoch"
    assert all(len(set(row)) == 3 for row in again.tolist())
    only = Declared(SCHEMA.config(), DeclaredConfig(losses=tuple(x for x in task.losses if x.output == "again")))
    loss, _ = only.loss(model, inputs, targets)
    picture = torch.as_tensor(arrays.inputs["picture"]).flatten(1, 2)
    answer = model(inputs["arrays"])["again"].flatten(1, 2)
    at = again[..., None].expand(-1, -1, 2)
    torch.testing.assert_close(loss, 0.5 * (answer.gather(1, at) - picture.gather(1, at)).abs().mean((1, 2)).sum())
    whole = {name: value for name, value in measure(model, declared(), arrays).items() if name.startswith("again")}
    assert {n: v for n, v in measure(model, task, arrays).items() if n in whole} == whole, "all of it is measured"


def test_reports_metrics_by_output(model: Perceiver) -> None:
    arrays, task = make_arrays(40), declared(again={"peak": 2.0})
    model.eval()
    with torch.no_grad():
        answers = answers_of(model, task, arrays)
    metrics = measure(model, task, arrays, batch_size=7)
    picture = torch.as_tensor(arrays.inputs["picture"])
    error = (answers["again"] - picture).double()
    assert metrics["what_accuracy"] == pytest.approx(
        float((answers["what"].argmax(1).numpy() == arrays.targets["what"]).mean())
    )
    assert metrics["tags_accuracy"] == pytest.approx(
        float(((answers["tags"].numpy() > 0) == (np.asarray(arrays.targets["tags"]) > 0.5)).mean())
    )
    assert metrics["again_mae"] == pytest.approx(float(error.abs().mean()))
    assert metrics["again_psnr"] == pytest.approx(float(10 * (4 / error.square().mean()).log10()))
    assert metrics["again_r2"] == pytest.approx(1 - float(error.square().mean() / picture.double().var(correction=0)))
    assert task.score({"loss": 1.0}) > task.score({"loss": 2.0})
    assert not model.training


def test_masks_hide_tokens(model: Perceiver) -> None:
    arrays, task = make_arrays(2), declared()
    units = np.asarray(arrays.inputs["units"])
    arrays.inputs["units.mask"] = np.arange(7) < np.array([[4], [7]])
    arrays.targets["moves"] = np.where(arrays.inputs["units.mask"], arrays.targets["moves"], -1)
    loss, _ = task.loss(model, *task.collate(samples(arrays)))
    units[0, 4:] = 100.0
    again, _ = task.loss(model, *task.collate(samples(arrays)))
    torch.testing.assert_close(loss, again)


def test_files_are_an_input_like_any_other() -> None:
    schema = parse_schema(
        "inputs: {file: {kind: bytes}, said: {kind: label, classes: 2}}\noutputs: {what: {classes: 2}}\n"
        "size: {latents: 2, width: 8, layers: 1, heads: 1}"
    )
    arrays = Arrays({"file": [b"some", b"and more bytes"], "said": np.array([0, 1])}, {"what": np.array([1, 0])})
    assert arrays.sizes().tolist() == [12, 22]
    task = Declared(schema.config(), schema.task())
    loss, count = task.loss(Perceiver(schema.config()), *task.collate(samples(arrays)))
    assert count == 2
    assert loss.isfinite()


def test_a_target_of_another_shape_is_named(model: Perceiver) -> None:
    arrays, task = make_arrays(), declared()
    arrays.targets["where"] = np.zeros((5, 3))
    with pytest.raises(ValueError, match=r"target of output 'where' must be numbers of shape \(2,\), got \(3,\)"):
        task.loss(model, *task.collate(samples(arrays)))
    arrays.targets["where"] = np.zeros((5, 2))
    arrays.targets["spoken"] = np.zeros((5, 7), dtype=np.int64)
    with pytest.raises(ValueError, match=r"target of output 'spoken' must be a class for each of \(6,\), got \(7,\)"):
        task.loss(model, *task.collate(samples(arrays)))
    del arrays.targets["spoken"]
    with pytest.raises(ValueError, match="target of output 'spoken' is missing: there is no array 'spoken'"):
        task.collate(samples(arrays))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (LossConfig(output="whta", loss="l1"), "a loss is for output 'whta': did you mean 'what'"),
        (LossConfig(output="spoken", loss="mse"), "'spoken' of kind 'tokens' cannot be trained by mse: it"),
        (LossConfig(output="again", loss="l1", target="units"), "'again' .* cannot reconstruct input 'units'"),
        (LossConfig(output="what", loss="cross_entropy", rows=1), "'class' is answered whole"),
        (LossConfig(output="what", loss="mse", label_smoothing=0.1), "is for cross_entropy, not for mse"),
        (LossConfig(output="what", loss="cross_entropy", label_smoothing=1.0), "at least 0 and below 1, got 1.0"),
        (LossConfig(output="what", loss="cross_entropy", labels=("a",)), "has 1 labels for 4 classes"),
        (LossConfig(output="where", loss="l1", peak=0.0), "peak must be positive and finite, got 0.0"),
    ],
)  # fmt: skip
def test_losses_that_do_not_fit_are_refused(loss: LossConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Declared(SCHEMA.config(), DeclaredConfig(losses=(loss,)))


def test_no_losses_or_two_for_one_output_are_refused() -> None:
    with pytest.raises(ValueError, match="no output has a loss; the model answers 'what', 'tags'"):
        Declared(SCHEMA.config(), DeclaredConfig())
    with pytest.raises(ValueError, match="output 'what' has two losses"):
        Declared(SCHEMA.config(), DeclaredConfig(losses=(LossConfig(output="what", loss="cross_entropy"),) * 2))
