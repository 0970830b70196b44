"""Several data sets as one: their classes are joined, their parts stay what they are."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import PurePath
from typing import TYPE_CHECKING

from anybyte.files import made
from anybyte.files.hub import PREFIX

if TYPE_CHECKING:
    from anybyte.files.sources import Entry, Source

SIGN = "+"


@dataclass(frozen=True)
class Origin:
    """One of several data sets.

    Attributes:
        path: where it is.
        name: what to call it, before its files' names and in reports.
        prefix: stands before its classes' names, as `digits/7`. None: its classes keep their names.
    """

    path: str
    name: str
    prefix: str | None


def split_origins(path: str) -> list[Origin]:
    """The data sets that `data.path` names: `a.zip+b/` is two, `digits=a.zip+b/` gives the classes of one a prefix.

    A file or folder whose own name holds such signs is taken for what it is.

    Raises:
        ValueError: one of several has no name.
    """
    if not path or os.path.exists(os.path.expanduser(path)):
        return [_origin(path)]
    parts = path.split(SIGN)
    if not all(parts):
        raise ValueError(f"{path}: expected a data set on both sides of each {SIGN}")
    origins = [_origin(part) for part in parts]
    seen: dict[str, int] = {}
    for index, origin in enumerate(origins):
        seen[origin.name] = count = seen.get(origin.name, 0) + 1
        if count > 1:
            origins[index] = replace(origin, name=f"{origin.name}-{count}")
    return origins


def _origin(path: str) -> Origin:
    prefix, sign, rest = path.partition("=")
    if not (sign and prefix and rest) or not prefix.replace("_", "").replace("-", "").isalnum() or os.path.exists(path):
        return Origin(path, _short(path), None)
    return Origin(rest, prefix, prefix)


def _short(path: str) -> str:
    """A data set's name without its folders and suffix."""
    for prefix in (PREFIX, made.PREFIX):
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    pure = PurePath(path)
    return pure.stem or path


def absolute_origins(path: str) -> str:
    """`data.path` with every path in it made absolute, so that it holds in any folder; names on a hub stay."""
    return SIGN.join(
        (f"{origin.prefix}=" if origin.prefix else "") + _absolute(origin.path) for origin in split_origins(path)
    )


def _absolute(path: str) -> str:
    """A path or pattern of paths, made absolute; names that are no path, and no path at all, stay as they are."""
    is_elsewhere = not path or path.startswith((PREFIX, made.PREFIX, "{/"))
    return path if is_elsewhere else os.path.abspath(path)


@dataclass(frozen=True)
class JoinedSource:
    """The files of several sources, one source after the other, over the joined classes. A `Source`.

    Attributes:
        classes: of all of them; equal names are one class.
        names: of the sources.
        sources: the sources.
        prefixes: of the names of their classes.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    sources: tuple[Source, ...]
    prefixes: tuple[str | None, ...]
    entries: Sequence[Entry] = field(init=False, repr=False)
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        number = {name: label for label, name in enumerate(self.classes)}
        entries: list[Entry] = []
        for name, source, prefix in zip(self.names, self.sources, self.prefixes, strict=True):
            labels = [number[prefixed(word, prefix)] for word in source.classes]
            entries += [
                replace(entry, name=f"{name}/{entry.name}", label=labels[entry.label] if entry.label >= 0 else -1)
                for entry in source.entries
            ]
        object.__setattr__(self, "entries", entries)
        starts = (0, *accumulate(len(source.entries) for source in self.sources))
        object.__setattr__(self, "_starts", starts[:-1])

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, index: int) -> bytes:
        """The bytes of `entries[index]`."""
        which = self._which(index)
        return self.sources[which].read(index - self._starts[which])

    def origin(self, index: int) -> str:
        """The name of the source that holds `entries[index]`."""
        return self.names[self._which(index)]

    def _which(self, index: int) -> int:
        if not 0 <= index < len(self.entries):
            raise IndexError(f"there is no file {index} among {len(self.entries)}")
        return bisect_right(self._starts, index) - 1


def join(origins: Sequence[Origin], sources: Sequence[Source]) -> JoinedSource:
    """The sources as one. Classes are in the order of the data sets, each one's in its own."""
    classes = dict.fromkeys(
        prefixed(name, origin.prefix)
        for origin, source in zip(origins, sources, strict=True)
        for name in source.classes
    )
    names = tuple(origin.name for origin in origins)
    return JoinedSource(tuple(classes), names, tuple(sources), tuple(origin.prefix for origin in origins))


def prefixed(name: str, prefix: str | None) -> str:
    """A class's name with the prefix of its data set."""
    return name if prefix is None else f"{prefix}/{name}"
