"""Zip and tar archives. Their index is read once; a file is then one seek away. Nothing is ever extracted.

A store opens its archive for each file and closes it again: that costs microseconds, needs no care about forked workers
that would share a position, and keeps no thousand shards open.
"""

from __future__ import annotations

import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from anybyte.files.listing import Listing, Part, Record, is_junk, label_by_folder, parts_of_shards

COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")

_LOCAL_HEAD = struct.Struct("<4s22xHH")
"""Of a zip member: signature, then the lengths of name and extra field, which stand before the data."""
_ENCRYPTED = 0x1


class ZipKey(NamedTuple):
    """Where a zip member is, and how it is packed."""

    offset: int
    packed: int
    size: int
    method: int
    crc: int


@dataclass(frozen=True)
class ZipStore:
    """Members of a zip archive."""

    path: str

    def read(self, key: ZipKey) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(key.offset)
            head = file.read(_LOCAL_HEAD.size)
            if len(head) < _LOCAL_HEAD.size or not head.startswith(b"PK\x03\x04"):
                raise ValueError(f"{self.path} is damaged: there is no member at byte {key.offset}")
            _, name_length, extra_length = _LOCAL_HEAD.unpack(head)
            file.seek(name_length + extra_length, os.SEEK_CUR)
            data = file.read(key.packed)
        content = data if key.method == zipfile.ZIP_STORED else self._inflate(data, key.size)
        if len(content) != key.size or zlib.crc32(content) != key.crc:
            raise ValueError(f"{self.path} is damaged: the checksum is wrong")
        return content

    def _inflate(self, data: bytes, size: int) -> bytes:
        try:
            # No more than the index promises (0 would mean no limit): a small archive cannot fill the memory.
            return zlib.decompressobj(wbits=-15).decompress(data, max(size, 1))
        except zlib.error as error:
            raise ValueError(f"{self.path} is damaged ({error})") from error


def open_zip(origin: str, path: Path) -> Listing:
    """The files of a zip archive that has one folder a class, stored or deflated.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, encrypted, packed by another method, or has no class folders.
    """
    records = label_by_folder(origin, zip_members(path), unwrap=True)
    return Listing.of(origin, records, ZipStore(str(path.absolute())))


def zip_members(path: Path) -> list[tuple[str, int, ZipKey]]:
    """Name, size and place of each file of a zip archive, stored or deflated.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, encrypted, or packed by another method.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir() and not is_junk(member.filename)]
            length = path.stat().st_size
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a whole zip archive ({error})") from error
    files: dict[str, tuple[str, int, ZipKey]] = {}
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ValueError(f"{path}: {member.filename} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{path}: {member.filename} is packed by method {member.compress_type}; use store or deflate"
            )
        if member.filename in files:
            raise ValueError(f"{path}: {member.filename} is there twice")
        if member.header_offset + member.compress_size > length:  # room for all of it is taken before it is read
            raise ValueError(f"{path}: not a whole zip archive ({member.filename} ends outside)")
        key = ZipKey(member.header_offset, member.compress_size, member.file_size, member.compress_type, member.CRC)
        files[member.filename] = (member.filename, member.file_size, key)
    return list(files.values())


class TarKey(NamedTuple):
    """Where a tar member is."""

    shard: int
    offset: int
    size: int


@dataclass(frozen=True)
class TarStore:
    """Members of one or more tar archives."""

    paths: tuple[str, ...]

    def read(self, key: TarKey) -> bytes:
        with open(self.paths[key.shard], "rb") as file:
            file.seek(key.offset)
            data = file.read(key.size)
        if len(data) != key.size:
            raise ValueError(f"{self.paths[key.shard]} is shorter than it was")
        return data


def open_tars(origin: str, paths: Sequence[Path]) -> Listing:
    """The files of tar archives: WebDataset samples (`7.jpg` with `7.cls` or `7.json`), or one folder a class.

    Raises:
        OSError: one cannot be read.
        ValueError: one is damaged or compressed, or its samples are not labelled.
    """
    folders: list[tuple[str, int, TarKey]] = []
    records: list[Record] = []
    for shard, (path, (short, part)) in enumerate(parts_of_shards(paths).items()):
        prefix = f"{short}/" if len(paths) > 1 else ""
        members = dict(_members(path, shard))
        samples = _samples(members)
        if any(_is_labelled(sample) for sample in samples.values()):
            with open(path, "rb") as file:
                records += [_sample_record(path, file, prefix, part, key, s) for key, s in samples.items()]
        elif part is None:
            folders += [(name, key.size, key) for name, key in members.items()]
        else:
            files = [(name, key.size, key) for name, key in members.items()]
            found = label_by_folder(str(path), files, unwrap=True)
            records += [Record(f"{prefix}{r.name}", r.label, part, r.size, r.key) for r in found]
    if folders and records:
        raise ValueError(f"{origin}: some archives hold samples with .cls or .json files, and some do not")
    if folders:
        _refuse_repeats(origin, [name for name, *_ in folders])
    records = records or label_by_folder(origin, folders, unwrap=True)
    return Listing.of(origin, records, TarStore(tuple(str(path.absolute()) for path in paths)))


def _refuse_repeats(origin: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{origin}: {name} is there twice")
        seen.add(name)


def _members(path: Path, shard: int) -> Iterator[tuple[str, TarKey]]:
    """Name and place of each file. Of two files under one name the later counts, as tar has it."""
    length = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse() and not is_junk(member.name.removeprefix("./")):
                    if member.offset_data + member.size > length:
                        raise ValueError(f"it ends inside {member.name}")
                    yield member.name.removeprefix("./"), TarKey(shard, member.offset_data, member.size)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a whole, uncompressed tar archive ({error})") from error


Sample = dict[str, tuple[str, TarKey]]
"""Extension -> member's name and place."""


def _samples(members: dict[str, TarKey]) -> dict[str, Sample]:
    """Members that share a name up to the first dot of its last word: WebDataset's samples, by that name."""
    samples: dict[str, Sample] = defaultdict(dict)
    for name, key in members.items():
        folder, _, file = name.rpartition("/")
        stem, _, extension = file.partition(".")
        samples[f"{folder}/{stem}" if folder else stem][extension.lower()] = (name, key)
    return samples


def _is_labelled(sample: Sample) -> bool:
    return "cls" in sample or ("json" in sample and len(sample) > 1)


def _sample_record(path: Path, file: IO[bytes], prefix: str, part: Part | None, key: str, sample: Sample) -> Record:
    where = f"{path}: sample {key}"
    payload = [(name, place) for extension, (name, place) in sample.items() if extension not in ("cls", "json")]
    if len(payload) != 1:
        found = ", ".join(name for name, _ in payload) or "none"
        raise ValueError(f"{where}: expected one file beside its label, found: {found}")
    (name, place) = payload[0]
    return Record(f"{prefix}{name}", _sample_label(where, file, sample), part, place.size, place)


def _sample_label(where: str, file: IO[bytes], sample: Sample) -> str:
    def text(extension: str) -> str:
        _, key = sample[extension]
        file.seek(key.offset)
        return file.read(key.size).decode("utf-8")

    try:
        if "cls" in sample:
            label: object = text("cls").strip()
        else:
            about = json.loads(text("json")) if "json" in sample else {}
            label = about.get("label", about.get("cls")) if isinstance(about, dict) else None
    except ValueError as error:
        raise ValueError(f"{where}: its label cannot be read ({error})") from error
    if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
        raise ValueError(f"{where}: no label: expected a .cls file, or a .json file with 'label' or 'cls'")
    return str(label)
