"""Every file of folders, archives and fsspec URLs, one after the other in an order that is always the same.

Listing is lazy: of a tree, one folder after the other is looked at and sorted; only an archive has an index that is
read as a whole. Each file has a key, and keys grow along the listing, so that it can be taken up behind any file: what
came before is skipped without being listed, and nothing is met twice, even if files were added or removed meanwhile.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeAlias, cast

from anybyte.files.archives import COMPRESSED_TARS

Key: TypeAlias = tuple[str | int, ...]
"""Where a file is in its source. Those of one source can be compared."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to classify.

    Attributes:
        path: what to call it.
        source: the number of the source it is of.
        key: its place there.
        size: bytes, as far as the listing knows.
        fault: why it cannot be read, if the listing knows that.
    """

    path: str
    source: int
    key: Key
    size: int | None = None
    fault: str | None = None


class Source(Protocol):
    """Files that were named together. It can be pickled; files are opened by the process that reads them."""

    def entries(self, after: Key | None) -> Iterator[Entry]:
        """The files whose keys are greater than `after`, in the order of their keys."""

    def open(self, entry: Entry) -> BinaryIO:
        """The bytes of a file.

        Raises:
            OSError, ValueError: it cannot be opened.
        """

    def close(self) -> None:
        """Closes what it may have opened for itself."""


class Child(NamedTuple):
    """What is in a folder."""

    name: str
    is_folder: bool
    size: int | None


class LocalFiles:
    """Files of this machine. Links to files are files; links to folders, pipes and devices are left out."""

    def __init__(self, hidden: frozenset[str] = frozenset()) -> None:
        """`hidden`: absolute paths that are not listed."""
        self._hidden = hidden

    def children(self, folder: str) -> list[Child]:
        found = []
        with os.scandir(folder) as items:
            for item in items:
                if item.is_dir(follow_symlinks=False):
                    is_folder, size = True, None
                elif item.is_file():
                    is_folder, size = False, _size_of(item)
                elif item.is_symlink() and not os.path.exists(item.path):
                    is_folder, size = False, None  # it points nowhere: reading says so
                else:
                    continue
                if not self._hidden or os.path.abspath(item.path) not in self._hidden:
                    found.append(Child(item.name, is_folder, size))
        return found

    def open(self, path: str) -> BinaryIO:
        return open(path, "rb")

    def shown(self, path: str) -> str:
        """A path as it is called in a table, whose text is UTF-8 while a name may hold any bytes."""
        return os.fsencode(path).decode("utf-8", "backslashreplace")


class UrlFiles:
    """Files of a file system of fsspec."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    def children(self, folder: str) -> list[Child]:
        found = []
        for item in self._filesystem.ls(folder, detail=True):
            name = item["name"].rstrip("/").rpartition("/")[2]
            if name and item["name"].strip("/") != folder.strip("/"):  # some stores list the folder in itself
                found.append(Child(name, item["type"] == "directory", item.get("size")))
        return found

    def open(self, path: str) -> BinaryIO:
        return cast(BinaryIO, self._filesystem.open(path, "rb"))

    def shown(self, path: str) -> str:
        return str(self._filesystem.unstrip_protocol(path))


Files: TypeAlias = LocalFiles | UrlFiles


@dataclass(frozen=True)
class Tree:
    """All files below a folder, at any depth. Keys are the names along the way."""

    number: int
    files: Files
    root: str

    def entries(self, after: Key | None) -> Iterator[Entry]:
        return self._walk(self.root, (), after)

    def _walk(self, folder: str, key: Key, after: Key | None) -> Iterator[Entry]:
        try:
            children = sorted(self.files.children(folder))
        except OSError as error:
            place = (*key, "")  # before all that may be in it
            if after is None or after < place:
                yield Entry(self.files.shown(folder), self.number, place, fault=error.strerror or str(error))
            return
        for child in children:
            place, path = (*key, child.name), f"{folder.rstrip('/')}/{child.name}"
            below = after if after is not None and after[: len(place)] == place else None
            if after is not None and below is None and place < after:
                continue
            if child.is_folder:
                yield from self._walk(path, place, below)
            elif after is None or place > after:  # in stores, a file may have the name of a folder
                yield Entry(self.files.shown(path), self.number, place, child.size)

    def open(self, entry: Entry) -> BinaryIO:
        return self.files.open("/".join([self.root.rstrip("/"), *map(str, entry.key)]))

    def close(self) -> None:
        """Nothing: it holds no open file."""


@dataclass(frozen=True)
class OneFile:
    """A file that was named itself."""

    number: int
    files: Files
    path: str

    def entries(self, after: Key | None) -> Iterator[Entry]:
        if after is None:
            yield Entry(self.files.shown(self.path), self.number, (0,))

    def open(self, entry: Entry) -> BinaryIO:
        return self.files.open(self.path)

    def close(self) -> None:
        """Nothing: it holds no open file."""


class Archive:
    """The files in a .zip or .tar archive, by name. Nothing is unpacked. Keys are name and place in the archive."""

    def __init__(self, number: int, files: Files, path: str) -> None:
        self.number, self.files, self.path = number, files, path
        self._stream: BinaryIO | None = None
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self._index: dict[Key, zipfile.ZipInfo | tarfile.TarInfo] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"number": self.number, "files": self.files, "path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def entries(self, after: Key | None) -> Iterator[Entry]:
        self._opened()
        shown = self.files.shown(self.path)
        for key in sorted(self._index):
            if after is None or key > after:
                member = self._index[key]
                size: int | None = member.file_size if isinstance(member, zipfile.ZipInfo) else member.size
                name = os.fsencode(str(key[0])).decode("utf-8", "backslashreplace")
                if isinstance(member, tarfile.TarInfo) and member.islnk():
                    size = None  # a hard link has the bytes of another member
                yield Entry(f"{shown}/{name}", self.number, key, size)

    def open(self, entry: Entry) -> BinaryIO:
        archive, member = self._opened(), self._index[entry.key]
        if isinstance(archive, zipfile.ZipFile):
            assert isinstance(member, zipfile.ZipInfo)
            return cast(BinaryIO, archive.open(member))
        assert isinstance(member, tarfile.TarInfo)
        try:
            stream = archive.extractfile(member)
        except (KeyError, RecursionError):
            stream = None
        if stream is None:
            raise ValueError(f"is a link to {member.linkname}, which is no file of the archive")
        return cast(BinaryIO, stream)

    def close(self) -> None:
        """Closes the archive, which is opened anew where a file is read after that."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._archive = None

    def _opened(self) -> zipfile.ZipFile | tarfile.TarFile:
        """The archive, whose index is read once."""
        if self._archive is None:
            self._stream = stream = self.files.open(self.path)
            try:
                if self.path.lower().endswith(".zip"):
                    self._archive = zipfile.ZipFile(stream)
                    found = [info for info in self._archive.infolist() if not info.is_dir()]
                    self._index = {(info.filename, info.header_offset): info for info in found}
                else:
                    self._archive = tarfile.TarFile(fileobj=stream)
                    members = [info for info in self._archive if info.isreg() or info.islnk()]
                    self._index = {(info.name, info.offset_data): info for info in members}
            except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, ValueError) as error:
                self.close()
                raise ValueError(f"{self.files.shown(self.path)} is not a whole archive ({error})") from error
        return self._archive


def open_sources(names: Sequence[str], hidden: frozenset[str] = frozenset()) -> list[Source]:
    """The sources that were named: folders, files, .zip and .tar archives, and URLs of fsspec to any of these.

    Args:
        names: paths, or URLs such as `s3://bucket/folder`.
        hidden: absolute paths on this machine that are left out of folders.

    Raises:
        OSError: one does not exist.
        ValueError: two hold the same files, an archive is compressed as a whole, or there is no such kind of URL.
    """
    _refuse_overlaps(names)
    return [_open_source(number, name, hidden) for number, name in enumerate(names)]


def list_entries(sources: Sequence[Source], after: tuple[int, Key] | None) -> Iterator[Entry]:
    """All files of all sources in order, from behind a place on."""
    first, key = (0, None) if after is None else after
    for number, source in enumerate(sources):
        if number >= first:
            yield from source.entries(key if number == first else None)


def is_url(name: str) -> bool:
    return "://" in name


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there.

    Raises:
        ValueError: there is no such kind of URL, or a package for it is not installed.
        ModuleNotFoundError: fsspec is not installed; the message names the extra.
    """
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("URLs need fsspec: pip install 'anybyte[bulk]'") from error
    try:
        filesystem, path = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ValueError(f"{url} cannot be opened: {error}") from error
    return filesystem, str(path)


def _open_source(number: int, name: str, hidden: frozenset[str]) -> Source:
    files: Files
    if is_url(name):
        filesystem, path = file_system(name)
        files, is_folder, is_file = UrlFiles(filesystem), filesystem.isdir(path), filesystem.isfile(path)
    else:
        path = name
        files, is_folder, is_file = LocalFiles(hidden), os.path.isdir(path), os.path.isfile(path)
    if is_folder:
        return Tree(number, files, path)
    if not is_file:
        raise FileNotFoundError(2, "No such file or directory", name)
    if path.lower().endswith(COMPRESSED_TARS):
        raise ValueError(f"{name}: a compressed tar cannot be read file by file; decompress it to .tar first")
    if path.lower().endswith((".zip", ".tar")):
        return Archive(number, files, path)
    return OneFile(number, files, path)


def _refuse_overlaps(names: Sequence[str]) -> None:
    """Raises ValueError where a source lies in another one: its files would be there twice."""
    places = [(name, name.rstrip("/") if is_url(name) else os.path.realpath(name)) for name in names]
    for index, (name, place) in enumerate(places):
        for other, around in places[:index] + places[index + 1 :]:
            if f"{place}/".startswith(f"{around.rstrip('/')}/"):
                raise ValueError(f"{name} is named twice, or lies in {other}: its files would be there twice")


def _size_of(item: os.DirEntry[str]) -> int | None:
    try:
        return item.stat().st_size
    except OSError:
        return None
