"""What is explained: one logit of a model for one file, as a function of what its stem makes of the bytes.

Everything up to the tokens of the stem is linear in the embedded bytes, and padding is embedded as zero. So a gradient
with regard to a token says exactly what each embedded byte contributes, at a small part of the memory that the
embedded bytes would take: a byte of `byteformer_tiny` has 192 numbers, and 16 of them share a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int32, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import PADDING, VOCABULARY
from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.stem import Stem

_TOKENS_AT_ONCE = 2**13
"""Tokens of the copies of a file that are computed together."""
_PRODUCTS_AT_ONCE = 2**24
"""Numbers that are held at once while scores of tokens are dealt out to bytes."""


class Stopped(Exception):
    """Nobody waits for the explanation any longer."""


@dataclass(frozen=True, eq=False)
class Target:
    """One logit of one file.

    Attributes:
        model: in evaluation mode.
        stem: its stem.
        table: the stem as a table, see `Stem.table`.
        data: the file.
        values: what the stem reads: the bytes of the file, and padding (256) that fills the last kernel.
        index: of the class.
        stopped: is asked before each pass through the model, and True ends the work with `Stopped`. None: it goes on.
    """

    model: ByteFormer | Perceiver
    stem: Stem
    table: Float[Tensor, "rows dim"]
    data: bytes
    values: Int32[Tensor, "places"]
    index: int
    stopped: Callable[[], bool] | None = None

    def check(self) -> None:
        """Between two steps of long work.

        Raises:
            Stopped: it should end here.
        """
        if self.stopped is not None and self.stopped():
            raise Stopped

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @property
    def num_tokens(self) -> int:
        """Of the stem, for this file."""
        return len(self.values) // self.stem.stride - 1

    @property
    def copies(self) -> int:
        """Of the file that should be computed together."""
        return max(1, _TOKENS_AT_ONCE // self.num_tokens)

    def tokens(self) -> Float[Tensor, "tokens dim"]:
        """Of the file."""
        return self._read(self.values[None])[0]

    def replaced(
        self, hidden: Bool[Tensor, "copies bytes"], fill: int | UInt8[Tensor, "bytes"]
    ) -> Float[Tensor, "copies tokens dim"]:
        """The tokens of copies of the file, each without some of its bytes.

        Args:
            hidden: True at the bytes that go.
            fill: what stands in their place: 256 for padding, one byte, or a byte for each place.
        """
        instead = fill if isinstance(fill, Tensor) else torch.tensor([fill], dtype=torch.int32)
        goes, instead = (self._to_places(x.to(self.values.device)) for x in (hidden, instead.expand(self.length)))
        return self._read(torch.where(goes, instead.to(torch.int32), self.values))

    def _to_places(self, x: Shaped[Tensor, "*copies bytes"]) -> Shaped[Tensor, "*copies places"]:
        """As long as what the stem reads; nothing behind the end of the file."""
        places = len(self.values)
        return F.pad(x, (0, max(0, places - self.length)))[..., :places]

    def _read(self, values: Int32[Tensor, "copies places"]) -> Float[Tensor, "copies tokens dim"]:
        indices = values.unfold(1, self.stem.kernel_size, self.stem.stride)
        with torch.no_grad():
            tokens: Tensor = self.stem.tokens_by_table(indices.flatten(0, 1), self.table)
        by_copy: Tensor = tokens.unflatten(0, indices.shape[:2])
        return by_copy

    def logits(self, tokens: Float[Tensor, "copies tokens dim"]) -> Float[Tensor, "copies"]:
        """The logit for each of some versions of the file's tokens; a gradient goes through it."""
        return self.all_logits(tokens)[:, self.index]

    def all_logits(self, tokens: Float[Tensor, "copies tokens dim"]) -> Float[Tensor, "copies classes"]:
        """As `logits`, those of all classes.

        Raises:
            Stopped: the work should end here. All that computes many logits or gradients comes by.
        """
        self.check()
        counts = np.full(len(tokens), self.num_tokens, dtype=np.int64)
        found: Tensor = self.model.logits_from_stem(tokens.flatten(0, 1), counts)
        return found

    def of(self, index: int) -> Target:
        """The logit of another class of the same file."""
        return replace(self, index=index)

    def to_bytes(self, gradient: Float[Tensor, "tokens dim"]) -> Float[Tensor, "bytes"]:
        """What each byte adds to the sum over tokens of <token, gradient>, float64.

        A byte is read by up to two tokens, whose shares add up.
        """
        kernel, table = self.stem.kernel_size, self.table
        indices = self.values.unfold(0, kernel, self.stem.stride)
        rows = indices + torch.arange(kernel, device=table.device) * VOCABULARY
        step = max(1, _PRODUCTS_AT_ONCE // (kernel * table.shape[1]))
        # Each part is [tokens, kernel, dim] @ [tokens, dim, 1].
        parts = [
            (table[rows[first : first + step]] @ gradient[first : first + step, :, None])[..., 0]
            for first in range(0, self.num_tokens, step)
        ]
        return self._deal_out(torch.cat(parts))

    def spread(self, weights: Float[Tensor, "tokens"]) -> Float[Tensor, "bytes"]:
        """Weights of tokens dealt out evenly over the bytes that each reads, float64; none is lost."""
        own = (self.values.unfold(0, self.stem.kernel_size, self.stem.stride) != PADDING).double()
        return self._deal_out(weights.double()[:, None] * own / own.sum(dim=1, keepdim=True).clamp(min=1))

    def _deal_out(self, shares: Float[Tensor, "tokens kernel"]) -> Float[Tensor, "bytes"]:
        """The sum, for each byte, of the shares of the places at which tokens read it."""
        total = torch.zeros(len(self.values), dtype=torch.float64, device=shares.device)
        halves, stride = total.view(-1, self.stem.stride), self.stem.stride
        halves[:-1] += shares[:, :stride]
        halves[1:] += shares[:, stride:]
        return F.pad(total, (0, max(0, self.length - len(total))))[: self.length]  # what is not read says nothing


def make_target(model: nn.Module, data: bytes, index: int, stopped: Callable[[], bool] | None = None) -> Target:
    """The logit `index` of a model for a file; `stopped` as for `Target`.

    Raises:
        ValueError: the model does not classify files from their bytes, or the file is too short or too long for it.
    """
    if not isinstance(model, ByteFormer | Perceiver) or not model.reads_files:
        raise ValueError(
            f"a {type(model).__name__} that does not read the bytes of files cannot be explained byte by byte: "
            "give a model that classifies files as they are stored"
        )
    stem = next(module for module in model.modules() if isinstance(module, Stem))
    with torch.no_grad():
        table = stem.table()
    return Target(model, stem, table, data, _read_by_stem(model, stem, data), index, stopped)


def _read_by_stem(model: ByteFormer | Perceiver, stem: Stem, data: bytes) -> Int32[Tensor, "places"]:
    """The bytes of a file with the padding that fills its last kernel; the released code's numbers drop that kernel."""
    values = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(stem.kernel.device, torch.int32)
    if isinstance(model, ByteFormer) and model.config.numerics == "corenet":
        if len(data) < stem.kernel_size:
            raise ValueError(f"numerics='corenet' needs files of at least {stem.kernel_size} bytes, got {len(data)}")
        return values[: len(data) // stem.stride * stem.stride]
    count = int(stem.num_tokens(np.array([len(data)]))[0])
    return F.pad(values, (0, (count + 1) * stem.stride - len(values)), value=PADDING)
