"""How every predictor computes: on a device, in a precision, in pieces, and with somebody watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import torch
from torch import nn

from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.quantize import Precision as Precision
from anybyte.models.quantize import quantized

Progress: TypeAlias = Callable[[int, int], None]
"""Is called with the steps done so far and the steps in all."""

PIECE = 8192
"""Queries of a large output that are decoded at once: more need more memory and are no faster."""


class Compute:
    """A model in use.

    Attributes:
        model: in evaluation mode, on the device.
        device: where it is.
        precision: `bf16` computes under autocast, `int8` as well, with blocks of 8-bit integers in a copy of the model.
    """

    def __init__(
        self, model: nn.Module, device: str | torch.device = "cpu", precision: Precision | None = None
    ) -> None:
        if precision not in (None, "fp32", "bf16", "int8"):
            raise ValueError(f"precision is {precision!r}, expected 'fp32', 'bf16' or 'int8'")
        self.device = usable_device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        if precision == "int8":
            self.model = _in_integers(self.model)
        self.precision: Precision = precision or "fp32"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around all computing: no gradients, and the precision that was asked for."""
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision != "fp32"):
            yield


def _in_integers(model: nn.Module) -> ByteFormer:
    if not isinstance(model, ByteFormer):
        raise ValueError(f"precision 'int8' is for ByteFormers, and this is a {type(model).__name__}: use 'bf16'")
    return quantized(model)


def usable_device(device: str | torch.device) -> torch.device:
    """The device of a name.

    Raises:
        ValueError: it is not there.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # torch has both for a device that is not there
        raise ValueError(f"device {str(device)!r} cannot be used: {str(error).partition(chr(10))[0]}") from error


def check_piece(piece: int) -> int:
    """A number of queries.

    Raises:
        ValueError: it is not positive.
    """
    if piece < 1:
        raise ValueError(f"piece is {piece}, expected at least 1 query")
    return piece


@contextmanager
def watched(model: Perceiver, pieces: Sequence[int], progress: Progress | None) -> Iterator[None]:
    """Tells `progress` of each layer and each decoded piece of a Perceiver.

    Args:
        model: what computes.
        pieces: that are decoded, for each time that it encodes.
        progress: whom to tell; None: nobody.
    """
    if progress is None:
        yield
        return
    config = model.config
    total = len(pieces) * (config.num_cross_attends + config.num_blocks * config.num_layers) + sum(pieces)
    done = 0
    tell: Progress = progress

    def step(*_: object) -> None:
        nonlocal done
        done += 1
        tell(min(done, total), total)

    with ExitStack() as hooks:
        layers = [layer for block in model.blocks for layer in block.children()]
        decoder = [] if model.decoder is None else [model.decoder]
        for module in [*model.encoders, *layers, *decoder]:
            hooks.callback(module.register_forward_hook(step).remove)
        yield
