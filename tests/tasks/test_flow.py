"""The task of flow: its examples, its loss and its numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anybyte.config import FlowConfig, MadeFlowConfig
from anybyte.files.flow import Flow, encode_flow
from anybyte.files.flow_sets import open_flow_pairs
from anybyte.files.images import encode_image
from anybyte.files.textures import Textures, open_textures
from anybyte.tasks import GrowingExamples, Sample
from anybyte.tasks.flow import FlowTask, MadeFlow, StoredFlow, flow_metrics, flow_sums
from anybyte.train.data import NO_EPOCH, Keyed

MADE = MadeFlowConfig(
    size=(16, 24), layers=(1, 2), texture_side=64, shift=(0.5, 4.0), bend=1.0, bend_length=(16.0, 40.0)
)


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Textures:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 64, 3), dtype=np.uint8)
        (folder / f"{seed}.png").write_bytes(encode_image(pixels, "png"))
    return open_textures(folder, 64)


class Constant(nn.Module):
    """Answers one vector everywhere, and notes what it was given."""

    def __init__(self, u: float, v: float) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.tensor([float(u), float(v)]))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.seen.append(tuple(frames.shape))
        return self.vector.expand(*frames[:, 0].shape[:3], 2)


def sample(flow: np.ndarray, known: np.ndarray | None = None) -> Sample:
    size = flow.shape[:2]
    frames = np.zeros((2, *size, 3), np.float32)
    frames[1] = 1
    label = {"flow": flow.astype(np.float32), "known": np.ones(size, bool) if known is None else known}
    return Sample({"frames": frames}, label, np.random.default_rng(0))


def test_numbers_are_those_of_the_benchmarks() -> None:
    """Errors of 0.5, 2, 4 and 10 pixels, of which the last is less than 5% of a long vector."""
    truth = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [8.0, 0.0], [300.0, 0.0], [5.0, 5.0]]])
    flow = truth + torch.tensor([[[0.5, 0.0], [0.0, -2.0], [0.0, 4.0], [10.0, 0.0], [99.0, 0.0]]])
    known = torch.tensor([[True, True, True, True, False]])
    metrics = flow_metrics(flow_sums(flow, truth, known))
    assert metrics["epe"] == pytest.approx((0.5 + 2 + 4 + 10) / 4)
    assert metrics["zero_epe"] == pytest.approx((1 + 3 + 8 + 300) / 4)
    assert metrics["fl"] == pytest.approx(1 / 4)
    assert [metrics[f"over_{rate}"] for rate in (1, 3, 5)] == pytest.approx([3 / 4, 2 / 4, 1 / 4])


def test_the_loss_is_the_end_point_error_in_units_where_it_is_known() -> None:
    flow = np.zeros((4, 6, 2))
    flow[..., 0] = 3
    known = np.ones((4, 6), bool)
    known[:2] = False
    flow[:2] = 1e6
    task = FlowTask(FlowConfig(), scale=20.0)
    frames, targets = task.collate([sample(flow, known)] * 2)
    assert frames.shape == (2, 2, 4, 6, 3)
    loss, count = task.loss(Constant(3, 4), frames, targets)
    assert count == 2 * 12
    assert loss.item() / count == pytest.approx(4 / 20, rel=1e-5)


def test_where_there_is_no_error_the_gradient_is_finite() -> None:
    model, task = Constant(3, 0), FlowTask(FlowConfig())
    loss, _ = task.loss(model, *task.collate([sample(np.tile([3.0, 0.0], (4, 6, 1)))]))
    loss.backward()
    assert model.vector.grad is not None
    assert bool(model.vector.grad.isfinite().all())


def test_only_the_last_pass_is_learnt() -> None:
    """At half the size the vector is doubled in the end: what is left of 10 after 2 x 2 and 2 is 4."""
    model, task = Constant(2, 0), FlowTask(FlowConfig(passes=((0.5, 1.0, 1.0),)), scale=1.0)
    frames, targets = task.collate([sample(np.tile([10.0, 0.0], (8, 12, 1)))])
    loss, count = task.loss(model, frames, targets)
    assert [shape[2:4] for shape in model.seen] == [(4, 6), (8, 12), (8, 12)]
    assert loss.item() / count == pytest.approx(10 - 4 - 2 - 2, rel=1e-4)
    loss.backward()
    assert model.vector.grad is not None
    assert model.vector.grad[0].item() / count == pytest.approx(-1)


def test_a_pass_at_half_the_size_learns_half_the_flow() -> None:
    known = np.ones((8, 12), bool)
    known[0, 0] = False
    task = FlowTask(FlowConfig(passes=((0.5,),)), scale=1.0)
    loss, count = task.loss(Constant(2, 0), *task.collate([sample(np.tile([10.0, 0.0], (8, 12, 1)), known)]))
    assert count == 4 * 6 - 1
    assert loss.item() / count == pytest.approx(3, rel=1e-4)


def test_the_last_pass_learns_from_tiles_and_those_before_are_by_tiles() -> None:
    """The known flow of a tile is that of its place: a model that reads the place off the frames is never wrong."""

    class Place(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[int, ...]] = []

        def forward(self, frames: Tensor) -> Tensor:
            self.seen.append(tuple(frames.shape))
            return frames[:, 0, ..., :2]

    flow = np.random.default_rng(0).normal(size=(3, 10, 14, 2)).astype(np.float32)
    samples = [sample(each) for each in flow]
    for each in samples:
        each.data["frames"][0, ..., :2] = each.label["flow"]
    task, model = FlowTask(FlowConfig(), scale=1.0, tile=(6, 8)), Place()
    frames, targets = task.collate(samples)
    loss, count = task.loss(model, frames, targets)
    assert model.seen == [(3, 2, 6, 8, 3)]
    assert count == 3 * 6 * 8
    assert loss.item() / count == pytest.approx(1e-3)  # the root of what keeps the gradient finite
    model.seen.clear()
    task = FlowTask(FlowConfig(passes=((0.5, 1.0),)), tile=(6, 8))
    task.loss(model, frames, targets)
    assert model.seen == [(3, 2, 5, 7, 3), (3, 2, 6, 8, 3)]  # frames made smaller than a tile are read whole


def test_passes_in_training_are_those_in_use() -> None:
    """After a median of three, one wrong pixel of the first pass is nothing that the second has to mend."""

    class Wrong(Constant):
        def forward(self, frames: Tensor) -> Tensor:
            first = not self.seen
            flow = super().forward(frames).clone()
            if first:
                flow[:, 4, 5] = 50
            return flow

    frames, targets = FlowTask(FlowConfig()).collate([sample(np.tile([4.0, 0.0], (8, 12, 1)))])
    losses = []
    for median in (1, 3):
        task = FlowTask(FlowConfig(passes=((1.0, 1.0),), median=median), scale=1.0)
        loss, count = task.loss(Wrong(2, 0), frames, targets)
        losses.append(loss.item() / count)
    assert losses[1] == pytest.approx(1e-3)
    assert losses[0] > 0.5


def test_each_step_draws_its_passes_and_the_last_are_measured() -> None:
    task = FlowTask(FlowConfig(passes=((1.0,), (0.5,), (0.5, 1.0))))
    frames, targets = task.collate([sample(np.zeros((8, 12, 2)))])
    drawn = set()
    for seed in range(20):
        torch.manual_seed(seed)
        model = Constant(0, 0)
        task.loss(model, frames, targets)
        drawn.add(tuple(shape[2] for shape in model.seen))
    assert drawn == {(8,), (4,), (4, 8)}
    model = Constant(1, 0)
    with torch.no_grad():
        metrics = task.summarise(task.measure(model, frames, targets))
    assert [shape[2] for shape in model.seen] == [4, 8]
    assert metrics["epe"] == pytest.approx(3)
    assert task.score({"epe": 1.0}) > task.score({"epe": 2.0})


def test_a_pair_is_learnt_from_both_ways(textures: Textures) -> None:
    examples, task = MadeFlow(MADE, textures, 4), FlowTask(FlowConfig())
    data, label = examples.read(0, np.random.default_rng(1))
    frames, targets = task.collate([Sample(data, label, np.random.default_rng(0))])
    assert torch.equal(frames[0, 0], frames[1, 1])
    assert torch.equal(frames[0, 1], frames[1, 0])
    assert torch.equal(targets["flow"][1], torch.from_numpy(label["backward"]))
    assert targets["known"].all()
    once = MadeFlow(replace(MADE, reverse=False), textures, 4).read(0, np.random.default_rng(1))
    assert len(task.collate([Sample(*once, np.random.default_rng(0))])[0]) == 1
    assert len(task.collate([Sample(*examples.read(0, None), np.random.default_rng(0))])[0]) == 1


def test_pairs_to_measure_on_stay_and_those_to_learn_from_grow(textures: Textures) -> None:
    examples = MadeFlow(MADE, textures, 4, epochs=10)
    assert isinstance(examples, GrowingExamples)
    for name in ("flow", "known"):
        assert np.array_equal(examples.read(1, None)[1][name], examples.at(9).read(1, None)[1][name])
    keyed = Keyed(examples, seed=3)
    samples = [keyed[epoch, 1][1] for epoch in (0, 9, NO_EPOCH)]
    assert all(isinstance(each, Sample) for each in samples)
    first, last, fixed = (each.label["flow"] for each in samples if isinstance(each, Sample))
    assert not np.array_equal(first, last)
    assert np.array_equal(fixed, examples.read(1, None)[1]["flow"])
    lengths = [
        np.mean(
            [
                np.linalg.norm(examples.at(epoch).read(0, np.random.default_rng(seed))[1]["flow"], axis=-1).mean()
                for seed in range(12)
            ]
        )
        for epoch in (0, 9)
    ]
    assert lengths[0] < lengths[1]
    assert examples.identity() == MadeFlow(MADE, textures, 4, epochs=10).identity()
    assert examples.identity() != MadeFlow(MADE, textures, 5, epochs=10).identity()
    assert examples.sizes().tolist() == [2 * 16 * 24 * 3 * 4] * 4


def test_blank_pairs_have_the_form_of_others(textures: Textures) -> None:
    examples = MadeFlow(MADE, textures, 4)
    (data, label), (blank, still) = examples.read(0, None), examples.blank()
    assert data["frames"].shape == blank["frames"].shape
    assert {name: value.shape for name, value in label.items()} == {name: value.shape for name, value in still.items()}


def test_stored_pairs_are_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(10, 14, 2)).astype(np.float32)
    for name in ("1img0", "1img1"):
        (tmp_path / f"{name}.ppm").write_bytes(encode_image(rng.integers(0, 256, (10, 14, 3), dtype=np.uint8), "ppm"))
    (tmp_path / "1flow.flo").write_bytes(encode_flow(Flow(vectors), "flo"))
    examples = StoredFlow(open_flow_pairs(tmp_path), (6, 8))
    data, label = examples.read(0, None)
    assert data["frames"].shape == (2, 6, 8, 3)
    assert data["frames"].min() >= -1
    assert np.array_equal(label["flow"], vectors[2:8, 3:11])
    places = {examples.read(0, np.random.default_rng(seed))[1]["flow"].tobytes() for seed in range(20)}
    assert len(places) > 5
    with pytest.raises(ValueError, match="has 14x10 pixels, less than 20x6"):
        StoredFlow(open_flow_pairs(tmp_path), (6, 20)).read(0, None)


def test_passes_that_make_no_sense_are_named() -> None:
    for passes, message in (
        ((), "is empty"),
        (((),), "is empty"),
        (((2.0,),), "up to 1, got 2"),
        (((0.0,),), "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            FlowTask(FlowConfig(passes=passes))
    with pytest.raises(ValueError, match=r"task.median is a number of pixels from 1, and odd, got 4"):
        FlowTask(FlowConfig(median=4))
    with pytest.raises(ValueError, match=r"task.check is a number of pixels from 1, and odd, got 0"):
        FlowTask(FlowConfig(check=0))
