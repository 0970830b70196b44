"""ByteFormer over padded rows: the form for runtimes that know tensors of one shape and no lists of files.

The library's own form keeps files end to end and plans windows from their lengths in NumPy (`models/windows.py`). Here
a batch is [files, longest], each file has a length, and all that depends on lengths is arithmetic on tensors: which
token is one, which keys a window may look at, which tokens the mean counts. So `torch.export` and ONNX can hold it with
any batch and length. The weights are the same, and so are the logits but for rounding; what stands behind a file's end,
and beside it in the batch, changes nothing. Rows get a few empty slots and one empty window: `torch.export` takes a
size of one for a constant, so that here no size is ever one.

    bytes, lengths -> table stem -> + positions -> [windows under masks -> (merge)] * depth -> masked mean -> logits
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.batch import PADDING, VOCABULARY, ByteBatch
from anybyte.models.attention import Block, TokenMerge
from anybyte.models.byteformer import ByteFormer
from anybyte.models.positions import LearnedPositions, SinusoidalPositions
from anybyte.predictor import Predictor, load_as

StemForm = Literal["table", "convolution"]

UNSEEN = -1e9
"""Added to the score of a key that is none. Finite: windows without any key are averages of nothing, not NaN."""

PLACES_AT_ONCE = 8
"""Places of the kernel whose table rows are in memory together: more are no faster, and a long file needs room."""


def exportable(predictor: Predictor, name: str | os.PathLike[str]) -> ByteFormer:
    """The model of a predictor, if it has a padded form.

    Raises:
        ValueError: it has none; the message says which models have.
    """
    model = predictor.model
    if not isinstance(model, ByteFormer):
        raise ValueError(
            f"{os.fspath(name)} is a {type(model).__name__}: only ByteFormers that classify files can be exported"
        )
    if model.config.numerics != "anybyte":
        raise ValueError(
            f"{os.fspath(name)} has numerics={model.config.numerics!r}, where a file's answer depends on its padding: "
            "only models with numerics='anybyte' can be exported"
        )
    return model


def export_program(model: str | os.PathLike[str], out: str | os.PathLike[str], stem: StemForm = "table") -> Path:
    """Writes a model as a `torch.export` program of any batch and length, which runs without this library.

    `torch.export.load(path).module()(tokens, lengths)` are the logits; both are int32, as for `PaddedByteFormer`.
    Tracing takes some ten seconds, and more for deep models.

    Args:
        model: a folder, bundled name or hub id of a ByteFormer that classifies files.
        out: the file to write, `.pt2`.
        stem: see `PaddedByteFormer`.

    Raises:
        ValueError: it is not a ByteFormer that classifies files, or computes as the paper's released code.
        OSError: the file cannot be written.
    """
    byteformer = exportable(load_as(Predictor, model, device="cpu"), model)
    tokens, lengths = torch.zeros(2, 1000, dtype=torch.int32), torch.tensor([1000, 77], dtype=torch.int32)
    batch, length = torch.export.Dim.DYNAMIC, torch.export.Dim.DYNAMIC
    program = torch.export.export(
        PaddedByteFormer(byteformer, stem).eval(), (tokens, lengths), dynamic_shapes=({0: batch, 1: length}, {0: batch})
    )
    temporary = Path(out).with_name(f".{Path(out).stem}.{os.getpid()}.pt2")  # another ending would be warned about
    try:
        torch.export.save(program, temporary)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return Path(out)


def check_program(
    model: str | os.PathLike[str], program: str | os.PathLike[str], seed: int = 0
) -> tuple[tuple[int, ...], float]:
    """The lengths of some random files, and the largest difference between a program's logits for them and the model's.

    Raises:
        ValueError: as for `export_program`.
    """
    byteformer = exportable(load_as(Predictor, model, device="cpu"), model)
    run = torch.export.load(program).module()
    files = random_files(byteformer, seed)
    batch = ByteBatch.from_bytes(files)
    with torch.inference_mode():
        expected = byteformer(batch)
        together = run(batch.padded().int(), batch.lengths.int())
        alone = torch.cat(
            [run(data.int()[None], torch.tensor([len(data)], dtype=torch.int32)) for data in batch.split()]
        )
    difference = max(float((found - expected).abs().max()) for found in (together, alone))
    return tuple(batch.lengths.tolist()), difference


def random_files(model: ByteFormer, seed: int, number: int = 12) -> list[bytes]:
    """Random bytes to try a model on, of the lengths at which something changes and of `number` random ones, up to
    several windows."""
    random, stem = np.random.default_rng(seed), model.stem
    window = max(window for window, _ in model.windows) * stem.stride
    edges = [1, stem.stride, stem.kernel_size - 1, stem.kernel_size, stem.kernel_size + 1, window, window + 1]
    drawn = np.exp(random.uniform(0, np.log(min(4 * window, 2**17)), number)).astype(int)
    longest = max_length(model) or max(edges) * 4
    lengths = [min(max(length, 1), longest) for length in (*edges, *drawn.tolist())]
    return [random.integers(0, 256, length, dtype=np.uint8).tobytes() for length in lengths]


def max_length(model: ByteFormer) -> int | None:
    """Bytes of the longest file that a learned table of positions allows; None: any."""
    if model.config.positions != "learned":
        return None
    tokens: int = model.config.max_num_tokens
    return (tokens - 1) * model.stem.stride + model.stem.kernel_size


class PaddedByteFormer(nn.Module):
    """A ByteFormer whose input is rectangular: `model(tokens, lengths) -> logits`. It shares the model's weights.

    Args:
        model: whose weights; in evaluation mode nothing of it changes.
        stem: `table` looks up what each byte adds at each place of the kernel, [k * 257, dim] numbers; `convolution`
            embeds bytes and multiplies by the kernel, [257 + k * dim, dim] numbers.

    Raises:
        ValueError: the model computes as the paper's released code does, where answers depend on padding.
    """

    def __init__(self, model: ByteFormer, stem: StemForm = "table") -> None:
        super().__init__()
        if model.config.numerics != "anybyte":
            raise ValueError(
                f"numerics={model.config.numerics!r} lets a file's answer depend on its padding: only models with "
                "numerics='anybyte' have a padded form"
            )
        if stem not in ("table", "convolution"):
            raise ValueError(f"stem is {stem!r}, expected 'table' or 'convolution'")
        self.kernel_size, self.stride, self.windows = model.stem.kernel_size, model.stem.stride, model.windows
        self.stem = TableStem(model) if stem == "table" else ConvolutionStem(model)
        self.positions = _Positions(model.positions, model.config.dim)
        self.blocks, self.merges, self.norm, self.classifier = model.blocks, model.merges, model.norm, model.classifier

    def forward(
        self, tokens: Int32[Tensor, "files longest"], lengths: Int32[Tensor, "files"]
    ) -> Float[Tensor, "files classes"]:
        """Logits of each file.

        Args:
            tokens: bytes, 0 to 255, of each file from the start of its row; whatever follows is not read. Rows have at
                least one place.
            lengths: bytes of each file.
        """
        counts = self.num_tokens(lengths)
        x = self.stem(self.read(tokens, lengths))
        x = x + self.positions(x.shape[1])
        for index, (window, shift) in enumerate(self.windows):
            block = self.blocks[index]
            assert isinstance(block, Block)
            x = run_block(block, x, counts, window, shift % window)
            if str(index) in self.merges:
                x, counts = self._merge(str(index), x, counts)
        x = _zero_behind(self.norm(x), counts)
        logits: Tensor = self.classifier(x.sum(dim=1) / counts[:, None].to(x.dtype))
        return logits

    def num_tokens(self, lengths: Int32[Tensor, "files"]) -> Int32[Tensor, "files"]:
        """Tokens of files of these lengths in bytes, as `Stem.num_tokens` counts them."""
        beyond = (lengths - self.kernel_size).clamp(min=0)
        return torch.div(beyond + (self.stride - 1), self.stride, rounding_mode="floor") + 1

    def read(
        self, tokens: Int32[Tensor, "files longest"], lengths: Int32[Tensor, "files"]
    ) -> Int32[Tensor, "files slots kernel_size"]:
        """The bytes that each token reads, padding entries behind the end of a file.

        There is a slot for each token of the longest row that could be, and some that stay empty.
        """
        longest = tokens.shape[1]
        slots = (longest + self.stride - 1) // self.stride + 2 ** len(self.merges)  # still two after the last merge
        place = torch.arange(longest, dtype=lengths.dtype, device=tokens.device)
        tokens = torch.where(place < lengths[:, None], tokens, torch.full_like(tokens, PADDING))
        tokens = F.pad(tokens, (0, (slots + 1) * self.stride - longest), value=PADDING)
        halves = tokens.reshape(tokens.shape[0], slots + 1, self.stride)
        return torch.cat([halves[:, :-1], halves[:, 1:]], dim=2)

    def _merge(self, name: str, x: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs of tokens as one; the last of an odd number is paired with zeros, as everything behind the end is."""
        x = _zero_behind(x, counts)
        pairs = (x.shape[1] + 1) // 2
        x = F.pad(x, (0, 0, 0, 2 * pairs - x.shape[1])).reshape(x.shape[0], pairs, 2 * x.shape[2])
        merge = self.merges[name]
        assert isinstance(merge, TokenMerge)
        return merge.norm(merge.reduction(x)), torch.div(counts + 1, 2, rounding_mode="floor")


class TableStem(nn.Module):
    """Tokens as sums of table rows, a few places of the kernel at a time."""

    def __init__(self, model: ByteFormer) -> None:
        super().__init__()
        self.kernel_size = model.stem.kernel_size
        self.table = nn.Parameter(model.stem.table().detach(), requires_grad=False)

    def forward(self, indices: Int32[Tensor, "files slots kernel_size"]) -> Float[Tensor, "files slots dim"]:
        total: Tensor | None = None
        for first in range(0, self.kernel_size, PLACES_AT_ONCE):
            end = min(first + PLACES_AT_ONCE, self.kernel_size)
            steps = torch.arange(first, end, dtype=torch.int32, device=indices.device) * VOCABULARY
            part = F.embedding(indices[:, :, first:end] + steps, self.table).sum(dim=2)
            total = part if total is None else total + part
        assert total is not None
        return total


class ConvolutionStem(nn.Module):
    """Tokens by embedding each byte and multiplying by the kernel."""

    def __init__(self, model: ByteFormer) -> None:
        super().__init__()
        stem = model.stem
        embedding = stem.embedding.detach().clone()
        embedding[PADDING] = 0
        self.embedding = nn.Parameter(embedding, requires_grad=False)
        self.kernel = nn.Parameter(stem.kernel.detach().transpose(1, 2).flatten(1), requires_grad=False)

    def forward(self, indices: Int32[Tensor, "files slots kernel_size"]) -> Float[Tensor, "files slots dim"]:
        return F.linear(F.embedding(indices, self.embedding).flatten(2), self.kernel)


class _Positions(nn.Module):
    """Rows 0 to count - 1 of a model's positions, [count, dim]; without positions, zero."""

    def __init__(self, positions: LearnedPositions | SinusoidalPositions | None, dim: int) -> None:
        super().__init__()
        self.rows: Tensor | None = positions.rows if isinstance(positions, LearnedPositions) else None
        self.scale = positions.scale if isinstance(positions, SinusoidalPositions) else 0.0
        half = dim // 2
        frequencies = 10_000 ** (-torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
        # A cosine is a sine a quarter of a turn later: one function of all columns, and every runtime has its double.
        self.frequencies: Tensor
        self.phases: Tensor
        self.register_buffer("frequencies", frequencies.repeat(2), persistent=False)
        self.register_buffer(
            "phases", torch.tensor([0.0, math.pi / 2]).double().repeat_interleave(half), persistent=False
        )

    def forward(self, count: int) -> Tensor:
        if self.rows is not None:
            # A slot behind the last token may have no row. What it reads there is masked.
            return self.rows[torch.arange(count, device=self.rows.device).clamp(max=len(self.rows) - 1)]
        if not self.scale:
            return self.frequencies.new_zeros((), dtype=torch.float32)
        places = torch.arange(count, device=self.frequencies.device).to(torch.float64)
        angles = places[:, None] * self.frequencies + self.phases
        return (angles.sin() * self.scale).to(torch.float32)


def run_block(
    block: Block, x: Float[Tensor, "files slots dim"], counts: Int32[Tensor, "files"], window: int, shift: int
) -> Float[Tensor, "files slots dim"]:
    """A block over files of `counts` tokens, in windows that begin at 0, shift, shift + window, ..."""
    attention = block.attention
    qkv = attention.qkv(block.norm1(x))
    x = x + attention.out(attend_in_windows(qkv, counts, attention.num_heads, window, shift))
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


def attend_in_windows(
    qkv: Float[Tensor, "files slots three_dim"], counts: Int32[Tensor, "files"], num_heads: int, window: int, shift: int
) -> Float[Tensor, "files slots dim"]:
    """Attention inside windows: slots are put into whole windows, and keys that are no tokens get no weight."""
    files, slots, channels = qkv.shape
    width = channels // 3 // num_heads
    lead = (window - shift) % window  # empty places before the first token: the first window has `shift` tokens
    windows = (lead + slots + window - 1) // window + 1
    qkv = F.pad(qkv, (0, 0, lead, windows * window - lead - slots))
    q, k, v = qkv.reshape(files, windows, window, 3, num_heads, width).permute(3, 0, 1, 4, 2, 5)
    place = torch.arange(windows * window, dtype=counts.dtype, device=qkv.device) - lead
    is_token = (place >= 0) & (place < counts[:, None])
    unseen = (~is_token).to(qkv.dtype).reshape(files, windows, 1, 1, window) * UNSEEN
    scores = torch.matmul(q * width**-0.5, k.transpose(-1, -2)) + unseen
    found = torch.matmul(scores.softmax(dim=-1), v)
    found = found.permute(0, 1, 3, 2, 4).reshape(files, windows * window, channels // 3)
    return found[:, lead : lead + slots]


def _zero_behind(
    x: Float[Tensor, "files slots dim"], counts: Int32[Tensor, "files"]
) -> Float[Tensor, "files slots dim"]:
    """x with zeros behind the last token of each file."""
    place = torch.arange(x.shape[1], dtype=counts.dtype, device=x.device)
    return x * (place < counts[:, None])[:, :, None].to(x.dtype)
