"""Files of a file system: one folder a class, or a table of paths and labels."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anybyte.files.listing import LAYOUT, FileStore, Listing, Record, is_junk, label_by_folder, to_part

MANIFESTS = (".csv", ".jsonl")


def open_folder(origin: str, root: Path) -> Listing:
    """The files below a folder that has one folder a class, at any depth below it.

    Raises:
        OSError: something in it cannot be read.
        ValueError: no class folders, or an empty one.
    """
    records = label_by_folder(origin, ((name, size, name) for name, size in walk(root)))
    _refuse_empty_classes(origin, root, records)
    return Listing.of(origin, records, FileStore(str(root.absolute())))


def walk(folder: Path, below: str = "") -> Iterator[tuple[str, int]]:
    """Name and size of every file, names relative to the first folder. Links to folders are followed near the top."""
    with os.scandir(folder) as found:
        for item in found:
            name = f"{below}{item.name}"
            if is_junk(item.name):
                continue
            if item.is_dir(follow_symlinks=below.count("/") < 2):
                yield from walk(Path(item.path), f"{name}/")
            elif not item.is_dir():
                yield name, item.stat().st_size


def _refuse_empty_classes(origin: str, root: Path, records: list[Record]) -> None:
    """A class folder without files would otherwise not be missed by anyone."""
    level = 1 if records[0].part is None else 2
    full = {"/".join(record.name.split("/")[:level]) for record in records}
    for folder in sorted(root.glob("/".join("*" * level))):
        name = folder.relative_to(root).as_posix()
        if folder.is_dir() and not is_junk(name) and name not in full:
            raise ValueError(f"{origin}: the folder {name}/ holds no files; {LAYOUT}")


def open_manifest(origin: str, path: Path) -> Listing:
    """The files named by a table with the columns `path`, `label` and perhaps `split`: CSV, or one JSON object a line.

    Paths are relative to the manifest's folder.

    Raises:
        OSError: the manifest, or a file that it names, cannot be read.
        ValueError: a column is missing, a line is malformed, or a file is named twice.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    records: dict[str, Record] = {}
    for line, row in rows:
        where = f"{path}, line {line}"
        record = _manifest_record(path.parent, where, row)
        if record.name in records:
            raise ValueError(f"{where}: {record.name} is listed twice")
        records[record.name] = record
    if not records:
        raise ValueError(f"{path}: no files are listed")
    return Listing.of(origin, records.values(), FileStore(str(path.parent.absolute())))


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}, line {reader.line_num + 1}: not CSV in UTF-8 ({error})") from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, "rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{path}, line {line}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise ValueError(
                    f"{path}, line {line}: expected an object with path and label, not {text.strip()[:40]!r}"
                )
            yield line, row


def _manifest_record(root: Path, where: str, row: dict[str, Any]) -> Record:
    for column in ("path", "label"):
        if column not in row:
            found = ", ".join(str(name) for name in row) or "none"
            raise ValueError(f"{where}: no column {column!r}; there are: {found}")
        if row[column] in (None, ""):
            raise ValueError(f"{where}: {column} is empty")
    name = os.path.normpath(str(row["path"])).replace(os.sep, "/")
    try:
        size = os.stat(root / name).st_size
    except FileNotFoundError:
        raise FileNotFoundError(f"{where}: no such file: {root / name}") from None
    if (root / name).is_dir():
        raise ValueError(f"{where}: {root / name} is a folder")
    split = row.get("split")
    return Record(name, str(row["label"]), None if split is None else to_part(str(split), where), size, name)
