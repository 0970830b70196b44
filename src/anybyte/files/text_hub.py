"""Text of the Hugging Face hub, read as it comes: `hf:name[:config[:column]]`. Needs the extra `hub`.

A stream has no length and is not kept. Each process that loads examples reads it in an order of its own, and after a
restart the order is another: of a stream, equal seeds do not give equal examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from anybyte.files.columns import pick_column
from anybyte.files.hub import PREFIX

_TEXT_NAMES = ("text", "content", "document")
_HELD_OUT = 200
"""Documents for validation and for testing, at most: the first of these splits, or of the only one."""
_SHUFFLED = 10_000
"""Documents that are held to be drawn from: neighbours of a table are often of one kind."""
_BETWEEN = b"\n"


@dataclass
class TextStream:
    """Documents of one split, as they come.

    Attributes:
        name: of the data set, as the user gave it.
        split: of the data set.
        column: that holds the text.
        skip: documents at the start that are left out.
    """

    name: str
    split: str
    column: str
    skip: int = 0
    _documents: Iterator[bytes] | None = field(default=None, init=False, repr=False, compare=False)

    def crop(self, length: int, packed: int, rng: np.random.Generator) -> bytes:
        """`length` bytes of the next `packed` documents put together, or all of them if they are shorter.

        Raises:
            OSError: the hub cannot be reached.
            ValueError: there is no text in it.
        """
        documents: list[bytes] = []
        while len(documents) < packed:
            documents.append(self._next(rng))
        whole = _BETWEEN.join(documents)
        first = int(rng.integers(max(0, len(whole) - length) + 1))
        return whole[first : first + length]

    def identity(self) -> str:
        """What is read."""
        return f"{self.name} {self.split} {self.column} {self.skip}"

    def __getstate__(self) -> dict[str, Any]:
        """Processes begin streams of their own."""
        return {**self.__dict__, "_documents": None}

    def _next(self, rng: np.random.Generator) -> bytes:
        for _ in range(2):
            if self._documents is None:
                self._documents = self._read(int(rng.integers(2**31)))
            found = next(self._documents, None)
            if found is not None:
                return found
            self._documents = None  # all was read: once more, in another order
        raise ValueError(f"{self.name}: the split {self.split!r} has no text in its column {self.column!r}")

    def _read(self, seed: int) -> Iterator[bytes]:
        rows = _load(self.name)[self.split]
        rows = rows.skip(self.skip) if self.skip else rows
        yield from _texts(rows.shuffle(seed=seed, buffer_size=_SHUFFLED), self.column)


@dataclass(frozen=True)
class HubText:
    """A data set's text: a stream to learn from, and the first documents of what it is measured on."""

    train: TextStream
    val: Mapping[str, bytes]
    test: Mapping[str, bytes]


def open_text_stream(origin: str) -> HubText:
    """The text of a data set on the hub; only the documents for validation and testing are fetched yet.

    Raises:
        OSError: there is no such data set, or the hub cannot be reached.
        ValueError: it is not clear which column holds the text, or there is no split for training.
        ModuleNotFoundError: `datasets` is not installed.
    """
    splits = _load(origin)
    if "train" not in splits and len(splits) > 1:
        raise ValueError(f"{origin}: no split is called train; there are {', '.join(splits)}")
    train = "train" if "train" in splits else next(iter(splits))
    column = _column(origin, splits[train])
    val = next((name for name in ("validation", "valid", "val") if name in splits), None)
    held = {part: _first(splits, name, column) for part, name in (("val", val or train), ("test", "test"))}
    return HubText(TextStream(origin, train, column, 0 if val else _HELD_OUT), held["val"], held["test"])


def _load(origin: str) -> dict[str, Any]:
    """The splits of a data set, as streams."""
    try:
        import datasets
    except ImportError as error:
        raise ModuleNotFoundError(f"{origin} needs datasets: pip install 'anybyte[hub]'") from error
    name, config, _ = _words(origin)
    return dict(datasets.load_dataset(name, config or None, streaming=True))


def _words(origin: str) -> tuple[str, str, str]:
    words = origin.removeprefix(PREFIX).split(":")
    if not words[0] or len(words) > 3:
        raise ValueError(f"{origin}: expected hf:name, hf:name:config or hf:name:config:column")
    name, config, column = [*words, "", ""][:3]
    return name, config, column


def _column(origin: str, rows: Any) -> str:
    """The column that holds the text: the one named, or the only one that may."""
    features = rows.features or dict.fromkeys(next(iter(rows), {}))
    _, _, wanted = _words(origin)
    if wanted:
        if wanted not in features:
            raise ValueError(f"{origin}: there is no column {wanted!r}; there are {', '.join(features)}")
        return wanted
    textual = ("string", "large_string", None)
    candidates = [name for name, feature in features.items() if getattr(feature, "dtype", None) in textual]
    return pick_column(origin, "text", candidates, _TEXT_NAMES, list(features))


def _first(splits: Mapping[str, Any], name: str, column: str) -> dict[str, bytes]:
    if name not in splits:
        return {}
    texts = _texts(islice(splits[name], _HELD_OUT), column)
    return {f"{name}:{number:09d}": data for number, data in enumerate(texts)}


def _texts(rows: Any, column: str) -> Iterator[bytes]:
    """The texts of rows that have one."""
    for row in rows:
        value = row[column]
        if value:
            yield value if isinstance(value, bytes) else str(value).encode("utf-8", errors="surrogatepass")
