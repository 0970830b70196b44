"""Text as bytes: the tokenizer of Perceiver IO's language models (Jaegle et al. 2022, section 4.1).

An id is a UTF-8 byte + 6; 0 to 5 are special. A user's text never makes a special token: `[MASK]` in it is six
characters, unless `parse_specials` is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numpy.typing import NDArray
from torch import Tensor

SPECIALS = {"[PAD]": 0, "[BOS]": 1, "[EOS]": 2, "[MASK]": 3, "[CLS]": 4, "[SEP]": 5}
"""Name of each special token -> its id."""

BYTE_OFFSET = len(SPECIALS)
"""Id of byte 0."""

_NAMES = {number: name for name, number in SPECIALS.items()}
_WRITTEN = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")


class ByteTokenizer:
    """Text <-> ids.

    Args:
        wrap: put [CLS] before a text and [SEP] behind it, as transformers does. DeepMind's models read bare bytes.
        max_length: longer texts are cut at their end, so that what wraps them still fits. None: never.
        parse_specials: read names of special tokens inside a text as these tokens, as transformers does.
    """

    def __init__(self, *, wrap: bool = False, max_length: int | None = 2048, parse_specials: bool = False) -> None:
        if max_length is not None and max_length < (3 if wrap else 1):
            raise ValueError(f"max_length must leave room for at least one byte, got {max_length}")
        self.wrap, self.max_length, self.parse_specials = wrap, max_length, parse_specials

    def encode(self, text: str | bytes, pair: str | bytes | None = None) -> Int64[Tensor, "length"]:
        """The ids of a text, or of two with [SEP] after each (`wrap` only); bytes are taken as they are.

        Raises:
            ValueError: a pair without `wrap`, or one that is too long: nobody knows which text to cut.
        """
        ids = self._ids(text)
        if pair is not None:
            if not self.wrap:
                raise ValueError("a pair of texts needs wrap=True: nothing else would tell where the second begins")
            ids = np.concatenate([ids, [SPECIALS["[SEP]"]], self._ids(pair)])
        room = None if self.max_length is None else self.max_length - 2 * self.wrap
        if room is not None and len(ids) > room:
            if pair is not None:
                raise ValueError(f"a pair of {len(ids) + 2} tokens is longer than max_length={self.max_length}")
            ids = ids[:room]
        if self.wrap:
            ids = np.concatenate([[SPECIALS["[CLS]"]], ids, [SPECIALS["[SEP]"]]])
        return torch.from_numpy(ids.astype(np.int64))

    def split(self, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids [bytes] of bare bytes, and where they begin and end: as a `PieceTokenizer` does, of any length."""
        return _byte_ids(data), np.arange(len(data) + 1)

    def encode_batch(
        self, texts: Sequence[str | bytes], pad_to: int | Literal["longest"] = "longest"
    ) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch length"]]:
        """The ids of texts, padded at their ends, and a mask that is True at what is not padding.

        Raises:
            ValueError: `texts` is a single one, or one of them is longer than `pad_to`.
        """
        if isinstance(texts, str | bytes):
            raise ValueError("expected a list of texts, got a single one: write encode_batch([text])")
        rows = [self.encode(text) for text in texts]
        longest = max(map(len, rows), default=0)
        length = longest if pad_to == "longest" else pad_to
        if longest > length:
            raise ValueError(f"a text has {longest} tokens, more than pad_to={length}")
        ids = torch.full((len(rows), length), SPECIALS["[PAD]"])
        for row, encoded in zip(ids, rows, strict=True):
            row[: len(encoded)] = encoded
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
        return ids, torch.arange(length) < lengths[:, None]

    def decode(self, ids: Tensor | Sequence[int], skip_specials: bool = True) -> str:
        """The text of one row of ids; bytes that are not UTF-8 become U+FFFD, special tokens their names or nothing.

        Raises:
            ValueError: not one row, or an id that stands for nothing; the message names it.
        """
        row = np.asarray(ids, dtype=np.int64)
        if row.ndim != 1:
            raise ValueError(f"expected one row of ids, got shape {row.shape}")
        strange = row[(row < 0) | (row >= BYTE_OFFSET + 256)]
        if len(strange):
            raise ValueError(f"there is no token {strange[0]}; ids run from 0 to {BYTE_OFFSET + 255}")
        special = row < BYTE_OFFSET
        if skip_specials:
            return _text(row[~special])
        parts: list[str] = []
        start = 0
        for cut in np.flatnonzero(special).tolist():
            parts += [_text(row[start:cut]), _NAMES[int(row[cut])]]
            start = cut + 1
        return "".join([*parts, _text(row[start:])])

    def _ids(self, text: str | bytes) -> np.ndarray:
        if isinstance(text, str) and self.parse_specials:
            parts = [
                np.array([SPECIALS[part]]) if part in SPECIALS else _byte_ids(part.encode())
                for part in _WRITTEN.split(text)
            ]
            return np.concatenate(parts)
        return _byte_ids(text.encode() if isinstance(text, str) else text)


def _byte_ids(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8).astype(np.int64) + BYTE_OFFSET


def _text(ids: np.ndarray) -> str:
    return (ids - BYTE_OFFSET).astype(np.uint8).tobytes().decode("utf-8", errors="replace")
