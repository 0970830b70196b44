"""Inputs whose length is their own: token ids, and files of any length."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from anybyte.batch import ByteBatch
from anybyte.config import BytesInputConfig, TokenInputConfig
from anybyte.models.inputs.patches import Grid
from anybyte.models.positions import LearnedPositions, SinusoidalPositions
from anybyte.models.stem import Stem
from anybyte.models.windows import Lengths, on_the_host


class TokenInput(nn.Module):
    """Ids -> embedding + position."""

    def __init__(self, config: TokenInputConfig) -> None:
        super().__init__()
        self.config, self.num_channels = config, config.num_channels
        self.grid: Grid | None = None
        self.embedding = nn.Embedding(config.vocabulary, config.num_channels)
        self.positions = _positions(config.name, config.positions, config.num_channels, config.max_length, 1.0)

    def forward(self, x: object) -> tuple[Float[Tensor, "batch tokens channels"], Grid, None]:
        name, longest = self.config.name, self.config.max_length
        if not isinstance(x, Tensor):
            raise ValueError(f"input {name!r} must be a tensor of ids, got {type(x).__name__}")
        if x.dim() != 2 or x.is_floating_point() or x.dtype == torch.bool:
            raise ValueError(
                f"input {name!r} must be [batch, length] of integer ids, got {x.dtype} of shape {tuple(x.shape)}"
            )
        length = x.shape[1]
        if not 0 < length <= longest:
            raise ValueError(f"input {name!r} has {length} tokens; its position table takes 1 to max_length={longest}")
        # Looking at the values would make a GPU wait; there, the lookup itself complains.
        if x.device.type == "cpu" and x.numel() and not 0 <= int(x.min()) <= int(x.max()) < self.config.vocabulary:
            raise ValueError(
                f"input {name!r} has ids {int(x.min())} to {int(x.max())}, not 0 to {self.config.vocabulary - 1}"
            )
        embedded: Tensor = self.embedding(x.long())
        if self.positions is not None:
            embedded = embedded + self.positions.table(0, length)
        return embedded, (length,), None


class BytesInput(nn.Module):
    """Files -> ByteFormer's stem + position. The tokens of a batch are padded to its longest file, and masked."""

    def __init__(self, config: BytesInputConfig) -> None:
        super().__init__()
        self.config, self.num_channels = config, config.num_channels
        self.grid: Grid | None = None
        self.stem = Stem(config.num_channels, config.kernel_size)
        scale = config.num_channels**-0.5 if config.position_scale is None else config.position_scale
        self.positions = _positions(config.name, config.positions, config.num_channels, config.max_num_tokens, scale)
        start = {"paper": None, "smooth": self.stem.start_smooth, "samples": self.stem.start_as_samples}
        if config.initialisation not in start:
            raise ValueError(
                f"initialisation of input {config.name!r} must be paper, smooth or samples, "
                f"got {config.initialisation!r}"
            )
        start_bytes = start[config.initialisation]
        if start_bytes is not None:
            start_bytes()

    def forward(
        self, x: object
    ) -> tuple[Float[Tensor, "files tokens channels"], Grid, Bool[Tensor, "files tokens"] | None]:
        """Tokens, their number, and which of them are a file's own; None if all are."""
        if not isinstance(x, ByteBatch):
            raise ValueError(
                f"input {self.config.name!r} must be a ByteBatch, got {type(x).__name__}: "
                "see ByteBatch.from_bytes and .from_files"
            )
        if not len(x):
            return self.stem.kernel.new_zeros(0, 1, self.num_channels), (1,), None
        tokens, counts = self.stem(x)
        return self.arrange(tokens, counts)

    @on_the_host
    def arrange(self, tokens: Tensor, counts: Lengths) -> tuple[Tensor, Grid, Tensor | None]:
        """What `forward` gives, from the stem's tokens of all files end to end."""
        longest = int(counts.max())
        keep = None
        if (counts == longest).all():
            tokens = tokens.view(len(counts), longest, -1)
        else:
            tokens = pad_sequence(list(tokens.split(counts.tolist())), batch_first=True)
            keep = torch.arange(longest, device=tokens.device) < torch.from_numpy(counts).to(tokens.device)[:, None]
        if self.positions is not None:
            rows = self.positions.table(0, longest).to(tokens.dtype)
            # A long file's tokens are most of what there is in memory: one copy of them is enough.
            tokens = tokens + rows if torch.is_grad_enabled() else tokens.add_(rows)
        return tokens, (longest,), keep

    def stretches(self, data: UInt8[Tensor, "bytes"], num_tokens: int) -> Iterator[Float[Tensor, "1 tokens channels"]]:
        """The tokens of one file, `num_tokens` at a time: equal to what `forward` makes of it whole."""
        kernel, stride = self.config.kernel_size, self.stem.stride
        total = int(self.stem.num_tokens(torch.tensor([len(data)]).numpy())[0])
        for first in range(0, total, num_tokens):
            count = min(num_tokens, total - first)
            part = data[first * stride : (first + count - 1) * stride + kernel]
            tokens, _ = self.stem(ByteBatch(part, torch.tensor([len(part)])))
            if self.positions is not None:
                tokens = tokens.add_(self.positions.table(first, count).to(tokens.dtype))
            yield tokens[None]


def _positions(
    name: str, kind: str, num_channels: int, max_length: int, scale: float
) -> LearnedPositions | SinusoidalPositions | None:
    if kind == "learned":
        return LearnedPositions(num_channels, max_length)
    if kind == "sinusoidal":
        return SinusoidalPositions(num_channels, scale)
    if kind != "none":
        raise ValueError(f"positions of input {name!r} must be learned, sinusoidal or none, got {kind!r}")
    return None
