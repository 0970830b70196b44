"""Sets of unequal size: padded, masked, and answered whatever their order."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    DeclaredConfig,
    EntityOutputConfig,
    LossConfig,
    PerceiverConfig,
    PooledOutputConfig,
)
from anybyte.files.made.entities import SCENES
from anybyte.models.perceiver import Perceiver
from anybyte.tasks import Sample
from anybyte.tasks.arrays import open_arrays, open_part
from anybyte.tasks.declared import Declared, measure
from anybyte.tasks.sets import pad_sets, pad_targets

CONFIG = PerceiverConfig(
    inputs=(ArrayInputConfig(name="entities", num_channels=53),),
    outputs=(EntityOutputConfig(name="target", num_channels=5), PooledOutputConfig(num_channels=3)),
    num_latents=6,
    latent_dim=16,
    num_blocks=1,
    num_layers=1,
    process=AttentionConfig(num_heads=2),
)
TASK = DeclaredConfig(losses=(LossConfig(output="target", loss="cross_entropy"),))


def samples(count: int, first: int = 0) -> list[Sample]:
    examples = open_part("made:entities", "val", ["entities"], ["target"])
    return [Sample(*examples.read(first + index, None), np.random.default_rng(index)) for index in range(count)]


def batch_loss(task: Declared, model: Perceiver, batch: list[Sample]) -> float:
    loss, count = task.loss(model, *task.collate(batch))
    assert count == len(batch)
    return float(loss.detach())


def test_a_batch_of_unequal_sets_is_the_sum_of_its_sets() -> None:
    torch.manual_seed(0)
    task, model, batch = Declared(CONFIG, TASK), Perceiver(CONFIG), samples(5)
    sizes = {len(sample.data["entities"]) for sample in batch}
    assert len(sizes) > 1
    inputs, _ = task.collate(batch)
    assert inputs["arrays"]["entities"].shape == (5, max(sizes), 53)
    assert inputs["mask"]["entities"].sum(1).tolist() == [len(sample.data["entities"]) for sample in batch]
    alone = sum(batch_loss(task, model, [sample]) for sample in batch)
    assert batch_loss(task, model, batch) == pytest.approx(alone, rel=1e-5)
    with torch.no_grad():
        sums = [task.measure(model, *task.collate(part)) for part in (batch, batch[:2], batch[2:])]
    assert sums[0]["target/known"] == sum((sample.label["target"] >= 0).sum() for sample in batch)
    for name in ("target/known", "target/right", "examples"):
        assert sums[0][name] == sums[1][name] + sums[2][name]


def test_permuting_the_entities_permutes_the_answers() -> None:
    torch.manual_seed(0)
    model = Perceiver(CONFIG).eval()
    entities = torch.from_numpy(samples(1)[0].data["entities"])[None]
    order = torch.randperm(entities.shape[1])
    with torch.no_grad():
        answers, moved = model(entities), model(entities[:, order])
    torch.testing.assert_close(moved["target"], answers["target"][:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved["pooled"], answers["pooled"], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(moved["target"], answers["target"], atol=1e-3), "the answers differ by entity"


def test_a_mask_takes_entities_and_their_targets_out() -> None:
    torch.manual_seed(0)
    task, model = Declared(CONFIG, TASK), Perceiver(CONFIG)
    whole = samples(1)[0]
    entities, target = whole.data["entities"], whole.label["target"]
    keep = np.arange(len(entities)) % 3 > 0
    masked = dataclasses.replace(whole, data={"entities": entities, "entities.mask": keep})
    cut = dataclasses.replace(whole, data={"entities": entities[keep]}, label={"target": target[keep]})
    assert batch_loss(task, model, [masked]) == pytest.approx(batch_loss(task, model, [cut]), rel=1e-5)
    other = samples(1, first=9)[0]
    other = dataclasses.replace(
        other, data=other.data | {"entities.mask": np.ones(len(other.data["entities"]), dtype=np.int8)}
    )
    together = batch_loss(task, model, [masked, other])
    assert together == pytest.approx(sum(batch_loss(task, model, [one]) for one in (cut, other)), rel=1e-5)


def test_numbers_of_entities_are_missing_where_nothing_is() -> None:
    task = Declared(CONFIG, DeclaredConfig(losses=(LossConfig(output="target", loss="l1"),)))
    rng = np.random.default_rng(0)
    batch = [
        Sample({"entities": np.zeros((n, 53), np.float32)}, {"target": rng.normal(size=(n, 5))}, rng) for n in (2, 4)
    ]
    _, targets = task.collate(batch)
    values = targets["values"]["target"]
    assert values.shape == (2, 4, 5)
    assert values.dtype == torch.float32
    assert values.isnan().any(-1).tolist() == [[False, False, True, True], [False] * 4]


def test_equal_sets_need_no_mask() -> None:
    padded, masks = pad_sets([np.ones((3, 2)), np.zeros((3, 2))], None)
    assert padded.dtype == torch.float32
    assert padded.shape == (2, 3, 2)
    assert masks is None
    assert pad_targets([np.arange(3)] * 2, [np.ones((3, 2))] * 2, None).tolist() == [[0, 1, 2]] * 2


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match=r"a set of 3 entities has a mask of shape \(2,\)"):
        pad_sets([np.ones((3, 2))], [np.ones(2)])
    with pytest.raises(ValueError, match=r"a set of 3 entities has targets of shape \(4,\)"):
        pad_targets([np.arange(4)], [np.ones((3, 2))], None)


def test_generated_scenes_as_examples() -> None:
    splits = open_arrays("made:entities", ["entities"], ["target"])
    train, val = splits.train, splits.val
    assert len(train) > len(val) > 0
    assert train.identity() != val.identity()
    assert train.name(3) == "train[3]"
    once, again = (train.read(0, np.random.default_rng(seed))[0]["entities"] for seed in (1, 2))
    assert once.shape != again.shape or not np.array_equal(once, again), "another scene in each epoch"
    assert np.array_equal(val.read(0, None)[0]["entities"], val.read(0, None)[0]["entities"])
    assert train.blank()[0]["entities"].shape == (1, SCENES["entities"].num_channels)


@pytest.mark.parametrize(
    ("path", "part", "targets", "message"),
    [
        ("made:units", "train", ["target"], "made:units: there are no such generated arrays; there are made:entities,"),
        ("made:entities", "all", ["target"], "has no part 'all'; it has train, val, test"),
        ("made:entities", "train", ["target", "other"], "one set of entities with one target each"),
    ],
)
def test_mistakes_with_generated_arrays(path: str, part: str, targets: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_part(path, part, ["entities"], targets)


def test_a_folder_of_arrays_is_read_the_same_way(tmp_path: Path) -> None:
    """Padded sets with a mask, as a folder holds them, measure as the sets themselves do."""
    torch.manual_seed(0)
    batch, largest = samples(6), 16
    columns: dict[str, list[Any]] = {"entities": [], "entities.mask": [], "target": []}
    for sample in batch:
        entities, target = sample.data["entities"], sample.label["target"]
        gap = largest - len(entities)
        columns["entities"].append(np.pad(entities, ((0, gap), (0, 0))))
        columns["entities.mask"].append(np.arange(largest) < len(entities))
        columns["target"].append(np.pad(target, (0, gap), constant_values=4))
    for part in ("train", "val"):
        np.savez(tmp_path / f"{part}.npz", **{name: np.stack(values) for name, values in columns.items()})
    splits = open_arrays(str(tmp_path), ["entities"], ["target"])
    task, model = Declared(CONFIG, TASK), Perceiver(CONFIG)
    with torch.no_grad():
        expected = task.summarise(task.measure(model.eval(), *task.collate(batch)))
    assert measure(model, task, splits.val) == pytest.approx(expected, rel=1e-5)
