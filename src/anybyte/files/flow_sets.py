"""Sets of optical flow: pairs of frames with the truth between them, from a folder or a zip.

What is known is told by the names of the files, so that a set, or any part of one, is read as it was unpacked or as it
was packed: MPI Sintel, KITTI 2012 and 2015, FlyingChairs, and Middlebury.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anybyte.files.flow import Flow, decode_flow
from anybyte.files.listing import is_junk
from anybyte.files.media import Image, decode

LAYOUTS = (
    "expected Sintel (clean/SEQ/frame_0001.png, flow/SEQ/frame_0001.flo), KITTI (image_2/000000_10.png, "
    "flow_occ/000000_10.png; or frame1.png, frame2.png, flow_gt.png), FlyingChairs (00001_img1.ppm, 00001_flow.flo) "
    "or Middlebury (NAME/frame10.png, NAME/flow10.flo)"
)


@dataclass(frozen=True)
class PairFiles:
    """Where a pair lies in its set.

    Attributes:
        name: what to call it: `clean/alley_1/frame_0001`.
        group: the set or pass that it belongs to: `sintel clean`, `sintel final`, `kitti`, `chairs`, `middlebury`.
        first, second, flow: names of files.
        invalid: of a mask that is not zero where the truth does not hold; None: there is none.
        occluded: of a mask that is not zero where the second frame does not show a pixel; None: there is none.
        visible: of a flow that is known just where the second frame shows a pixel (KITTI's `flow_noc`); None: none.
    """

    name: str
    group: str
    first: str
    second: str
    flow: str
    invalid: str | None = None
    occluded: str | None = None
    visible: str | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """Two frames and the flow between them.

    Attributes:
        name, group: as of `PairFiles`.
        first, second: uint8 [H, W, 3].
        flow: from the first to the second; `flow.valid` is where the truth is known.
        occluded: bool [H, W], where the second frame does not show what the first does. None: nobody knows.
    """

    name: str
    group: str
    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    flow: Flow
    occluded: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class _Files:
    """The files below a folder or in a zip, read by name. Holds nothing open."""

    origin: str
    sizes: Mapping[str, int] = field(repr=False)
    is_zip: bool

    def read(self, name: str) -> bytes:
        if not self.is_zip:
            return (Path(self.origin) / name).read_bytes()
        try:
            with zipfile.ZipFile(self.origin) as archive:
                return archive.read(name)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise ValueError(f"{self.origin}: {name} is damaged or packed in an unknown way: {error}") from error


class FlowPairs:
    """The pairs of a set, in the order of their names; see `open_flow_pairs`.

    Attributes:
        origin: the set as the user named it.
        files: where each pair lies.
    """

    def __init__(self, origin: str, files: Sequence[PairFiles], store: _Files) -> None:
        self.origin, self.files, self._store = origin, tuple(files), store

    def __len__(self) -> int:
        return len(self.files)

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of the two frames of each pair, as they are stored."""
        sizes = self._store.sizes
        return np.array([max(1, sizes[pair.first] + sizes[pair.second]) for pair in self.files], dtype=np.int64)

    def identity(self) -> str:
        """Of the names and sizes of all files, wherever they lie."""
        sizes = self._store.sizes
        lines = [
            f"{name}\0{sizes[name]}\n" for pair in self.files for name in (pair.first, pair.second, pair.flow) if name
        ]
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def select(self, keep: Iterable[int]) -> FlowPairs:
        """Some of the pairs."""
        return FlowPairs(self.origin, [self.files[index] for index in keep], self._store)

    def read(self, index: int) -> Pair:
        """One pair.

        Raises:
            ValueError: a file is damaged, or sizes differ; the message names the file.
            OSError: it cannot be read.
        """
        where = self.files[index]
        first, second = (self._picture(name) for name in (where.first, where.second))
        flow = decode_flow(self._store.read(where.flow), where.flow)
        for name, shape in ((where.second, second.shape[:2]), (where.flow, flow.vectors.shape[:2])):
            if shape != first.shape[:2]:
                one, two = (f"{width}x{height}" for height, width in (shape, first.shape[:2]))
                raise ValueError(f"{self.origin}: {name} has {one} pixels and {where.first} {two}")
        invalid = None if where.invalid is None else self._mask(where.invalid, first.shape[:2])
        if invalid is not None and invalid.any():
            flow = Flow(flow.vectors, flow.known & ~invalid)
        occluded = None if where.occluded is None else self._mask(where.occluded, first.shape[:2])
        if where.visible is not None:
            occluded = flow.known & ~decode_flow(self._store.read(where.visible), where.visible).known
        return Pair(where.name, where.group, first, second, flow, occluded)

    def _picture(self, name: str) -> NDArray[np.uint8]:
        medium = decode(self._store.read(name), name)
        if not isinstance(medium, Image):
            raise ValueError(f"{self.origin}: {name} is a sound, expected a frame")
        pixels = medium.pixels
        return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels

    def _mask(self, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        marked: NDArray[np.bool_] = self._picture(name).max(axis=2) > 0
        if marked.shape != shape:
            raise ValueError(f"{self.origin}: the mask {name} has not the size of its frame")
        return marked


def open_flow_pairs(path: str | os.PathLike[str]) -> FlowPairs:
    """The pairs of frames with truth in a folder or a zip.

    Args:
        path: Sintel (also `training/`), KITTI (`training/`; 2012 or 2015, or a single pair), FlyingChairs (`data/`, or
            pairs numbered from 0), Middlebury (`other-data` and `other-gt-flow` in one folder), or several of them.

    Raises:
        ValueError: no pair is found there, or it is not a zip.
        OSError: it cannot be read.
    """
    store = _list_files(os.fspath(path))
    names = frozenset(name for name in store.sizes if not is_junk(name))
    pairs = [pair for find in (_sintel, _kitti, _single, _chairs, _middlebury) for pair in find(names)]
    if not pairs:
        raise ValueError(f"{store.origin}: no pair of frames with its flow found; {LAYOUTS}")
    return FlowPairs(store.origin, sorted(pairs, key=lambda pair: (pair.group, pair.name)), store)


def _list_files(origin: str) -> _Files:
    path = Path(origin)
    if path.is_dir():
        found = ((file.relative_to(path).as_posix(), file.stat().st_size) for file in path.rglob("*") if file.is_file())
        return _Files(origin, dict(found), is_zip=False)
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", origin)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{origin} is neither a folder nor a zip of frames with their flow") from error
    return _Files(origin, {info.filename: info.file_size for info in members}, is_zip=True)


def _matches(names: Iterable[str], pattern: str) -> list[re.Match[str]]:
    return [match for name in sorted(names) if (match := re.fullmatch(pattern, name))]


def _sintel(names: frozenset[str]) -> list[PairFiles]:
    """`flow/SEQ/frame_0001.flo` beside `PASS/SEQ/frame_0001.png`, `frame_0002.png`, for each pass that is there."""
    pairs = []
    for match in _matches(names, r"(.*?)flow/([^/]+)/frame_(\d{4})\.flo"):
        root, sequence, number = match.groups()
        after = f"{int(number) + 1:04}"
        for part in ("albedo", "clean", "final"):
            first, second = (f"{root}{part}/{sequence}/frame_{each}.png" for each in (number, after))
            if first in names and second in names:
                masks = {
                    kind: _if_there(f"{root}{folder}/{sequence}/frame_{number}.png", names)
                    for kind, folder in (("invalid", "invalid"), ("occluded", "occlusions"))
                }
                name = f"{part}/{sequence}/frame_{number}"
                pairs.append(PairFiles(name, f"sintel {part}", first, second, match[0], **masks))
    return pairs


def _kitti(names: frozenset[str]) -> list[PairFiles]:
    """`flow_occ/000000_10.png` (all pixels; else `flow_noc`, those seen in both frames) beside the left camera's
    `image_2` (2015) or `colored_0`, `image_0` (2012)."""
    pairs = []
    for match in _matches(names, r"(.*?)flow_(occ|noc)/(\d{6})_10\.png"):
        root, kind, number = match.groups()
        visible = f"{root}flow_noc/{number}_10.png"
        if kind == "noc" and f"{root}flow_occ/{number}_10.png" in names:
            continue
        for folder in ("image_2", "colored_0", "image_0"):
            first, second = (f"{root}{folder}/{number}_{each}.png" for each in (10, 11))
            if first in names and second in names:
                seen = _if_there(visible, names) if kind == "occ" else None
                pairs.append(PairFiles(f"{root}{number}", "kitti", first, second, match[0], visible=seen))
                break
    return pairs


def _single(names: frozenset[str]) -> list[PairFiles]:
    """`frame1.png`, `frame2.png` and `flow_gt.png` (KITTI's 16 bits) or `flow_gt.flo`."""
    pairs = []
    for match in _matches(names, r"(?:(.*)/)?flow_gt\.(png|flo)"):
        root = "" if match[1] is None else f"{match[1]}/"
        first, second = f"{root}frame1.png", f"{root}frame2.png"
        if first in names and second in names:
            group = "kitti" if match[2] == "png" else "middlebury"
            pairs.append(PairFiles(match[1] or group, group, first, second, match[0]))
    return pairs


def _chairs(names: frozenset[str]) -> list[PairFiles]:
    """`00001_img1.ppm`, `00001_img2.ppm`, `00001_flow.flo`, as published; or `0img0`, `0img1`, `0flow`."""
    pairs = []
    for match in _matches(names, r"((?:.*/)?\d+_?)flow\.flo"):
        stem = match[1]
        for (one, two), suffix in ((pair, suffix) for pair in ((1, 2), (0, 1)) for suffix in ("ppm", "png", "jpg")):
            first, second = f"{stem}img{one}.{suffix}", f"{stem}img{two}.{suffix}"
            if first in names and second in names:
                pairs.append(PairFiles(stem.rstrip("_"), "chairs", first, second, match[0]))
                break
    return pairs


def _middlebury(names: frozenset[str]) -> list[PairFiles]:
    """`flow10.flo` beside `frame10.png` and `frame11.png`, in one folder or in `other-gt-flow` and `other-data`."""
    pairs = []
    for match in _matches(names, r"(.*?)([^/]+)/flow10\.flo"):
        root, scene = match.groups()
        for place in (root, f"{root.removesuffix('other-gt-flow/')}other-data/"):
            first, second = (f"{place}{scene}/frame{number}.png" for number in (10, 11))
            if first in names and second in names:
                pairs.append(PairFiles(scene, "middlebury", first, second, match[0]))
                break
    return pairs


def _if_there(name: str, names: frozenset[str]) -> str | None:
    return name if name in names else None
