"""Blanks of a text for a model that reads SentencePiece pieces."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anybyte.models.pieces import PieceTokenizer
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS


def lay_out(
    tokenizer: PieceTokenizer, data: bytes, spans: Sequence[tuple[int, int]], count: int
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]], list[bool]]:
    """A text with masks in its blanks.

    A blank between a space and what follows is a word: its first piece holds that space, as pieces of words do.

    Args:
        tokenizer: cuts what is not blank.
        data: the text.
        spans: the blanks, [start, end) in bytes.
        count: pieces in each.

    Returns:
        The ids; for each blank, the places of its pieces, and whether its first one begins with a space.
    """
    ids: list[NDArray[np.int64]] = []
    places, spaced = [], []
    done = length = 0
    for start, end in spans:
        before = data[done:start]
        spaced.append(before.endswith(b" "))
        ids.append(tokenizer.split(before[:-1] if spaced[-1] else before)[0])
        length += len(ids[-1])
        places.append(np.arange(length, length + count))
        ids.append(np.full(count, SPECIALS["[MASK]"]))
        length += count
        done = end
    ids.append(tokenizer.split(data[done:])[0])
    return np.concatenate(ids), places, spaced


def best_pieces(
    tokenizer: PieceTokenizer, probabilities: NDArray[np.float64], spaced: bool, top: int
) -> list[tuple[bytes, float]]:
    """The most probable strings of a blank, without the space in front, and their probabilities; best first.

    Args:
        tokenizer: of the pieces.
        probabilities: of each id at each place, [places, vocabulary].
        spaced: whether the first piece begins with a space; no other does.
        top: strings, at most.
    """
    texts = tokenizer.pieces
    starts_word = np.array([text.startswith(b" ") for text in texts])
    is_text = np.array([bool(text.strip()) for text in texts])
    best: list[tuple[float, bytes]] = [(0.0, b"")]
    for place, row in enumerate(probabilities[:, BYTE_OFFSET:]):
        allowed = np.flatnonzero(is_text & (starts_word if spaced and not place else ~starts_word))
        with np.errstate(divide="ignore"):
            scores = np.log(row[allowed] / max(float(row.sum()), 1e-300))
        order = np.argsort(-scores, kind="stable")[:top].tolist()
        longer = [(score + float(scores[each]), text + texts[allowed[each]]) for score, text in best for each in order]
        best = heapq.nsmallest(top, longer, key=lambda found: (-found[0], found[1]))
    return [(text[1:] if spaced else text, float(np.exp(score))) for score, text in best]
