"""Folders, zips and manifests of videos: as any data set, but the files need no classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from anybyte.files.archives import ZipStore, zip_members
from anybyte.files.folders import MANIFESTS, open_manifest
from anybyte.files.listing import PART_WORDS, FileStore, Listing, Record, is_junk

LAYOUT = "expected a video, a folder or .zip of videos (in class folders, or not), or a manifest (.csv, .jsonl)"


def open_videos(path: str) -> Listing:
    """The videos of a data set: one file, a folder, a zip, or a manifest.

    Folders train/, val/ and test/ are parts; a folder (in them) is a class, if all videos lie in one.

    Raises:
        OSError: it does not exist, or cannot be read.
        ValueError: there is nothing in it, or some videos lie in class folders and others do not.
    """
    if not path:
        raise ValueError(f"no data set is named: {LAYOUT}")
    root = Path(path).expanduser()
    if root.is_dir():
        return Listing.of(path, _records(path, _walk(root)), FileStore(str(root.absolute())))
    if not root.exists():
        raise FileNotFoundError(2, "No such file or directory", path)
    suffix = root.suffix.lower()
    if suffix == ".zip":
        return Listing.of(path, _records(path, zip_members(root)), ZipStore(str(root.absolute())))
    if suffix in MANIFESTS:
        return open_manifest(path, root)
    single = Record(root.name, None, None, root.stat().st_size, root.name)
    return Listing.of(path, [single], FileStore(str(root.parent.absolute())))


def _walk(root: Path) -> Iterable[tuple[str, int, str]]:
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = sorted(name for name in below if not is_junk(name))
        for name in sorted(names):
            relative = (Path(folder) / name).relative_to(root).as_posix()
            yield relative, (Path(folder) / name).stat().st_size, relative


def _records(origin: str, files: Iterable[tuple[str, int, Any]]) -> Sequence[Record]:
    found = [(name.split("/"), name, size, key) for name, size, key in files if not is_junk(name)]
    if not found:
        raise ValueError(f"{origin}: there are no files in it; {LAYOUT}")
    tops = {words[0].lower() for words, *_ in found}
    has_parts = tops <= set(PART_WORDS) and all(len(words) > 1 for words, *_ in found)
    records = []
    for words, name, size, key in found:
        rest = words[1:] if has_parts else words
        part = PART_WORDS[words[0].lower()] if has_parts else None
        records.append(Record(name, rest[0] if len(rest) > 1 else None, part, size, key))
    bare = [record.name for record in records if record.label is None]
    if bare and len(bare) < len(records):
        raise ValueError(f"{origin}: {bare[0]} lies in no class folder, and others do; {LAYOUT}")
    return records
