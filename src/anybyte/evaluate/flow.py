"""Optical flow on pairs with known flow: end-point error and rates of outliers, pair by pair, beside zero flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anybyte.config import FlowConfig, FlowInputConfig, PerceiverConfig
from anybyte.evaluate.request import Findings, Progress, Request, columns
from anybyte.files.flow_sets import FlowPairs, Pair, open_flow_pairs
from anybyte.models.passes import flow_as_read, frames_reading, tile_of
from anybyte.tasks.flow import RATES, flow_metrics, flow_sums

_PIECE = 2**13
"""Queries decoded at once."""

Estimate = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
"""The flow, float32 [H, W, 2], of two frames, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class PairResult:
    """What was measured on one pair.

    Attributes:
        name, group: of the pair.
        metrics: see `tasks.flow.flow_metrics`; also `epe_seen` and `epe_hidden`, over the pixels that the second frame
            shows and does not show, where that is known.
    """

    name: str
    group: str
    metrics: dict[str, float]


def evaluate(request: Request) -> Findings:
    """A model on the pairs of a set, frames of any size: the table, and all numbers.

    Raises:
        ValueError: no pairs are named or found, a file is damaged, or the model does not estimate flow.
        OSError: the set cannot be read.
    """
    pairs = open_flow_pairs(_path(request))
    model, reading = request.load(), frames_reading(request.folder)
    config = model.config
    if not isinstance(config, PerceiverConfig) or {type(part) for part in config.inputs} != {FlowInputConfig}:
        raise ValueError(f"{request.name} does not estimate flow")
    tile = tile_of(config)

    def at_once(frames: Tensor) -> Tensor:
        found: Tensor = model(frames.to(request.device), piece=_PIECE)
        return found.float().cpu()

    def estimate(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        frames = torch.from_numpy(np.stack([first, second]))[None].float() / 255 * 2 - 1
        bf16 = request.precision == "bf16"
        with torch.inference_mode(), torch.autocast(request.device.type, torch.bfloat16, enabled=bf16):
            vectors: NDArray[np.float32] = flow_as_read(at_once, frames, reading, tile)[0].numpy()
        return vectors

    results = measure_pairs(estimate, pairs, request.progress)
    count = f"{len(results)} pair{'s' * (len(results) != 1)}"
    sizes = ", ".join(f"{scale:g}" for scale in reading.scales)
    about = {"data": pairs.origin, "part": f"all, {count}", "passes at": sizes}
    if reading.median > 1:
        about["median after each"] = f"{reading.median}x{reading.median} pixels"
    if reading.check is not None:
        about["kept where it fits"] = f"over {reading.check}x{reading.check} pixels"
    numbers = {
        "pairs": [{"name": each.name, "set": each.group, **each.metrics} for each in results],
        "sets": {group: mean_metrics(of) for group, of in by_group(results).items()},
    }
    return Findings(about=about, text=table(results), numbers=numbers)


def _path(request: Request) -> str:
    """The pairs that are named; those that a model learnt from only if it learnt from stored ones."""
    recipe = request.recipe
    if request.split not in (None, "all"):
        raise ValueError(f"--split {request.split}: all pairs of a set are measured")
    task = None if recipe is None else recipe.task
    if request.data is None and isinstance(task, FlowConfig) and task.pairs == "made":
        raise ValueError(
            f"{request.name} learnt from pairs that were made of pictures: name pairs with their flow with --data"
        )
    return request.path


def measure_pairs(estimate: Estimate, pairs: FlowPairs, progress: Progress | None = None) -> list[PairResult]:
    """What an estimate is worth on each pair.

    Raises:
        ValueError: a pair is damaged, or the estimate refuses it.
        OSError: it cannot be read.
    """
    results = []
    for index in range(len(pairs)):
        pair = pairs.read(index)
        results.append(PairResult(pair.name, pair.group, pair_metrics(estimate(pair.first, pair.second), pair)))
        if progress is not None:
            progress(index + 1, len(pairs))
    return results


def pair_metrics(flow: NDArray[np.float32], pair: Pair) -> dict[str, float]:
    """The numbers of one pair: `flow` against its truth, where that is known."""
    known = pair.flow.known
    metrics = flow_metrics(_sums(flow, pair, known))
    if pair.occluded is not None:
        for name, where in (("epe_seen", known & ~pair.occluded), ("epe_hidden", known & pair.occluded)):
            if where.any():
                metrics[name] = flow_metrics(_sums(flow, pair, where))["epe"]
    return metrics


def _sums(flow: NDArray[np.float32], pair: Pair, where: NDArray[np.bool_]) -> dict[str, float]:
    tensors = (torch.from_numpy(np.ascontiguousarray(each)) for each in (flow, pair.flow.vectors, where))
    return flow_sums(*tensors)


def by_group(results: Sequence[PairResult]) -> dict[str, list[PairResult]]:
    """The results of each set, in their order."""
    groups: dict[str, list[PairResult]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return groups


def mean_metrics(results: Sequence[PairResult]) -> dict[str, float]:
    """The mean over pairs of what all of them have."""
    shared = [name for name in results[0].metrics if all(name in each.metrics for each in results)]
    return {name: float(np.mean([each.metrics[name] for each in results])) for name in shared}


def table(results: Sequence[PairResult]) -> str:
    """One line a pair, and the mean of each set of several."""
    rates = [f"> {rate} px" for rate in RATES]
    rows: list[tuple[str, ...]] = [("pair", "EPE", "zero flow", "Fl", *rates)]
    for group, of in by_group(results).items():
        rows += [_row(each.name if group in each.name else f"{group}: {each.name}", each.metrics) for each in of]
        if len(of) > 1:
            rows.append(_row(f"mean of {group}", mean_metrics(of)))
    return columns(rows)


def _row(name: str, metrics: dict[str, float]) -> tuple[str, ...]:
    shares = (f"{100 * metrics[key]:.1f}%" for key in ("fl", *(f"over_{rate}" for rate in RATES)))
    return (name, f"{metrics['epe']:.2f}", f"{metrics['zero_epe']:.2f}", *shares)
