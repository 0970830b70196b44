"""Text as SentencePiece pieces: what Perceiver IO compares its bytes with (Jaegle et al. 2022, section 4.1).

An id is a piece's number + 6; 0 to 5 are the special tokens that bytes have as well. Models that are trained here lose
nothing: no normalisation, white space is kept, and what no piece covers is written as bytes. What is not UTF-8 is
written so as well. Needs the extra `text`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from anybyte.models.tokenizer import BYTE_OFFSET

PIECES = "spm.model"
"""Name of the file in the folder of a model that reads pieces."""

SPACE = "▁"
"""What SentencePiece writes for a blank."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
_AS_BYTES = re.compile("([\udc80-\udcff\0▁]+)")
"""What SentencePiece cannot take: bytes that are not UTF-8, zeros, and its own sign for a blank."""
_PROBE = "  A  ﬁ ½\u00a0".encode()
"""What a tokenizer that normalises does not leave as it is."""
_CHANGES = "changes the text that it cuts: train it with `anybyte tokenizer train`"
_MAX_LINE = 2**20
_MAX_LINES = 2_000_000


class PieceTokenizer:
    """Text <-> ids of pieces.

    Args:
        model: a SentencePiece model, as it stands in its file.
        name: what messages call it.

    Raises:
        ValueError: it is none, or one that cannot write every byte, or does not leave a text as it is.
        ModuleNotFoundError: `sentencepiece` is not installed.
    """

    def __init__(self, model: bytes, name: str = PIECES) -> None:
        self.model, self.name = model, name
        try:
            self._processor = _sentencepiece().SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"{name} is not a SentencePiece model") from error
        self.pieces = [_bytes_of(self._processor.id_to_piece(n)) for n in range(self._processor.get_piece_size())]
        """The bytes that each piece stands for, by its number; none for those that stand for no text."""
        self._sizes = np.array([len(piece) for piece in self.pieces], dtype=np.int64)
        self._byte_ids = np.zeros(256, dtype=np.int64)
        for number in range(len(self.pieces)):
            if self._processor.is_byte(number):
                self._byte_ids[self.pieces[number][0]] = number + BYTE_OFFSET
        if not self._byte_ids.all():
            raise ValueError(f"{name} cannot write every byte: train it with byte_fallback (anybyte tokenizer train)")
        if self.decode(self.split(_PROBE)[0]) != _PROBE:
            raise ValueError(f"{name} {_CHANGES}")

    @property
    def vocabulary(self) -> int:
        """Ids that there are: pieces and special tokens."""
        return len(self.pieces) + BYTE_OFFSET

    def split(self, data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids [pieces] of a text, and where they begin and end in its bytes [pieces + 1].

        Raises:
            ValueError: the model does not keep the text as it is.
        """
        ids = np.concatenate([self._ids(part) for part in _parts(data)] or [np.zeros(0, dtype=np.int64)])
        bounds = np.concatenate([[0], np.cumsum(self._sizes[ids - BYTE_OFFSET])])
        if bounds[-1] != len(data):
            raise ValueError(f"{self.name} {_CHANGES}")
        return ids, bounds

    def encode(self, text: str | bytes) -> Int64[Tensor, "length"]:
        """The ids of a text; bytes are taken as they are."""
        return torch.from_numpy(self.split(text.encode() if isinstance(text, str) else text)[0])

    def decode(self, ids: Tensor | NDArray[np.int64] | Sequence[int]) -> bytes:
        """The bytes that ids stand for; special tokens stand for none.

        Raises:
            ValueError: an id that there is not.
        """
        row = np.asarray(ids, dtype=np.int64)
        strange = row[(row < 0) | (row >= self.vocabulary)]
        if len(strange):
            raise ValueError(f"there is no token {strange[0]}; ids run from 0 to {self.vocabulary - 1}")
        return b"".join(self.pieces[number] for number in (row[row >= BYTE_OFFSET] - BYTE_OFFSET).tolist())

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "name": self.name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _ids(self, part: str | bytes) -> NDArray[np.int64]:
        if isinstance(part, bytes):
            return self._byte_ids[np.frombuffer(part, dtype=np.uint8)]
        return np.array(self._processor.encode(part), dtype=np.int64) + BYTE_OFFSET


def read_pieces(path: str | os.PathLike[str]) -> PieceTokenizer:
    """The tokenizer in a file, or in a model's folder.

    Raises:
        OSError: it is not there.
        ValueError: it is not a SentencePiece model, or does not fit (see `PieceTokenizer`).
    """
    place = Path(path)
    place = place / PIECES if place.is_dir() else place
    if not place.is_file():
        hint = "no such SentencePiece model; make one: anybyte tokenizer train TEXT -o spm.model"
        raise FileNotFoundError(2, hint, str(path))
    return PieceTokenizer(place.read_bytes(), str(place))


def has_pieces(folder: str | os.PathLike[str]) -> bool:
    """Whether a model's folder holds a tokenizer."""
    return (Path(folder) / PIECES).is_file()


def train_pieces(texts: Iterable[bytes], vocabulary: int) -> bytes:
    """A SentencePiece model (unigram) of texts, as the bytes of its file; equal texts give equal models.

    Args:
        texts: documents. What of them is not UTF-8 is not learnt from.
        vocabulary: pieces, among them 256 bytes and the three special ones that SentencePiece asks for.

    Raises:
        ValueError: there is too little text for so many pieces, or none.
        ModuleNotFoundError: `sentencepiece` is not installed.
    """
    if vocabulary < 300:
        raise ValueError(f"vocabulary is {vocabulary}, expected at least 300: the bytes alone are 256")
    model = io.BytesIO()
    lines = (line for text in texts for line in text.decode("utf-8", errors="ignore").splitlines() if line.strip())
    first = next(lines, None)
    if first is None:
        raise ValueError("there is no text to learn pieces from")
    try:
        _sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=_chain(first, lines),
            model_writer=model,
            vocab_size=vocabulary,
            model_type="unigram",
            byte_fallback=True,
            character_coverage=0.9995,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=False,
            max_sentence_length=_MAX_LINE,
            input_sentence_size=_MAX_LINES,
            shuffle_input_sentence=False,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"no {vocabulary} pieces can be learnt from this text: {_reason(error)}") from error
    return model.getvalue()


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise ModuleNotFoundError("pieces need sentencepiece: pip install 'anybyte[text]'") from error
    return sentencepiece


def _chain(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _reason(error: RuntimeError) -> str:
    """SentencePiece's words in one line, without the place in its source and an option that there is not here."""
    words = str(error).rpartition("] ")[2] or str(error)
    return re.sub(r"\s+", " ", re.sub(r" or decrease character_coverage[^.]*", "", words)).strip()


def _parts(data: bytes) -> Iterator[str | bytes]:
    """UTF-8 as text, and what SentencePiece cannot take as bytes."""
    for part in _AS_BYTES.split(data.decode("utf-8", errors="surrogateescape")):
        if part:
            yield part.encode("utf-8", errors="surrogateescape") if _AS_BYTES.match(part) else part


def _bytes_of(piece: str) -> bytes:
    """What a piece stands for: a byte, text, or nothing."""
    found = _BYTE_PIECE.fullmatch(piece)
    if found:
        return bytes([int(found[1], 16)])
    return b"" if piece in ("<unk>", "<s>", "</s>", "<pad>") else piece.replace(SPACE, " ").encode()
