"""What a call costs, counted and not measured: its floating-point operations, and the most memory of its tensors.

Both are the same on every run and on every machine with the same kernels of torch, so that a test can hold them to a
budget. FLOPs are of matrix products, convolutions and attention, two for a multiplication with its addition; additions
of table rows count nothing. Memory is that of the storages which the call makes, each counted until nobody holds it;
what a kernel takes within itself is not seen.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """Of one call.

    Attributes:
        flops: floating-point operations.
        peak_bytes: the most that the tensors it made took at once.
    """

    flops: int
    peak_bytes: int


def count(call: Callable[[], object]) -> Cost:
    """What a call costs; it is made once, with gradients or without, as it likes."""
    gc.collect()
    collects = gc.isenabled()
    gc.disable()  # when cycles are found is not the same on every run
    try:
        counter = FlopCounterMode(display=False, custom_mapping=_FURTHER)
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        with _Storages() as storages, counter:
            call()
    finally:
        if collects:
            gc.enable()
    return Cost(int(counter.get_total_flops()), storages.peak)


class _NoModules:
    """In place of what tells FLOPs apart by module, which fails on parameters in inference mode."""

    parents: ClassVar[set[str]] = {"Global"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Storages(TorchDispatchMode):
    """Adds up the storages of all tensors that come out of operators, and takes off those that are freed.

    A storage that is first seen going into an operator was there before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tree_map_only(Tensor, lambda x: self._see(x, made=False), (args, kwargs))
        out = func(*args, **kwargs)
        tree_map_only(Tensor, lambda x: self._see(x, made=True), out)
        return out

    def _see(self, x: Tensor, made: bool) -> None:
        if x.layout is not torch.strided:
            return  # an opaque tensor of a library
        storage = x.untyped_storage()
        key, size = storage._cdata, storage.nbytes() if made else 0
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def _linear(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """A linear layer by oneDNN: [.., in] and [out, in]."""
    return 2 * prod(x) * weight[0]


def _integers(x: Shape, *_: Any, out_shape: Shape, **__: Any) -> int:
    """A linear layer in 8-bit integers."""
    return 2 * prod(x) * out_shape[-1]


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(_: Shape, query: Shape, key: Shape, value: Shape, *__: Any, **___: Any) -> int:
    """Scores anew, then gradients of weights, values, queries and keys: five products for the two of the answer."""
    return int(sdpa_flop_count(query, key, value)) * 5 // 2


_FURTHER: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
"""Operators that torch's own counter does not know."""
if torch.backends.mkldnn.is_available():
    _FURTHER[torch.ops.mkldnn._linear_pointwise] = _linear
    _FURTHER[torch.ops.onednn.qlinear_pointwise] = _integers
