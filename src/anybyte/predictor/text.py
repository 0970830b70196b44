"""Text with blanks: which bytes belong there.

predictor = anybyte.load("models/language")
filled = predictor.fill("The capital of ______ is Paris.", top=3)
filled.blanks[0].candidates[0].text
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anybyte.config import TokenInputConfig, TokenOutputConfig
from anybyte.models.perceiver import Perceiver
from anybyte.models.pieces import PieceTokenizer
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS, ByteTokenizer
from anybyte.predictor.compute import Compute, Precision, Progress, watched
from anybyte.predictor.text_pieces import best_pieces, lay_out

BLANK = "_"
"""Two or more of these in a row are a blank, of one byte each; for a model of pieces, of however many bytes. One alone
is text, as in `snake_case`."""
MAX_TOP = 1000
"""Candidates of a blank, at most: for each byte, every one of them is tried with every byte."""


@dataclass(frozen=True)
class Candidate:
    """What may stand in a blank.

    Attributes:
        data: its bytes, as many as the blank has; of pieces, any number.
        probability: the product of the probabilities of its bytes or pieces, each given only what is not blank.
    """

    data: bytes
    probability: float

    @property
    def text(self) -> str:
        """The bytes as text; what is not UTF-8 is U+FFFD."""
        return self.data.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Blank:
    """A run of masked bytes, [start, end) of the text's bytes, and what may stand there, best first."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Filled:
    """A text whose blanks hold their best candidates.

    Attributes:
        data: the bytes of the text.
        blanks: in the order of the text.
    """

    data: bytes
    blanks: tuple[Blank, ...]

    @property
    def text(self) -> str:
        """The bytes as text; what is not UTF-8 is U+FFFD."""
        return self.data.decode("utf-8", errors="replace")


def reads_text(model: Perceiver, pieces: PieceTokenizer | None = None) -> bool:
    """Whether a model fills blanks in bytes, or in the pieces of a tokenizer."""
    inputs, outputs = model.config.inputs, model.config.outputs
    vocabulary = BYTE_OFFSET + 256 if pieces is None else pieces.vocabulary
    reads = len(inputs) == 1 and isinstance(inputs[0], TokenInputConfig) and inputs[0].vocabulary == vocabulary
    return reads and len(outputs) == 1 and isinstance(outputs[0], TokenOutputConfig)


def find_blanks(data: bytes, blank: str = BLANK) -> list[tuple[int, int]]:
    """The runs of two or more blank characters, as [start, end) in bytes.

    Raises:
        ValueError: `blank` is not one ASCII character.
    """
    if len(blank) != 1 or not blank.isascii():
        raise ValueError(f"a blank is written with one ASCII character, not {blank!r}")
    return [found.span() for found in re.finditer(re.escape(blank.encode()) + b"{2,}", data)]


class TextPredictor(Compute):
    """A masked language model in use (Jaegle et al. 2022, section 4.1), on bytes, or on the pieces of a tokenizer.

    Attributes:
        max_bytes: the longest text that it reads; of a model of pieces, in pieces.
        pieces: the tokenizer. None: the model reads bytes.
    """

    model: Perceiver

    def __init__(
        self,
        model: Perceiver,
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        pieces: PieceTokenizer | None = None,
    ) -> None:
        super().__init__(model, device, precision)
        self.pieces = pieces
        (part,) = model.config.inputs
        assert isinstance(part, TokenInputConfig)
        self.max_bytes = part.max_length
        self._tokenizer = ByteTokenizer(max_length=None)

    def fill(
        self,
        text: str | bytes,
        top: int = 5,
        blanks: Sequence[tuple[int, int]] | None = None,
        blank: str = BLANK,
        progress: Progress | None = None,
        num_pieces: int = 1,
    ) -> Filled:
        """The most probable bytes for each blank of a text.

        All blanks are answered at once, from what is not blank: bytes of one blank do not know of each other. In a
        model of pieces, a blank stands for `num_pieces` of them, however long it is written.

        Args:
            text: bytes are taken as they are; a string is its UTF-8. Names such as `[MASK]` in it are text.
            top: candidates for each blank, at most; up to 1,000.
            blanks: which bytes to find, as [start, end) in the text's bytes. None: where `blank` is written.
            blank: two or more of this character in a row are a blank, one byte each.
            progress: is called with the number of steps done, and of all.
            num_pieces: that stand in each blank, if the model reads pieces.

        Raises:
            ValueError: an empty or too long text, one without blanks, blanks that lie outside or overlap, or too many
                candidates.
        """
        data = text.encode() if isinstance(text, str) else bytes(text)
        if not data:
            raise ValueError("the text is empty: there is nothing to fill")
        if self.pieces is None and len(data) > self.max_bytes:
            raise ValueError(f"the text has {len(data):,} bytes, and the model reads {self.max_bytes:,} at most")
        if not 1 <= top <= MAX_TOP:
            raise ValueError(f"top is {top}, expected 1 to {MAX_TOP}")
        spans = find_blanks(data, blank) if blanks is None else _check_spans(blanks, len(data))
        if not spans:
            raise ValueError(f"the text has no blank: write two or more {blank} in a row, one a byte to find")
        if self.pieces is not None:
            return self._fill_pieces(self.pieces, data, spans, top, num_pieces, progress)
        places = np.concatenate([np.arange(start, end) for start, end in spans])
        with self.running(), watched(self.model, [1], progress):
            probabilities = self._probabilities(data, places)
        found, filled, first = [], bytearray(data), 0
        for start, end in spans:
            candidates = best_products(probabilities[first : first + end - start], top)
            filled[start:end] = candidates[0].data
            found.append(Blank(start, end, tuple(candidates)))
            first += end - start
        return Filled(bytes(filled), tuple(found))

    def _fill_pieces(
        self,
        tokenizer: PieceTokenizer,
        data: bytes,
        spans: Sequence[tuple[int, int]],
        top: int,
        count: int,
        progress: Progress | None,
    ) -> Filled:
        if count < 1:
            raise ValueError(f"num_pieces is {count}, expected at least 1")
        ids, places, spaced = lay_out(tokenizer, data, spans, count)
        if len(ids) > self.max_bytes:
            raise ValueError(f"the text has {len(ids):,} pieces, and the model reads {self.max_bytes:,} at most")
        with self.running(), watched(self.model, [1], progress):
            scores = self._scores(torch.from_numpy(ids), np.concatenate(places))
        probabilities = scores.softmax(dim=-1).cpu().numpy()
        blanks, parts, done = [], [], 0
        for number, (start, end) in enumerate(spans):
            rows = probabilities[number * count : (number + 1) * count]
            found = best_pieces(tokenizer, rows, spaced[number], top)
            blanks.append(Blank(start, end, tuple(Candidate(*each) for each in found)))
            parts += [data[done:start], found[0][0]]
            done = end
        return Filled(b"".join([*parts, data[done:]]), tuple(blanks))

    def _probabilities(self, data: bytes, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of the 256 bytes at each place: special tokens never stand in a text."""
        ids = self._tokenizer.encode(data)
        ids[torch.from_numpy(places)] = SPECIALS["[MASK]"]
        found: NDArray[np.float64] = self._scores(ids, places)[:, BYTE_OFFSET:].softmax(dim=-1).cpu().numpy()
        return found

    def _scores(self, ids: Tensor, places: NDArray[np.int64]) -> Tensor:
        """The model's logits at some places of a text, float64 [places, vocabulary]."""
        out = self.model(ids[None].to(self.device), rows=torch.from_numpy(places).to(self.device))
        assert isinstance(out, Tensor)
        return out[0].double()


def best_products(probabilities: NDArray[np.float64], top: int) -> list[Candidate]:
    """The most probable strings where each byte is drawn on its own, [places, 256]; exact, best first."""
    best: list[tuple[float, bytes]] = [(0.0, b"")]
    with np.errstate(divide="ignore"):
        scores = np.log(probabilities)
    for row in scores:
        # A string among the best has one of the best beginnings, and one of the best bytes behind it.
        order = np.argsort(-row, kind="stable")[:top]
        longer = [(score + float(row[byte]), start + bytes([byte])) for score, start in best for byte in order.tolist()]
        best = heapq.nsmallest(top, longer, key=lambda found: (-found[0], found[1]))
    return [Candidate(data, float(np.exp(score))) for score, data in best]


def _check_spans(blanks: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    end_before = 0
    for start, end in blanks:
        if not end_before <= start < end <= length:
            raise ValueError(
                f"blank ({start}, {end}) is out of order, overlaps another or lies outside of a text of {length} bytes"
            )
        end_before = end
    return [(start, end) for start, end in blanks]
