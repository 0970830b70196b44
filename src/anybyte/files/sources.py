"""Labelled files from wherever they are: `open_source` for all of them, `open_splits` for train, val and test."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from anybyte.config import DataConfig
from anybyte.files import made
from anybyte.files.archives import COMPRESSED_TARS, open_tars, open_zip
from anybyte.files.folders import MANIFESTS, open_folder, open_manifest
from anybyte.files.hub import PREFIX, open_hub
from anybyte.files.joined import join, split_origins
from anybyte.files.listing import Listing, Record, Store
from anybyte.files.made.shapes import NAME as SHAPES
from anybyte.files.made.shapes import open_shapes
from anybyte.files.parquet import open_parquets
from anybyte.files.splits import divide, missing_classes

logger = logging.getLogger(__name__)

KINDS = "a folder, .zip, .tar, .csv, .jsonl, .parquet, or hf:name"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a source.

    Attributes:
        name: What to call it. No two of a source are the same.
        label: Index into the source's classes. -1: not labelled.
        size: Bytes as stored.
    """

    name: str
    label: int
    size: int


class Source(Protocol):
    """Labelled files. Can be pickled, and read in any process."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by label."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All files, in the order of their names."""

    def read(self, index: int) -> bytes:
        """The bytes of `entries[index]`, as stored.

        Raises:
            OSError: it cannot be read; the message names it.
            ValueError: it is damaged; the message names it.
        """


@dataclass(frozen=True)
class FileSource:
    """The source behind every kind of data set: entries, and where a store finds them."""

    classes: tuple[str, ...]
    entries: Sequence[Entry]
    keys: Sequence[Any]
    store: Store

    @classmethod
    def of(cls, records: Sequence[Record], classes: tuple[str, ...], store: Store) -> FileSource:
        number = {name: label for label, name in enumerate(classes)}
        labels = (-1 if record.label is None else number[record.label] for record in records)
        entries = [Entry(record.name, label, record.size) for record, label in zip(records, labels, strict=True)]
        return cls(classes, entries, [record.key for record in records], store)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"FileSource({len(self)} files, {len(self.classes)} classes)"

    def read(self, index: int) -> bytes:
        """The bytes of `entries[index]`. Errors name the file."""
        try:
            return self.store.read(self.keys[index])
        except ValueError as error:
            raise ValueError(f"{self.entries[index].name}: {error}") from error


@dataclass(frozen=True)
class Splits:
    """A data set in three disjoint parts over the same classes."""

    classes: tuple[str, ...]
    train: Source
    val: Source
    test: Source


def open_source(path: str | os.PathLike[str]) -> Source:
    """All files of a data set, whatever parts it has.

    Args:
        path: A folder with one folder a class, a .zip of the same, .tar archives (WebDataset samples or class folders),
            a manifest (.csv, .jsonl), parquet tables, `hf:name[:config]`, or `made:shapes` (`files.made`). Patterns
            such as `train-{000..003}.tar` and `*.parquet` name several archives or tables, and so does a folder that
            holds nothing else. A plus sign joins data sets: `a.zip+b/` (`files.joined`).

    Raises:
        OSError: it does not exist, or cannot be read.
        ValueError: it is damaged, or not laid out like this; the message says what was expected.
    """
    origins = split_origins(os.fspath(path))
    sources = [_open_one(origin.path) for origin in origins]
    return sources[0] if len(sources) == 1 and origins[0].prefix is None else join(origins, sources)


def _open_one(path: str) -> Source:
    listing = open_listing(path)
    return FileSource.of(listing.records, listing.classes, listing.store)


def open_splits(data: DataConfig, several: bool = False) -> Splits:
    """A data set in train, val and test parts, its own or drawn (`files.splits`). Equal settings give equal parts.

    Of several data sets, each is cut by itself, and then their parts are joined.

    Args:
        data: which, and how.
        several: whether a label may name several classes, `data.separator` between them. The classes of the parts are
            the labels, whatever they name; but each class of a label must be among the training files.

    Raises:
        OSError: it does not exist, or cannot be read.
        ValueError: as `open_source`; or there are fewer than two classes, a class without a file in some part, a file
            without a label, or (unless `on_error` is "skip") an empty or too long one.
    """
    origins = split_origins(data.path)
    each = [_split_one(replace(data, path=origin.path), several) for origin in origins]
    if len(each) == 1 and origins[0].prefix is None:
        return each[0]
    train, val, test = (join(origins, [getattr(splits, part) for splits in each]) for part in ("train", "val", "test"))
    return Splits(train.classes, train, val, test)


def _split_one(data: DataConfig, several: bool) -> Splits:
    listing = open_listing(data.path)
    records = _usable(listing, data)
    if len(listing.classes) < 2:
        found = ", ".join(listing.classes) or "none"
        raise ValueError(f"{listing.origin}: a classifier needs at least two classes, found: {found}")
    try:
        parts = divide(records, data.val_fraction, data.test_fraction, data.split_seed)
    except ValueError as error:
        raise ValueError(f"{listing.origin}: {error}") from error
    for name, part in missing_classes(parts, listing.classes, data.separator if several else None):
        count = sum(name in _classes(record, data.separator if several else None) for record in records)
        raise ValueError(
            f"{listing.origin}: class {name!r} has no file in the {part} part ({count} in all; drawing the parts at "
            "random takes at least 3 files a class)"
        )
    train, val, test = (FileSource.of(parts[part], listing.classes, listing.store) for part in ("train", "val", "test"))
    return Splits(listing.classes, train, val, test)


def _classes(record: Record, separator: str | None) -> list[str | None]:
    """What a label names."""
    if separator is None or record.label is None:
        return [record.label]
    return [name.strip() for name in record.label.split(separator)]


def _usable(listing: Listing, data: DataConfig) -> list[Record]:
    """The records without those that a model cannot learn from: these raise, or are left out if so configured."""
    usable = []
    for record in listing.records:
        if record.label is None:
            raise ValueError(f"{listing.origin}: {record.name} has no label")
        fault = None
        if record.size == 0:
            fault = "the file is empty"
        elif record.size > data.max_bytes:
            fault = f"{record.size:,} bytes are more than max_bytes, {data.max_bytes:,}"
        if fault is None:
            usable.append(record)
        elif data.on_error == "fail":
            raise ValueError(f"{listing.origin}: {record.name}: {fault}")
        else:
            logger.warning("left out %s: %s: %s", listing.origin, record.name, fault)
    return usable


def open_listing(origin: str) -> Listing:
    """What a single data set holds: its files by name, with labels and parts. Errors are those of `open_source`."""
    if not origin:
        raise ValueError(f"no data set is named: data.path must be {KINDS}")
    if origin.startswith(PREFIX):
        return open_hub(origin)
    if origin.startswith(made.PREFIX):
        if origin != f"{made.PREFIX}{SHAPES}":
            raise ValueError(f"{origin}: there are no such generated files; there is {made.PREFIX}{SHAPES}")
        return open_shapes()
    path = Path(origin).expanduser()
    if path.is_dir():
        return _open_folder(origin, path)
    if not path.exists():
        return _open_shards(origin, _matches(str(path)))
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return open_zip(origin, path)
    if suffix in MANIFESTS:
        return open_manifest(origin, path)
    return _open_shards(origin, [path])


def _open_folder(origin: str, path: Path) -> Listing:
    """A folder of class folders, or one of nothing but archives or tables."""
    visible = [item for item in sorted(path.iterdir()) if not item.name.startswith(".")]
    if not any(item.is_dir() for item in visible):
        for suffix in (".parquet", ".tar"):
            if shards := [item for item in visible if item.suffix.lower() == suffix]:
                return _open_shards(origin, shards)
    return open_folder(origin, path)


def _open_shards(origin: str, shards: list[Path]) -> Listing:
    suffixes = {shard.suffix.lower() for shard in shards}
    if suffixes == {".tar"}:
        return open_tars(origin, shards)
    if suffixes == {".parquet"}:
        return open_parquets(origin, shards)
    for shard in shards:
        if shard.name.lower().endswith(COMPRESSED_TARS):
            raise ValueError(f"{shard}: a compressed tar cannot be read file by file; decompress it to .tar first")
    raise ValueError(f"{origin}: not a data set; it must be {KINDS}")


def _matches(pattern: str) -> list[Path]:
    """The paths that a pattern with {a,b}, {000..003}, * or ? stands for, in order.

    Raises:
        FileNotFoundError: none, or not all that the braces spell out.
    """
    paths: list[Path] = []
    for name in expand_braces(pattern):
        found = sorted(glob.glob(name))
        if not found:
            raise FileNotFoundError(f"{name}: no such file or folder")
        paths += [Path(path) for path in found if Path(path) not in paths]
    return paths


def expand_braces(pattern: str) -> list[str]:
    """The names that `{a,b}` and `{000..003}` in a pattern stand for, as a shell spells them out."""
    match = re.search(r"\{([^{}]*(?:,|\.\.)[^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    inside = match.group(1)
    if span := re.fullmatch(r"(\d+)\.\.(\d+)", inside):
        first, last = span.groups()
        width = len(first) if first.startswith("0") else 0
        words = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
    else:
        words = inside.split(",")
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [name for word in words for name in expand_braces(f"{head}{word}{tail}")]
