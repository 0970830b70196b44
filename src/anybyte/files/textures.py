"""Pictures as textures: decoded once, small, and kept."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from anybyte.files.joined import split_origins
from anybyte.files.listing import is_junk
from anybyte.files.sources import Source, open_source

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp"})
"""Endings by which pictures are known in a folder or a zip."""
_KEPT = 2**28
"""Bytes of decoded pictures that are kept: 256 MB."""


class Textures:
    """The pictures of data sets as arrays; see `open_textures`. Can be pickled; each process keeps its own.

    Attributes:
        origin: the data sets as the user named them.
        side: length of the long side, at most.
    """

    def __init__(self, origin: str, side: int, pictures: Sequence[tuple[str, str]], sizes: Sequence[int]) -> None:
        self.origin, self.side = origin, side
        self._pictures, self._sizes = list(pictures), list(sizes)
        self._kept: dict[int, NDArray[np.float32]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_kept": {}, "_bytes": 0}

    def identity(self) -> str:
        """Of the names and sizes of the pictures, wherever they lie, and of the length of their sides."""
        lines = [f"{name}\0{size}\n" for (_, name), size in zip(self._pictures, self._sizes, strict=True)]
        return hashlib.sha256("".join([*lines, str(self.side)]).encode(errors="surrogateescape")).hexdigest()

    def read(self, index: int) -> NDArray[np.float32]:
        """A picture, float32 [H, W, 3] in [0, 1]; kept for the next time while there is room.

        Raises:
            ValueError: it is not a picture; the message names it.
            OSError: it cannot be read.
        """
        if index in self._kept:
            return self._kept[index]
        pixels = self._decode(index)
        if self._bytes + pixels.nbytes <= _KEPT:
            self._kept[index] = pixels
            self._bytes += pixels.nbytes
        return pixels

    def _decode(self, index: int) -> NDArray[np.float32]:
        origin, name = self._pictures[index]
        try:
            with Image.open(io.BytesIO(_read(origin, name))) as file:
                file.draft("RGB", (self.side, self.side))  # a JPEG is read no larger than is needed
                picture: Image.Image = file.convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{origin}: {name} is not a picture that can be read: {error}") from error
        scale = self.side / max(picture.size)
        if scale < 1:
            size = [max(1, round(length * scale)) for length in picture.size]
            picture = picture.resize((size[0], size[1]), Image.Resampling.BOX)
        return np.asarray(picture, dtype=np.float32) / np.float32(255)


def open_textures(path: str | os.PathLike[str], side: int) -> Textures:
    """All pictures of a folder (at any depth), a zip, or any other data set; a plus sign joins several.

    Raises:
        ValueError: there is no picture.
        OSError: it cannot be read.
    """
    pictures: list[tuple[str, str]] = []
    sizes: list[int] = []
    for origin in (each.path for each in split_origins(os.fspath(path))):
        found = _list(origin)
        if not found:
            raise ValueError(f"{origin}: no pictures found; they are known by {', '.join(sorted(PICTURES))}")
        pictures += [(origin, name) for name, _ in found]
        sizes += [size for _, size in found]
    return Textures(os.fspath(path), side, pictures, sizes)


def _list(origin: str) -> list[tuple[str, int]]:
    """(name, size) of the pictures of one data set, sorted."""
    path = Path(origin)
    if path.is_dir():
        files = [(file.relative_to(path).as_posix(), file.stat().st_size) for file in path.rglob("*") if file.is_file()]
    elif _is_zip(origin):
        with zipfile.ZipFile(path) as archive:
            files = [(info.filename, info.file_size) for info in archive.infolist() if not info.is_dir()]
    else:
        return [(str(index), entry.size) for index, entry in enumerate(_source(origin).entries)]
    return sorted((name, size) for name, size in files if Path(name).suffix.lower() in PICTURES and not is_junk(name))


def _read(origin: str, name: str) -> bytes:
    path = Path(origin)
    if path.is_dir():
        return (path / name).read_bytes()
    if _is_zip(origin):
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    return _source(origin).read(int(name))


@functools.cache
def _is_zip(origin: str) -> bool:
    return Path(origin).is_file() and zipfile.is_zipfile(origin)


@functools.lru_cache(maxsize=4)
def _source(origin: str) -> Source:
    """A data set of another kind, listed once a process."""
    return open_source(origin)
