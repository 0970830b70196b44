"""Text as bytes: documents from files, folders, archives and the hub, several of them mixed by weight.

A document is a file, or a row of a table on the hub. Its bytes are taken as they are: what is not UTF-8, and the
licence around a book, is text as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from anybyte.files.folders import walk
from anybyte.files.hub import PREFIX
from anybyte.files.joined import SIGN
from anybyte.files.listing import Part, announced_part, is_junk
from anybyte.files.text_hub import TextStream, open_text_stream

BETWEEN = b"\n"
"""Stands between documents that are put together."""

_WEIGHTED = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\*(.+)", re.DOTALL)


class TextStore(Protocol):
    """Reads stretches of documents. Can be pickled, and holds no open file."""

    def read(self, name: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of a document."""


@dataclass(frozen=True)
class PathStore:
    """Files of a file system, by their paths below a folder."""

    root: str

    def read(self, name: str, start: int, stop: int) -> bytes:
        with open(os.path.join(self.root, name), "rb") as file:
            file.seek(start)
            return file.read(stop - start)


@dataclass(frozen=True)
class MemoryStore:
    """Documents in memory: a compressed one cannot be read from its middle."""

    texts: Mapping[str, bytes]

    def read(self, name: str, start: int, stop: int) -> bytes:
        return self.texts[name][start:stop]


@dataclass(frozen=True)
class Document:
    """The bytes [start, stop) of a text."""

    name: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Texts:
    """Documents at hand.

    Attributes:
        name: what messages call them.
        documents: none of them is empty.
        store: reads them.
    """

    name: str
    documents: tuple[Document, ...]
    store: TextStore

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(document.size for document in self.documents)

    def read(self, document: Document, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes [start, stop) of a document.

        Raises:
            OSError: it cannot be read.
        """
        last = document.stop if stop is None else min(document.start + stop, document.stop)
        return self.store.read(document.name, document.start + start, last)

    def crop(self, length: int, packed: int, rng: np.random.Generator) -> bytes:
        """`length` bytes of `packed` random documents put together, or all of them if they are shorter.

        Raises:
            OSError: a document cannot be read.
        """
        count = len(self.documents)
        chosen = rng.permutation(count) if count <= packed else rng.choice(count, packed, replace=False)
        documents = [self.documents[index] for index in chosen]
        ends = np.cumsum([document.size + len(BETWEEN) for document in documents])
        total = int(ends[-1]) - len(BETWEEN)
        first = int(rng.integers(max(0, total - length) + 1))
        parts, missing = [], min(length, total - first)
        for document, end in zip(documents, ends.tolist(), strict=True):
            if end > first and missing > 0:
                start = max(0, first - (end - document.size - len(BETWEEN)))
                part = (self.read(document, start, start + missing) + BETWEEN)[:missing]
                parts.append(part)
                missing -= len(part)
        return b"".join(parts)

    def windows(self, length: int) -> list[tuple[Document, int]]:
        """All of them, cut into `length` bytes after another: documents, and where in them a window begins."""
        return [(document, start) for document in self.documents for start in range(0, document.size, length)]

    def identity(self) -> str:
        """A digest of names and sizes, wherever they lie."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(f"{document.name}\0{document.start}\0{document.stop}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class Mixture:
    """Several sources of text, and the share of each.

    Attributes:
        sources: documents at hand, or streams.
        shares: sum to 1.
    """

    sources: tuple[Texts | TextStream, ...]
    shares: tuple[float, ...]

    @property
    def size(self) -> int | None:
        """Bytes of all sources. None: one of them is a stream, which has no length."""
        sizes = [source.size if isinstance(source, Texts) else None for source in self.sources]
        return None if None in sizes else sum(filter(None, sizes))

    def crop(self, length: int, packed: int, rng: np.random.Generator) -> bytes:
        """`length` bytes of one of the sources, which is drawn by the shares.

        Raises:
            OSError: a document cannot be read.
        """
        if len(self.sources) == 1:
            return self.sources[0].crop(length, packed, rng)
        which = int(rng.choice(len(self.sources), p=self.shares))
        return self.sources[which].crop(length, packed, rng)

    def identity(self) -> str:
        """A digest of all that decides what is read."""
        return repr([(source.identity(), share) for source, share in zip(self.sources, self.shares, strict=True)])


@dataclass(frozen=True)
class TextSplits:
    """What to learn from, to choose by, and to measure on: the latter two may be empty."""

    train: Mixture
    val: tuple[Texts, ...]
    test: tuple[Texts, ...]


@dataclass(frozen=True)
class _Origin:
    path: str
    weight: float | None


def open_texts(path: str, held_out: float = 0.05, skip_empty: bool = False) -> TextSplits:
    """The text that `path` names, in its parts.

    Files whose names say train, val, valid, validation or test belong to these parts. Where no name of a source says
    valid or test, the last share of each of its documents is for validation.

    Args:
        path: a file, a folder (all files below it), a .zip, or `hf:name[:config[:column]]`; several with plus signs
            between them. `0.7*first+0.3*second` are mixed in these shares of bytes, without numbers by their sizes.
        held_out: the share for validation.
        skip_empty: leave empty files out, which are otherwise an error.

    Raises:
        OSError: something is not there or cannot be read.
        ValueError: an empty file, a part without a text that needs one, or shares that do not make sense.
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out must be at least 0 and below 1, got {held_out}")
    origins = _split_origins(path)
    train: list[Texts | TextStream] = []
    weights: list[float | None] = []
    val: list[Texts] = []
    test: list[Texts] = []
    for origin in origins:
        if origin.path.startswith(PREFIX):
            stream = open_text_stream(origin.path)
            found: Texts | TextStream = stream.train
            parts = (_held(origin.path, stream.val), _held(origin.path, stream.test))
        else:
            divided = _divide(open_text(origin.path, skip_empty), held_out)
            found, parts = divided["train"], (divided["val"], divided["test"])
        if isinstance(found, TextStream) or found.documents:
            train.append(found)
            weights.append(origin.weight)
        elif origin.weight is not None:
            raise ValueError(f"{origin.path} has a share of the training text, and none for training in it")
        for part, texts in zip((val, test), parts, strict=True):
            if texts.documents:
                part.append(texts)
    return TextSplits(Mixture(tuple(train), _shares(path, train, weights)), tuple(val), tuple(test))


def open_text(path: str, skip_empty: bool = False) -> Texts:
    """All documents of a file, folder or .zip, undivided.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: there is no file in it, or an empty one, or it is no .zip.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        sizes = dict(sorted(walk(place)))
        store: TextStore = PathStore(str(place.absolute()))
    elif place.suffix.lower() == ".zip":
        texts = dict(sorted(_unzip(place)))
        sizes, store = {name: len(data) for name, data in texts.items()}, MemoryStore(texts)
    else:
        sizes, store = {place.name: place.stat().st_size}, PathStore(str(place.absolute().parent))
    if not sizes:
        raise ValueError(f"{path}: there is no file in it")
    empty = [name for name, size in sizes.items() if not size]
    if empty and not skip_empty:
        where = path if place.is_file() and place.name == empty[0] else os.path.join(path, empty[0])
        raise ValueError(f"{where}: the file is empty (data.on_error skip leaves such files out)")
    return Texts(path, tuple(Document(name, 0, size) for name, size in sizes.items() if size), store)


def absolute_texts(path: str) -> str:
    """`data.path` with every path in it made absolute, so that it holds in any folder; names on a hub stay."""
    if not path:
        return path
    words = []
    for origin in _split_origins(path):
        place = origin.path if origin.path.startswith(PREFIX) else os.path.abspath(os.path.expanduser(origin.path))
        words.append(place if origin.weight is None else f"{origin.weight:g}*{place}")
    return SIGN.join(words)


def _split_origins(path: str) -> list[_Origin]:
    """The sources that a path names, and their weights; a file or folder of that very name is taken for what it is."""
    if not path:
        raise ValueError("no text is named: data.path must be a file, a folder, a .zip or hf:name")
    if os.path.exists(os.path.expanduser(path)):
        return [_Origin(path, None)]
    origins = []
    for part in path.split(SIGN):
        weighted = _WEIGHTED.fullmatch(part)
        origin = _Origin(weighted[2], float(weighted[1])) if weighted else _Origin(part, None)
        if not origin.path:
            raise ValueError(f"{path}: expected a text on both sides of each {SIGN}")
        if origin.weight is not None and origin.weight <= 0:
            raise ValueError(f"{path}: a share must be positive, got {origin.weight:g}")
        origins.append(origin)
    return origins


def _shares(path: str, sources: Sequence[Texts | TextStream], weights: Sequence[float | None]) -> tuple[float, ...]:
    given = [weight for weight in weights if weight is not None]
    if given and len(given) < len(weights):
        raise ValueError(f"{path}: give each text a share or none: 0.7*first+0.3*second")
    if not given:
        if len(sources) > 1 and any(isinstance(source, TextStream) for source in sources):
            raise ValueError(f"{path}: the hub's texts have no known length: give each a share, 0.7*first+0.3*second")
        given = [float(source.size) if isinstance(source, Texts) else 1.0 for source in sources]
    return tuple(weight / sum(given) for weight in given)


def _divide(texts: Texts, held_out: float) -> dict[Part, Texts]:
    """The parts of the documents, by their names or by cutting each."""
    named: dict[Part, list[Document]] = {"train": [], "val": [], "test": []}
    for document in texts.documents:
        named[announced_part(document.name) or "train"].append(document)
    if not named["val"] and not named["test"]:
        cuts = [(document, document.stop - round(document.size * held_out)) for document in named["train"]]
        named["train"] = [replace(document, stop=cut) for document, cut in cuts if cut > document.start]
        named["val"] = [replace(document, start=cut) for document, cut in cuts if cut < document.stop]
    return {part: replace(texts, documents=tuple(documents)) for part, documents in named.items()}


def _held(path: str, texts: Mapping[str, bytes]) -> Texts:
    """Documents in memory."""
    documents = tuple(Document(name, 0, len(data)) for name, data in texts.items() if data)
    return Texts(path, documents, MemoryStore(dict(texts)))


def _unzip(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if not item.is_dir() and not is_junk(item.filename):
                    yield item.filename, archive.read(item)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # damaged, encrypted, unknown method
        raise ValueError(f"{path}: {error}") from error
