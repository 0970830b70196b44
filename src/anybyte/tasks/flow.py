"""Optical flow: made or stored pairs of frames, the end-point error, and the rates of outliers (section 4.2)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn

from anybyte.config import FlowConfig, FramesConfig, MadeFlowConfig
from anybyte.files.flow_made import MadePair, make_pair
from anybyte.files.flow_sets import FlowPairs
from anybyte.files.textures import Textures
from anybyte.models.passes import flow_as_read, resize_flow, resize_frames, scaled, warp
from anybyte.reading.frames import check_frames
from anybyte.tasks import Sample

RATES = (1, 3, 5)
"""Pixels of error beyond which a pixel counts in the rate of that name."""
OUTLIER = 0.05
"""KITTI's outliers (Fl) are off by more than three pixels, and by more than this share of the true length."""
_SMALL = 1e-6
"""Pixels squared that keep the gradient of an error of zero finite."""
_VALIDATION = 0x0F10
"""Seeds the pairs to measure on: no others, whatever the seed of the run."""


class MadeFlow:
    """Pairs that are made when they are read; `Examples`. No two epochs have the same, and those to measure on stay.

    Args:
        config: of what they are made.
        textures: the pictures that they are made of.
        count: pairs in an epoch.
        epochs: over which motion and changes grow.
        epoch: where training stands; `at` moves it.
    """

    def __init__(
        self, config: MadeFlowConfig, textures: Textures, count: int, epochs: int = 1, epoch: int | None = None
    ) -> None:
        self.config, self.textures, self.count, self.epochs, self.epoch = config, textures, count, epochs, epoch

    def at(self, epoch: int) -> MadeFlow:
        """The pairs of an epoch, from 0."""
        return MadeFlow(self.config, self.textures, self.count, self.epochs, epoch)

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"made pair {index}"

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the two frames as float32: the same for all."""
        height, width = self.config.size
        return np.full(self.count, 2 * height * width * 3 * 4, dtype=np.int64)

    def identity(self) -> str:
        """Of the pictures, and of how pairs are made of them."""
        settings = f"{self.textures.identity()}\0{self.config}\0{self.count}\0{self.epochs}"
        return hashlib.sha256(settings.encode()).hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Frames, and the flow and where it is known; in training also the flow back in time, if that is learnt."""
        if rng is None:
            pair = make_pair(self.config, self.textures, np.random.default_rng([_VALIDATION, index]))
            return _example(pair, both_ways=False)
        # An epoch is one step of growth, and its middle stands for it.
        progress = 1.0 if self.epoch is None else (self.epoch + 0.5) / self.epochs
        return _example(make_pair(self.config, self.textures, rng, progress), self.config.reverse)

    def blank(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Black frames that do not move."""
        return _blank(self.config.size)


class StoredFlow:
    """Pairs with their flow, cut to one size: at random to train on, in the middle to measure on; `Examples`."""

    def __init__(self, pairs: FlowPairs, size: tuple[int, int]) -> None:
        self.pairs, self.size = pairs, size

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        return self.pairs.files[index].name

    def sizes(self) -> NDArray[np.int64]:
        return np.full(len(self), 2 * self.size[0] * self.size[1] * 3 * 4, dtype=np.int64)

    def identity(self) -> str:
        return self.pairs.identity()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Frames, and the flow and where it is known.

        Raises:
            ValueError: a file is damaged, or frames are smaller than what is cut out of them; the message names them.
            OSError: a file cannot be read.
        """
        pair = self.pairs.read(index)
        room = [have - want for have, want in zip(pair.first.shape[:2], self.size, strict=True)]
        if min(room) < 0:
            height, width = pair.first.shape[:2]
            raise ValueError(f"{pair.name} has {width}x{height} pixels, less than {self.size[1]}x{self.size[0]}")
        top, left = (each // 2 if rng is None else int(rng.integers(each + 1)) for each in room)
        cut = (slice(top, top + self.size[0]), slice(left, left + self.size[1]))
        frames = np.stack([pair.first[cut], pair.second[cut]]).astype(np.float32) / 127.5 - 1
        return {"frames": frames}, {"flow": pair.flow.vectors[cut], "known": pair.flow.known[cut]}

    def blank(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Black frames that do not move."""
        return _blank(self.size)


def _example(pair: MadePair, both_ways: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    label = {"flow": pair.forward, "known": np.ones(pair.forward.shape[:2], dtype=np.bool_)}
    if both_ways:
        label["backward"] = pair.backward
    return {"frames": pair.frames * 2 - 1}, label


def _blank(size: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Any]]:
    label = {"flow": np.zeros((*size, 2), np.float32), "known": np.ones(size, dtype=np.bool_)}
    return {"frames": -np.ones((2, *size, 3), np.float32)}, label


class FlowTask:
    """Pairs of frames to the flow between them; a `Task`.

    Args:
        config: what a step learns.
        scale: pixels of a unit of flow, in which the loss is.
        tile: height and width of what the model reads at once: the passes before the last one are by tiles of this
            size, and the last one learns from a tile of each pair, at random. None: frames are read whole.

    Raises:
        ValueError: there is no pass to learn, a size of frames is not positive, or a filter's side is even.
    """

    def __init__(self, config: FlowConfig, scale: float = 20.0, tile: tuple[int, int] | None = None) -> None:
        if not config.passes or not all(config.passes):
            raise ValueError("task.passes is empty: flow takes one pass at least")
        for size in (size for chain in config.passes for size in chain):
            if not 0 < size <= 1:
                raise ValueError(f"task.passes are sizes above 0 and up to 1, got {size:g}")
        self.config, self.scale, self.tile = config, scale, tile
        self.reading = FramesConfig(tiles=tile is not None, median=config.median, check=config.check)
        check_frames(self.reading, "task")

    def collate(self, samples: Sequence[Sample]) -> tuple[Tensor, dict[str, Tensor]]:
        """Frames [batch, 2, H, W, 3] in [-1, 1]; flow [batch, H, W, 2] and where it is known.

        A pair with a flow back in time becomes two examples.
        """
        frames, flows, known = [], [], []
        for sample in samples:
            frames.append(sample.data["frames"])
            flows.append(sample.label["flow"])
            known.append(sample.label["known"])
            if "backward" in sample.label:
                frames.append(sample.data["frames"][::-1])
                flows.append(sample.label["backward"])
                known.append(np.ones_like(sample.label["known"]))
        stacked = torch.from_numpy(np.stack(frames))
        return stacked, {"flow": torch.from_numpy(np.stack(flows)), "known": torch.from_numpy(np.stack(known))}

    def loss(self, model: nn.Module, inputs: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, int]:
        """The end-point error in units of flow, summed over the pixels where the flow is known, and their number.

        Where `passes` has several lists of sizes, each step draws one. Only its last pass is learnt; those before it
        are the model's own answers, so that it learns to mend what it will meet.
        """
        chains = self.config.passes
        chain = chains[int(torch.randint(len(chains), ()))]
        frames, flow, known = self._last_pass(model, inputs, targets, chain)
        error = (model(frames).float() - flow).square().sum(dim=-1).add(_SMALL).sqrt()
        return (error * known).sum() / self.scale, int(known.sum())

    def _last_pass(
        self, model: nn.Module, inputs: Tensor, targets: dict[str, Tensor], chain: tuple[float, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the last pass of a chain reads, and should answer and where."""
        size = scaled(inputs.shape[2], inputs.shape[3], chain[-1])
        frames, flow = resize_frames(inputs, size), resize_flow(targets["flow"], size)
        known = targets["known"]
        if size != tuple(known.shape[1:]):
            # A pixel of a smaller frame is known if all are that it stands for.
            shrunk = torch.nn.functional.interpolate(known[:, None].float(), size=size, mode="area")
            known = shrunk[:, 0] > 1 - _SMALL
        if len(chain) > 1:
            with torch.no_grad():
                so_far = resize_flow(self._flow(model, inputs, chain[:-1]), size)
            frames = torch.stack([frames[:, 0], warp(frames[:, 1], so_far)], dim=1)
            flow = flow - so_far
        return (frames, flow, known) if self.tile is None else _random_tiles(frames, flow, known, self.tile)

    def _flow(self, model: nn.Module, inputs: Tensor, scales: tuple[float, ...]) -> Tensor:
        """The flow after these passes, as a model in use finds it."""
        reading = dataclasses.replace(self.reading, scales=scales)
        return flow_as_read(lambda x: model(x).float(), inputs, reading, self.tile or (1, 1))

    def measure(self, model: nn.Module, inputs: Tensor, targets: dict[str, Tensor]) -> dict[str, float]:
        """Sums over the pixels where the flow is known; the passes are the last ones of `passes`."""
        flow = self._flow(model, inputs, self.config.passes[-1])
        return flow_sums(flow, targets["flow"], targets["known"])

    def summarise(self, sums: dict[str, float]) -> dict[str, float]:
        """See `flow_metrics`."""
        return flow_metrics(sums)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The lower the end-point error, the better."""
        return (-metrics["epe"],)


def _random_tiles(frames: Tensor, flow: Tensor, known: Tensor, tile: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """A tile of each pair at a place of its own, or all of it where it is smaller."""
    height, width = flow.shape[1:3]
    rows, columns = min(height, tile[0]), min(width, tile[1])
    if (rows, columns) == (height, width):
        return frames, flow, known
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for pair in zip(frames, flow, known, strict=True):
        y, x = int(torch.randint(height - rows + 1, ())), int(torch.randint(width - columns + 1, ()))
        cut = (slice(y, y + rows), slice(x, x + columns))
        parts.append((pair[0][:, *cut], pair[1][cut], pair[2][cut]))
    stacked = [torch.stack(each) for each in zip(*parts, strict=True)]
    return stacked[0], stacked[1], stacked[2]


def flow_sums(
    flow: Float[Tensor, "*batch height width 2"],
    truth: Float[Tensor, "*batch height width 2"],
    known: Bool[Tensor, "*batch height width"],
) -> dict[str, float]:
    """What `flow_metrics` is made of: sums over the pixels where the truth is known."""
    error = (flow.double() - truth.double()).norm(dim=-1)[known]
    length = truth.double().norm(dim=-1)[known]
    sums = {"pixels": float(error.numel()), "error": float(error.sum()), "length": float(length.sum())}
    sums |= {f"off by {rate}": float((error > rate).sum()) for rate in RATES}
    return sums | {"outliers": float(((error > 3) & (error > OUTLIER * length)).sum())}


def flow_metrics(sums: dict[str, float]) -> dict[str, float]:
    """The numbers by which flow is compared.

    Returns:
        `epe`: mean end-point error in pixels; `zero_epe`: that of the answer that nothing moves, the mean length of
        the true vectors; `fl`: share of KITTI's outliers; `over_1`, `over_3`, `over_5`: share of pixels off by more.
    """
    pixels = max(sums["pixels"], 1.0)
    metrics = {"epe": sums["error"] / pixels, "zero_epe": sums["length"] / pixels, "fl": sums["outliers"] / pixels}
    return metrics | {f"over_{rate}": sums[f"off by {rate}"] / pixels for rate in RATES}
