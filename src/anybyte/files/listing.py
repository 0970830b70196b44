"""What a data set holds, before anything is split: one record a file, and a store that reads them.

Each kind of source (folder, zip, tar, manifest, parquet, hub) makes a `Listing`; all behind it is the same for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

PART_WORDS: dict[str, Part] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_JUNK = {"__macosx", "thumbs.db", "desktop.ini"}

LAYOUT = (
    "expected one folder a class (cat/1.jpg, dog/2.jpg), or such folders below train/ and, if you like, val/ and test/"
    "; or train/ and test/ inside each class folder"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One file of a data set.

    Attributes:
        name: What to call it. No two of a listing are the same, and it does not depend on where the data set lies.
        label: The class. None: not labelled.
        part: Where the data set itself puts the file. None: it does not say.
        size: Bytes as stored.
        key: Where its store finds it.
    """

    name: str
    label: str | None
    part: Part | None
    size: int
    key: Any


class Store(Protocol):
    """Reads files by the keys of a listing. Can be pickled, and holds no open file: workers may be forks or copies."""

    def read(self, key: Any) -> bytes:
        """The file's bytes. Errors say what is wrong; the caller knows the file's name."""


@dataclass(frozen=True)
class Listing:
    """All files of a data set.

    Attributes:
        origin: The data set as the user named it.
        records: Sorted by name, so that nothing depends on the order of a file system.
        store: Reads them.
        classes: The classes that occur, in the data set's own order, or in that of `sort_classes`.
    """

    origin: str
    records: Sequence[Record]
    store: Store
    classes: tuple[str, ...]

    @classmethod
    def of(cls, origin: str, records: Iterable[Record], store: Store, names: Sequence[str] | None = None) -> Listing:
        """A listing in order. `names`: the data set's own order of classes, which may hold some that do not occur."""
        records = sorted(records, key=lambda record: record.name)
        found = {record.label for record in records if record.label is not None}
        classes = sort_classes(found) if names is None else tuple(name for name in names if name in found)
        return cls(origin, records, store, classes)


@dataclass(frozen=True)
class FileStore:
    """Files of a file system, by their paths below `root`."""

    root: str

    def read(self, key: str) -> bytes:
        with open(os.path.join(self.root, key), "rb") as file:
            return file.read()


def sort_classes(classes: Iterable[str]) -> tuple[str, ...]:
    """Classes in alphabetical order; if all are whole numbers, by number (so that 10 stands behind 9)."""
    names = set(classes)
    if all(re.fullmatch(r"-?[0-9]+", name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def to_part(word: str, where: str) -> Part:
    """The part that a word means: train, val (valid, validation) or test.

    Raises:
        ValueError: none of them; the message starts with `where`.
    """
    part = PART_WORDS.get(word.strip().lower())
    if part is None:
        raise ValueError(f"{where}: the split is {word!r}; it must be train, val or test")
    return part


def is_junk(name: str) -> bool:
    """Whether a path is hidden, was left by an operating system, or points out of its archive (`..`)."""
    return any(word.startswith(".") or word.lower() in _JUNK for word in name.split("/"))


def label_by_folder(origin: str, files: Iterable[tuple[str, int, Any]], unwrap: bool = False) -> list[Record]:
    """Records of files whose folders say what they are: `class/...`, `train/class/...` or `class/train/...`.

    Files that are in no class folder (a README beside them) are left out.

    Args:
        origin: What to call the data set in an error.
        files: Name with `/` between its words, size, key.
        unwrap: Whether to look past one folder that holds everything, as archives have it.

    Raises:
        ValueError: no class folders, or train/ and others mixed.
    """
    paths = [(name.lstrip("/").split("/"), name, size, key) for name, size, key in files if not is_junk(name)]
    depth = _wrappers([words for words, *_ in paths]) if unwrap else 0
    tops = {words[depth] for words, *_ in paths if len(words) > depth + 1}
    in_parts = {top for top in tops if top.lower() in PART_WORDS}
    if {PART_WORDS[top.lower()] for top in in_parts} > {"train"} and in_parts != tops:
        strangers = ", ".join(f"{top}/" for top in sorted(tops - in_parts))
        raise ValueError(f"{origin}: {strangers} beside {', '.join(f'{top}/' for top in sorted(in_parts))}; {LAYOUT}")
    split = bool(tops) and in_parts == tops
    level = depth + 1 if split else depth
    inside = None if split else _parts_inside([words for words, *_ in paths if len(words) > depth + 1], depth + 1)
    records = [
        Record(name, words[level], _part_of(words, depth if split else inside), size, key)
        for words, name, size, key in paths
        if len(words) > level + 1
    ]
    if not records:
        raise ValueError(f"{origin}: no classes found; {LAYOUT}")
    return records


def _parts_inside(paths: list[list[str]], level: int) -> int | None:
    """The level of the folders train/ and test/ inside the class folders, as ModelNet40 has them; None without any."""
    words = {path[level].lower() if len(path) > level + 1 else "" for path in paths}
    return level if len(words) > 1 and words <= PART_WORDS.keys() and "train" in words else None


def _part_of(words: list[str], level: int | None) -> Part | None:
    return None if level is None else PART_WORDS[words[level].lower()]


def _wrappers(paths: list[list[str]]) -> int:
    """How many folders, one in the other, hold everything and are neither a class nor a part."""
    depth = 0
    while (
        paths
        and all(len(words) > depth + 2 for words in paths)
        and len({words[depth] for words in paths}) == 1
        and paths[0][depth].lower() not in PART_WORDS
    ):
        depth += 1
    return depth


def parts_of_shards(shards: Sequence[Path]) -> dict[Path, tuple[str, Part | None]]:
    """A short name for each shard, and the part that its name announces: `cifar_train-000.tar`, `test/3.parquet`.

    Shards that all announce the same part are not a split.

    Raises:
        ValueError: some announce a part and some do not.
    """
    root = os.path.commonpath([shard.parent.absolute() for shard in shards])
    names = {shard: shard.absolute().relative_to(root).as_posix() for shard in shards}
    parts = {shard: announced_part(name) for shard, name in names.items()}
    if len(set(parts.values())) > 1 and None in parts.values():
        stranger = next(shard for shard, part in parts.items() if part is None)
        raise ValueError(f"{stranger}: cannot tell whether this is train, val or test, as the files beside it can")
    split = len(set(parts.values())) > 1
    return {shard: (names[shard], parts[shard] if split else None) for shard in shards}


def announced_part(name: str) -> Part | None:
    """The part whose word stands in a path, in a folder rather than in the file's name, and only if it is one part."""
    for word in name.lower().split("/"):
        parts = {PART_WORDS[piece] for piece in re.findall(r"[a-z]+", word) if piece in PART_WORDS}
        if len(parts) == 1:
            return parts.pop()
    return None
