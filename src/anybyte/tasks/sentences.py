"""Sentences of GLUE as a model of bytes reads them.

    [task's token] sentence1 [SEP sentence2]

An id is a byte + 6. DeepMind's models were pretrained on bare bytes, without [CLS] and [SEP]; what tells two sentences
apart in them is open. Here one [SEP] does, whose embedding is learned in fine-tuning.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anybyte.config import GlueConfig
from anybyte.files.glue import UNKNOWN, Example
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS

SYMMETRIC = ("mrpc", "stsb", "qqp")
"""Tasks whose two sentences may change places."""

_WORD = re.compile(rb"[^ \t\n\r\v\f]+")


class Prepared(NamedTuple):
    """What a task reads of an example: its part (`mnli_mm`), and its two sentences, those hidden in training masked.

    Attributes:
        part: as `files.glue.find_part` calls it: the task, or that and `_mm`.
        sentences: ids, int64, one array a sentence.
    """

    part: str
    sentences: tuple[NDArray[np.int64], ...]

    @property
    def nbytes(self) -> int:
        """Bytes of text."""
        return sum(map(len, self.sentences))

    def __len__(self) -> int:
        return self.nbytes


class Sentences:
    """`Examples` of several tasks, one part of each.

    Args:
        parts: examples by the name of their part.
        config: how often each task has its turn, and what changes in training; only where `training`.
        training: whether turns and changes are wanted; otherwise each example has one turn, as it is.

    Raises:
        ValueError: a share of hidden words that is none.
    """

    def __init__(self, parts: Mapping[str, Sequence[Example]], config: GlueConfig, training: bool) -> None:
        if not 0 <= config.hide < 1:
            raise ValueError(f"task.hide must be at least 0 and below 1, got {config.hide}")
        self.config, self.training = config, training
        self.parts = {name: list(examples) for name, examples in parts.items() if examples}
        counts = {name: len(examples) for name, examples in self.parts.items()}
        self.turns = _turns(counts, config) if training else counts
        self._ends = np.cumsum(list(self.turns.values()), dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def name(self, index: int) -> str:
        part, place = self._at(index)
        return f"{part}[{place}]"

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each turn's example; of turns that draw one, those of the example in their place."""
        found = []
        for part, turns in self.turns.items():
            lengths = np.array([len(row.sentence1) + len(row.sentence2 or b"") for row in self.parts[part]], np.int64)
            found.append(lengths[np.arange(turns) % len(lengths)])
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def identity(self) -> str:
        """Of all sentences and labels."""
        digest = hashlib.sha256()
        for part, examples in self.parts.items():
            digest.update(f"{part}\0{self.turns[part]}\n".encode())
            for row in examples:
                digest.update(b"%d\0%s\0%s\n" % (len(row.sentence1), row.sentence1, row.sentence2 or b""))
                digest.update(f"{row.label}\n".encode())
        return digest.hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[Prepared, float]:
        """The sentences and the label.

        Raises:
            ValueError: there is no label.
        """
        part, place = self._at(index)
        examples = self.parts[part]
        if rng is not None and self.turns[part] != len(examples):
            place = int(rng.integers(len(examples)))
        row = examples[place % len(examples)]
        if row.label == UNKNOWN:
            raise ValueError(f"{self.name(index)} has no label: GLUE keeps those of its test parts")
        sentences = [row.sentence1] if row.sentence2 is None else [row.sentence1, row.sentence2]
        if rng is None:
            return Prepared(part, tuple(map(_ids, sentences))), row.label
        if self.config.swap and part in SYMMETRIC and rng.random() < 0.5:
            sentences.reverse()
        return Prepared(part, tuple(_hide(text, self.config.hide, rng) for text in sentences)), row.label

    def blank(self) -> tuple[Prepared, float]:
        part = next(iter(self.parts))
        count = 1 if self.parts[part][0].sentence2 is None else 2
        return Prepared(part, (_ids(b" "),) * count), 0.0

    def _at(self, index: int) -> tuple[str, int]:
        """The part of a turn, and its place there."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        return list(self.turns)[number], index - int(self._ends[number] - list(self.turns.values())[number])


def join(sentences: Sequence[NDArray[np.int64]], max_length: int, token: int | None = None) -> NDArray[np.int64]:
    """What the model reads: int64 [length].

    Args:
        sentences: ids of one or two.
        max_length: ids at most. Of two sentences the longer is cut first, at its end, until both are of one length.
        token: put before them, such as the task's own.
    """
    room = max_length - (token is not None) - (len(sentences) - 1)
    lengths = _cut([len(sentence) for sentence in sentences], room)
    parts = [] if token is None else [np.array([token])]
    for number, (sentence, length) in enumerate(zip(sentences, lengths, strict=True)):
        parts += [np.array([SPECIALS["[SEP]"]])] if number else []
        parts.append(sentence[:length])
    return np.concatenate(parts)


def _cut(lengths: list[int], room: int) -> list[int]:
    """Lengths that fit into `room`."""
    if sum(lengths) <= room:
        return lengths
    if len(lengths) == 1:
        return [room]
    shorter = min(*lengths, room // 2)
    return [shorter, room - shorter] if lengths[0] < lengths[1] else [room - shorter, shorter]


def _turns(counts: dict[str, int], config: GlueConfig) -> dict[str, int]:
    """How many examples of each part an epoch has."""
    if config.max_examples is not None and config.max_examples < 1:
        raise ValueError(f"task.max_examples must be at least 1, or None for all, got {config.max_examples}")
    turns = {name: min(count, config.max_examples or count) for name, count in counts.items()}
    if config.mix == "size":
        return turns
    each = max(1, round(sum(turns.values()) / max(1, len(turns))))
    return dict.fromkeys(turns, each)


def _ids(text: bytes) -> NDArray[np.int64]:
    return np.frombuffer(text, dtype=np.uint8).astype(np.int64) + BYTE_OFFSET


def _hide(text: bytes, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    ids = _ids(text)
    if share:
        for word in _WORD.finditer(text):
            if rng.random() < share:
                ids[word.start() : word.end()] = SPECIALS["[MASK]"]
    return ids
