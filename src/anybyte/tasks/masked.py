"""Masked language modelling: whole words are missing from a text, and the model says which (Jaegle et al. 2022, section
4.1).

Words are what stands between white space. They are drawn on the bytes of an example by its own randomness, whatever the
tokens are: bytes and pieces of one text miss the same words. The model decodes masked places only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.config import MaskedConfig
from anybyte.files.text import Mixture, Texts
from anybyte.models.tokenizer import SPECIALS
from anybyte.tasks import Sample

MASK, PAD = SPECIALS["[MASK]"], SPECIALS["[PAD]"]

BYTES_A_PIECE = 6
"""Bytes that are cut out for each piece that a model of pieces reads: more than they have on average."""

_NO_TARGET = -100
_STREAM_CROPS = 100_000

IS_SPACE = np.zeros(256, dtype=bool)
"""Which bytes stand between words: ASCII's white space."""
IS_SPACE[list(b" \t\n\r\v\f")] = True


class Tokenizer(Protocol):
    """What the task asks of bytes and of pieces."""

    def split(self, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids [tokens] of a text, and where they begin and end in its bytes [tokens + 1]."""


class Masked:
    """Texts to the tokens that are missing from them; a `Task`.

    Args:
        config: what is masked.
        tokenizer: of bytes or pieces.
        max_tokens: that the model reads; what is behind them in an example is cut.
        label_smoothing: share of the target that is spread over all tokens, in training only. A little keeps the price
            bounded of what no training text holds.

    Raises:
        ValueError: a probability that is none.
    """

    def __init__(
        self, config: MaskedConfig, tokenizer: Tokenizer, max_tokens: int, label_smoothing: float = 0.0
    ) -> None:
        for name in ("probability", "short_share"):
            value = getattr(config, name)
            if not 0 <= value <= 1 or (name == "probability" and not value):
                raise ValueError(f"task.{name} is a probability, got {value}")
        self.config, self.tokenizer, self.max_tokens = config, tokenizer, max_tokens
        self.label_smoothing = label_smoothing

    def collate(self, samples: Sequence[Sample]) -> tuple[dict[str, Tensor | None], dict[str, Tensor]]:
        """Ids with their masked places, where these are, and what is missing there.

        The label of a sample says whether it is for training, in which masks may be short.
        """
        return pad_tokens([self._mask(sample) for sample in samples])

    def loss(
        self, model: nn.Module, inputs: dict[str, Tensor | None], targets: dict[str, Tensor]
    ) -> tuple[Tensor, int]:
        """The cross-entropy in nats, summed over the masked tokens, and how many there are."""
        logits, wanted = self._answer(model, inputs), targets["ids"]
        loss = F.cross_entropy(
            logits.flatten(0, 1),
            wanted.flatten(),
            ignore_index=_NO_TARGET,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        return loss, int((wanted >= 0).sum())

    def measure(
        self, model: nn.Module, inputs: dict[str, Tensor | None], targets: dict[str, Tensor]
    ) -> dict[str, float]:
        """Sums over the masked tokens: how many there are and how many are right, their bytes likewise, and nats."""
        logits, wanted, sizes = self._answer(model, inputs), targets["ids"], targets["sizes"]
        known = wanted >= 0
        nats = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=_NO_TARGET, reduction="none")
        right = (logits.argmax(-1) == wanted) & known
        return {
            "tokens": float(known.sum()),
            "right": float(right.sum()),
            "nats": float(nats.double().sum()),
            "bytes": float(sizes.sum()),
            "right_bytes": float((sizes * right).sum()),
        }

    def summarise(self, sums: dict[str, float]) -> dict[str, float]:
        """`loss` in nats a masked token, `accuracy` of these, and both in bytes: `byte_accuracy`, `bits_per_byte`.

        A piece that is right counts all of its masked bytes; its bits are shared out among them.
        """
        tokens, num_bytes = max(1.0, sums["tokens"]), max(1.0, sums["bytes"])
        return {
            "loss": sums["nats"] / tokens,
            "accuracy": sums["right"] / tokens,
            "byte_accuracy": sums["right_bytes"] / num_bytes,
            "bits_per_byte": sums["nats"] / math.log(2) / num_bytes,
        }

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The fewer bits a byte, the better."""
        return (-metrics["bits_per_byte"],)

    def _mask(self, sample: Sample) -> MaskedTokens:
        config, rng = self.config, sample.rng
        is_short = sample.label and config.short_share > 0 and rng.random() < config.short_share
        data = np.frombuffer(sample.data, dtype=np.uint8)
        hidden = draw_bytes(data, config.probability, rng) if is_short else draw_words(data, config.probability, rng)
        return mask_tokens(*self.tokenizer.split(sample.data), hidden, self.max_tokens)

    def _answer(self, model: nn.Module, inputs: dict[str, Tensor | None]) -> Tensor:
        logits: Tensor = model(inputs["ids"], mask=inputs["mask"], rows=inputs["rows"])
        return logits.float()


MaskedTokens = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Ids [tokens] with masks in them; the masked places, their true ids, and their masked bytes, each [masked]."""


def draw_words(data: NDArray[np.uint8], probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which bytes are masked, [bytes]: whole words, each with this probability; one at least, if there is any."""
    is_word = ~IS_SPACE[data]
    begins = is_word.copy()
    begins[1:] &= ~is_word[:-1]
    count = int(begins.sum())
    drawn = _draw(count, probability, rng)
    hidden: NDArray[np.bool_] = is_word & np.concatenate([[False], drawn])[np.cumsum(begins)]
    return hidden


def draw_bytes(data: NDArray[np.uint8], probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which bytes are masked, [bytes]: single ones of words, each with this probability; one at least."""
    hidden = ~IS_SPACE[data]
    hidden[hidden] = _draw(int(hidden.sum()), probability, rng)
    return hidden


def _draw(count: int, probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    drawn = rng.random(count) < probability
    if count and not drawn.any():
        drawn[rng.integers(count)] = True
    return drawn


def mask_tokens(
    ids: NDArray[np.int64], bounds: NDArray[np.int64], hidden: NDArray[np.bool_], max_tokens: int | None = None
) -> MaskedTokens:
    """Masks every token that has a hidden byte.

    Args:
        ids: of the tokens.
        bounds: where they begin and end in the bytes, [tokens + 1].
        hidden: which bytes are, [bytes].
        max_tokens: those behind are cut.
    """
    ids, bounds = ids[:max_tokens].copy(), bounds[: None if max_tokens is None else max_tokens + 1]
    sums = np.concatenate([[0], np.cumsum(hidden)])[bounds]
    sizes = sums[1:] - sums[:-1]
    places = np.flatnonzero(sizes)
    true = ids[places]
    ids[places] = MASK
    return ids, places, true, sizes[places]


def pad_tokens(rows: Sequence[MaskedTokens]) -> tuple[dict[str, Tensor | None], dict[str, Tensor]]:
    """Texts as one batch: int64 ids [batch, longest], their mask (None if nothing is padded), masked places
    [batch, most]; targets `ids` [batch, most] (-100 where there is none) and `sizes` in bytes, likewise."""
    lengths = np.array([len(ids) for ids, *_ in rows])
    counts = np.array([len(places) for _, places, *_ in rows])
    longest, most = max(1, int(lengths.max())), max(1, int(counts.max()))
    ids = np.full((len(rows), longest), PAD, dtype=np.int64)
    places = np.zeros((len(rows), most), dtype=np.int64)
    true = np.full((len(rows), most), _NO_TARGET, dtype=np.int64)
    sizes = np.zeros((len(rows), most), dtype=np.int64)
    for number, (length, count, row) in enumerate(zip(lengths.tolist(), counts.tolist(), rows, strict=True)):
        ids[number, :length], places[number, :count], true[number, :count], sizes[number, :count] = row
    keep = None if (lengths == longest).all() else torch.from_numpy(np.arange(longest) < lengths[:, None])
    inputs = {"ids": torch.from_numpy(ids), "mask": keep, "rows": torch.from_numpy(places)}
    return inputs, {"ids": torch.from_numpy(true), "sizes": torch.from_numpy(sizes)}


class Crops:
    """`Examples` for training: stretches of a text, drawn anew each time.

    Args:
        texts: to cut from.
        length: of a stretch, in bytes.
        packed: documents that one is cut out of.
        count: stretches of an epoch. None: as many as the text is long.

    Raises:
        ValueError: there is no text.
    """

    def __init__(self, texts: Mixture, length: int, packed: int, count: int | None = None) -> None:
        if not texts.sources:
            raise ValueError("there is no text to train on: all of it is for validation and testing")
        if length < 1 or packed < 1:
            raise ValueError(f"an example has at least one byte of one document, got {length} of {packed}")
        self.texts, self.length, self.packed = texts, length, packed
        size = texts.size
        self.count = count or (_STREAM_CROPS if size is None else max(1, math.ceil(size / length)))

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{' and '.join(source.name for source in self.texts.sources)} (crop {index})"

    def sizes(self) -> NDArray[np.int64]:
        return np.full(self.count, self.length, dtype=np.int64)

    def identity(self) -> str:
        """Of what is read, and how it is cut."""
        return hashlib.sha256(f"{self.texts.identity()} {self.length} {self.packed} {self.count}".encode()).hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[bytes, bool]:
        """A stretch by this randomness, or without any by that of the index."""
        own = np.random.default_rng(index) if rng is None else rng
        return self.texts.crop(self.length, self.packed, own), True

    def blank(self) -> tuple[bytes, bool]:
        return b"blank", True


class Windows:
    """`Examples` for measuring: all of a text, in stretches that follow each other.

    Args:
        texts: to cut.
        length: of a stretch, in bytes.
        most: of so many, evenly spread, the others are left out. None: all.
    """

    def __init__(self, texts: Sequence[Texts], length: int, most: int | None = None) -> None:
        whole = [(text, document, start) for text in texts for document, start in text.windows(length)]
        kept = len(whole) if most is None else min(most, len(whole))
        self.length = length
        self.windows = [whole[index * len(whole) // kept] for index in range(kept)]
        self._identity = repr([text.identity() for text in texts])

    def __len__(self) -> int:
        return len(self.windows)

    def name(self, index: int) -> str:
        _, document, start = self.windows[index]
        return f"{document.name} (from byte {document.start + start})"

    def sizes(self) -> NDArray[np.int64]:
        return np.full(len(self), self.length, dtype=np.int64)

    def identity(self) -> str:
        """Of what is read, and how it is cut."""
        return hashlib.sha256(f"{self._identity} {self.length} {len(self)}".encode()).hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[bytes, bool]:
        """A stretch as it is."""
        text, document, start = self.windows[index]
        return text.read(document, start, start + self.length), False

    def blank(self) -> tuple[bytes, bool]:
        return b"blank", False


def example_bytes(config: MaskedConfig, max_tokens: int) -> int:
    """Bytes of an example for a model that reads so many tokens.

    Raises:
        ValueError: a model of bytes cannot read as many as are asked for.
    """
    if config.pieces is not None:
        return config.length or BYTES_A_PIECE * max_tokens
    if config.length is not None and not 0 < config.length <= max_tokens:
        raise ValueError(f"task.length must lie in 1 to {max_tokens}, what the model reads; got {config.length}")
    return config.length or max_tokens
