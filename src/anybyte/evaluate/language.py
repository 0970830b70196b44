"""How well a masked language model finds the words that are missing from a text.

Words are drawn once for each document, by a seed, whatever reads it: so bytes, pieces and n-grams are asked for the
same words, and share the same count of bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from anybyte.config import MaskedConfig, Recipe
from anybyte.evaluate.ngram import ByteNgram
from anybyte.evaluate.ngram_missing import answer
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.files.text import Texts, open_text, open_texts
from anybyte.models.perceiver import Perceiver
from anybyte.models.pieces import PieceTokenizer, has_pieces, read_pieces
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer
from anybyte.tasks.masked import IS_SPACE, MaskedTokens, draw_words, mask_tokens, pad_tokens

ORDER = 5
SEED = 0
UNIFORM_SHARES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Of a uniform distribution that an answer may be mixed with: what bytes cost that no training text holds."""

NGRAM_ROWS = {
    "left": "from the left",
    "both": "from both sides",
    "told": "told the true left",
}

Progress = Callable[[int, int], None]
_WINDOWS = 32


@dataclass(frozen=True)
class Missing:
    """Documents, and which of their bytes are masked.

    Attributes:
        texts: the documents.
        hidden: [bytes] of each.
    """

    texts: tuple[bytes, ...]
    hidden: tuple[NDArray[np.bool_], ...]

    @classmethod
    def of(cls, texts: Sequence[bytes], probability: float, seed: int = SEED) -> Missing:
        """Whole words of each text, drawn by seed and number of the text."""
        drawn = (
            draw_words(np.frombuffer(text, dtype=np.uint8), probability, np.random.default_rng([seed, number]))
            for number, text in enumerate(texts)
        )
        return cls(tuple(texts), tuple(drawn))

    def words(self) -> list[NDArray[np.int64]]:
        """The number of the word that each byte belongs to, or the last one before it, over all texts: [bytes] each."""
        numbers, before = [], 0
        for text in self.texts:
            is_word = ~IS_SPACE[np.frombuffer(text, dtype=np.uint8)]
            begins = is_word & ~np.concatenate([[False], is_word[:-1]])
            numbers.append(np.cumsum(begins) + before)
            before = int(numbers[-1][-1]) + 1 if len(text) else before
        return numbers


@dataclass(frozen=True)
class Answered:
    """What was answered at each masked token.

    Attributes:
        chances: the probability of the true token, float64 [tokens].
        right: whether it was the most probable, [tokens].
        sizes: its masked bytes, [tokens].
        words: the number of the word that it is a part of, [tokens].
        vocabulary: tokens that there are.
    """

    chances: NDArray[np.float64]
    right: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    words: NDArray[np.int64]
    vocabulary: int

    def bits_per_byte(self, uniform: float = 0.0) -> float:
        """Bits of all masked tokens by their masked bytes, answers mixed with so much of a uniform distribution."""
        mixed = (1 - uniform) * self.chances + uniform / self.vocabulary
        return float(-np.log2(np.maximum(mixed, 1e-45)).sum() / max(1, self.sizes.sum()))

    def numbers(self) -> dict[str, float | dict[str, float]]:
        """Masked bytes and words, the shares of them that are right, and bits a byte, mixed by UNIFORM_SHARES too."""
        words, where = np.unique(self.words, return_inverse=True)
        wrong = np.bincount(where, weights=~self.right, minlength=len(words))
        num_bytes = int(self.sizes.sum())
        return {
            "bytes": num_bytes,
            "words": len(words),
            "byte_accuracy": float(self.sizes[self.right].sum()) / max(1, num_bytes),
            "word_accuracy": float((wrong == 0).mean()) if len(words) else math.nan,
            "bits_per_byte": self.bits_per_byte(),
            "mixed": {f"{share:g}": self.bits_per_byte(share) for share in UNIFORM_SHARES},
        }


def evaluate(request: Request) -> Findings:
    """Masked accuracy and bits a byte of a masked language model; with `baseline`, of a byte 5-gram as well.

    Options: `limit`, bytes to measure on; `baseline`, count n-grams in the text that the run was trained on.

    Raises:
        ValueError: no text, or a model that is for something else.
        OSError: a text cannot be read.
    """
    recipe = request.recipe
    task = recipe.task if recipe is not None and isinstance(recipe.task, MaskedConfig) else MaskedConfig()
    limit = request.options.get("limit")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit is {limit}, expected at least 1 byte")
    texts, part = _texts(request, task, None if limit is None else int(limit))
    missing = Missing.of(texts, task.probability)
    total = sum(map(len, texts))
    about = {"data": request.path, "part": f"{part}, {total:,} bytes", "masked": f"{task.probability:.0%} of the words"}
    model = request.load()
    if not isinstance(model, Perceiver):
        raise ValueError(f"{request.name} does not read text")
    tokenizer = read_pieces(request.folder) if has_pieces(request.folder) else ByteTokenizer(max_length=None)
    answered = answer_model(model, tokenizer, missing, request.precision, request.progress)
    rows = {"this model": answered}
    if request.options.get("baseline"):
        ngram = ByteNgram(_training_texts(request, recipe, task), ORDER)
        found = answer_ngram(ngram, missing, request.progress)
        rows |= {f"byte {ORDER}-gram, {NGRAM_ROWS[name]}": one for name, one in found.items()}
    numbers = {name: one.numbers() for name, one in rows.items()}
    return Findings(about=about, text=table(numbers), numbers={"seed": SEED, "rows": numbers})


@torch.no_grad()
def answer_model(
    model: Perceiver,
    tokenizer: ByteTokenizer | PieceTokenizer,
    missing: Missing,
    precision: str = "fp32",
    progress: Progress | None = None,
) -> Answered:
    """What a model says of the masked tokens, one stretch of text after the other, on the device where it is.

    Raises:
        ValueError: the tokenizer does not fit the model.
    """
    (part,) = model.config.inputs
    vocabulary = tokenizer.vocabulary if isinstance(tokenizer, PieceTokenizer) else BYTE_OFFSET + 256
    if getattr(part, "vocabulary", None) != vocabulary:
        raise ValueError(f"the model's vocabulary is {getattr(part, 'vocabulary', None)}, its tokenizer's {vocabulary}")
    device = next(model.parameters()).device
    windows = list(masked_windows(tokenizer, missing, part.max_length))
    windows.sort(key=lambda window: len(window[0][0]))  # alike ones need no padding
    chances, right = [], []
    for first in range(0, len(windows), _WINDOWS):
        inputs, targets = pad_tokens([window for window, _ in windows[first : first + _WINDOWS]])
        ids, mask, rows = (None if each is None else each.to(device) for each in inputs.values())
        assert ids is not None
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(ids, mask=mask, rows=rows)
        assert isinstance(logits, torch.Tensor)
        known = targets["ids"] >= 0
        true, found = targets["ids"][known], logits.float().cpu()[known]
        chances.append(found.double().softmax(dim=-1).gather(1, true[:, None])[:, 0].numpy())
        right.append((found.argmax(dim=-1) == true).numpy())
        if progress is not None:
            progress(min(first + _WINDOWS, len(windows)), len(windows))
    sizes = [window[3] for window, _ in windows]
    words = [words for _, words in windows]
    return Answered(
        np.concatenate(chances), np.concatenate(right), np.concatenate(sizes), np.concatenate(words), vocabulary
    )


def answer_ngram(model: ByteNgram, missing: Missing, progress: Progress | None = None) -> dict[str, Answered]:
    """What an n-gram says of the masked bytes, by what it is given: `NGRAM_ROWS`."""
    found = answer(model, missing.texts, missing.hidden, progress)
    pairs = list(zip(missing.texts, missing.hidden, strict=True))
    true = np.concatenate([np.frombuffer(text, dtype=np.uint8)[hidden] for text, hidden in pairs]).astype(np.int64)
    words = np.concatenate([part[hidden] for part, hidden in zip(missing.words(), missing.hidden, strict=True)])
    rows = {"left": found.left, "both": found.both, "told": found.told}
    return {
        name: Answered(
            row[np.arange(len(true)), true].astype(np.float64),
            row.argmax(axis=1) == true,
            np.ones_like(true),
            words,
            256,
        )
        for name, row in rows.items()
    }


def table(numbers: dict[str, dict[str, float | dict[str, float]]]) -> str:
    """What was measured, as it is printed."""
    head = ("", "bytes right", "words right", "bits a byte")
    rows = [
        (name, f"{one['byte_accuracy']:.1%}", f"{one['word_accuracy']:.1%}", f"{one['bits_per_byte']:.3f}")
        for name, one in numbers.items()
    ]
    return columns([head, *rows])


def masked_windows(
    tokenizer: ByteTokenizer | PieceTokenizer, missing: Missing, max_tokens: int
) -> Iterator[tuple[MaskedTokens, NDArray[np.int64]]]:
    """The texts in stretches of equal length that the model can read, masked; and the words of what is masked."""
    for text, hidden, words in zip(missing.texts, missing.hidden, missing.words(), strict=True):
        ids, bounds = tokenizer.split(text)
        count = max(1, math.ceil(len(ids) / max_tokens))
        cuts = np.linspace(0, len(ids), count + 1).astype(np.int64).tolist()
        for first, last in pairwise(cuts):
            start, stop = int(bounds[first]), int(bounds[last])
            part = mask_tokens(ids[first:last], bounds[first : last + 1] - start, hidden[start:stop])
            ends = bounds[first + part[1] + 1] - 1
            if len(part[1]):
                yield part, words[ends]


def _texts(request: Request, task: MaskedConfig, limit: int | None) -> tuple[list[bytes], str]:
    """The documents to measure on, and what to call them."""
    if request.data is not None and request.split in (None, "all"):
        found, part = [open_text(request.data)], "all of it"
    else:
        splits = open_texts(request.path, task.held_out)
        part = request.split or "test"
        parts = {"val": splits.val, "test": splits.test}
        if part not in parts:
            raise ValueError(f"a language model is measured on val, test or all of a text, not on {part!r}")
        found = list(parts[part])
        if not found:
            raise ValueError(f"{request.path} has no text for {part}: name some with --data, or take --split val")
    texts, room = [], limit
    for each in found:
        for document in each.documents:
            text = each.read(document, 0, room)
            room = None if room is None else room - len(text)
            texts += [text] if text else []
    if not texts:
        raise ValueError("there is no text to measure on")
    return texts, part if limit is None else f"the first bytes of {part}"


def _training_texts(request: Request, recipe: Recipe | None, task: MaskedConfig) -> Iterator[bytes]:
    if recipe is None or not recipe.data.path:
        raise ValueError(f"{request.name} has no recipe.json that names the text to count n-grams in")
    for source in open_texts(recipe.data.path, task.held_out).train.sources:
        if not isinstance(source, Texts):
            raise ValueError(f"n-grams are counted in texts at hand, and {source.name} is a stream")
        for document in source.documents:
            yield source.read(document)
