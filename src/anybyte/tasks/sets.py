"""Sets of unequal size in one batch: padded, masked, and without targets where nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anybyte.config import ArrayInputConfig, InputConfig, PointsInputConfig

_NO_CLASS = -1


def is_set(config: InputConfig) -> bool:
    """Whether an input is a set, of any number of entities or points."""
    if isinstance(config, ArrayInputConfig):
        return config.shape is None and config.patch is None and config.positions is None
    return isinstance(config, PointsInputConfig)


def pad_sets(
    sets: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]] | None
) -> tuple[Tensor, list[NDArray[np.bool_]] | None]:
    """Sets as one tensor, zeros behind the shorter ones.

    Args:
        sets: [entities, channels] each.
        masks: [entities] each, 1 at entities that are there. None: all are.

    Returns:
        ([sets, largest, channels], a mask [largest] for each; None if all entities of all sets are there).

    Raises:
        ValueError: a mask is not as long as its set.
    """
    sizes = [len(values) for values in sets]
    largest = max(sizes)
    if masks is None:
        kept = None if min(sizes) == largest else [np.arange(largest) < size for size in sizes]
    else:
        kept = []
        for size, mask in zip(sizes, masks, strict=True):
            if np.shape(mask) != (size,):
                raise ValueError(f"a set of {size} entities has a mask of shape {np.shape(mask)}")
            kept.append(_padded(np.asarray(mask, dtype=bool), largest, False))
    stacked = np.stack([_padded(np.asarray(values), largest, 0) for values in sets])
    return torch.from_numpy(stacked.astype(np.float32) if stacked.dtype in (np.float64, np.float16) else stacked), kept


def pad_targets(
    targets: Sequence[NDArray[Any]], sets: Sequence[NDArray[Any]], masks: Sequence[NDArray[np.bool_]] | None
) -> Tensor:
    """Targets of entities as one tensor, missing (a class of -1, NaN) where there is no entity.

    Args:
        targets: [entities] or [entities, channels] each.
        sets: the sets that they belong to, as long.
        masks: of all of them, as `pad_sets` returns them.

    Raises:
        ValueError: there are not as many targets as entities.
    """
    largest = max(len(values) for values in sets)
    padded = []
    for number, (target, values) in enumerate(zip(targets, sets, strict=True)):
        target = np.asarray(target)
        if target.shape[:1] != values.shape[:1]:
            raise ValueError(f"a set of {len(values)} entities has targets of shape {target.shape}")
        is_class = np.issubdtype(target.dtype, np.integer)
        missing = _NO_CLASS if is_class else np.nan
        whole = _padded(target if is_class else target.astype(np.float32), largest, missing)
        if masks is not None:
            whole[~masks[number]] = missing
        padded.append(whole)
    return torch.from_numpy(np.stack(padded))


def _padded(values: NDArray[Any], length: int, filling: Any) -> NDArray[Any]:
    """A copy, with as much behind it as it lacks."""
    whole = np.full((length, *values.shape[1:]), filling, dtype=values.dtype)
    whole[: len(values)] = values
    return whole
