"""Data sets of the Hugging Face hub, as `hf:name` or `hf:name:config`. Needs the extra `hub`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from anybyte.files.columns import BYTES_NAMES, LABEL_NAMES, label_text, pick_column
from anybyte.files.listing import Listing, Part, Record, to_part

logger = logging.getLogger(__name__)

PREFIX = "hf:"
_ROWS_AT_ONCE = 1000


class HubKey(NamedTuple):
    """Where a row is."""

    split: str
    row: int


@dataclass(frozen=True)
class HubStore:
    """One column of each split. The tables are mapped from the disk, and pickled as references to it."""

    splits: Mapping[str, Any]
    column: str

    def read(self, key: HubKey) -> bytes:
        value = self.splits[key.split][key.row][self.column]
        if not isinstance(value, dict):
            return bytes(value)
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        with open(value["path"], "rb") as file:
            return file.read()


def open_hub(origin: str) -> Listing:
    """The rows of a data set on the hub, with pictures and sounds as they are stored there.

    Splits that are neither train, validation nor test are left out with a line in the log, unless there is only one.

    Raises:
        OSError: there is no such data set, or the hub cannot be reached.
        ValueError: its columns are not clear.
        ModuleNotFoundError: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise ModuleNotFoundError(f"{origin} needs datasets: pip install 'anybyte[hub]'") from error
    name, _, config = origin.removeprefix(PREFIX).partition(":")
    if not name:
        raise ValueError(f"{origin}: expected hf:name or hf:name:config")
    splits = dict(datasets.load_dataset(name, config or None))
    features = next(iter(splits.values())).features
    column = pick_column(origin, "files", _file_columns(datasets, features), BYTES_NAMES, list(features))
    label = pick_column(origin, "labels", _label_columns(datasets, features), LABEL_NAMES, list(features))
    names = getattr(features[label], "names", None)
    parts = _parts(origin, list(splits))
    stored = {split: _as_stored(datasets, splits[split], column, label) for split in parts}
    records = [
        record
        for split, part in parts.items()
        for record in _records(f"{origin}: {split}", stored[split], split, part, column, label, names)
    ]
    return Listing.of(origin, records, HubStore(stored, column), names)


def _file_columns(datasets: Any, features: Mapping[str, Any]) -> list[str]:
    media = (datasets.Image, datasets.Audio)
    return [
        name
        for name, feature in features.items()
        if isinstance(feature, media) or getattr(feature, "dtype", None) in ("binary", "large_binary")
    ]


def _label_columns(datasets: Any, features: Mapping[str, Any]) -> list[str]:
    named = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    plain = ("string", "large_string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    return named or [name for name, feature in features.items() if getattr(feature, "dtype", None) in plain]


def _parts(origin: str, splits: list[str]) -> dict[str, Part | None]:
    if len(splits) == 1:
        return {splits[0]: None}
    parts: dict[str, Part | None] = {}
    for split in splits:
        try:
            parts[split] = to_part(split, origin)
        except ValueError:
            logger.warning("%s: left out the split %r, which is not train, validation or test", origin, split)
    if not parts:
        raise ValueError(f"{origin}: none of its splits is train, validation or test: {', '.join(splits)}")
    return parts


def _as_stored(datasets: Any, table: Any, column: str, label: str) -> Any:
    """The two columns that matter, since a row is read with all it has, and the files not decoded."""
    table = table.select_columns([column, label])
    feature = table.features[column]
    if isinstance(feature, datasets.Image | datasets.Audio):
        return table.cast_column(column, type(feature)(decode=False))
    return table


def _records(
    where: str, table: Any, split: str, part: Part | None, column: str, label: str, names: list[str] | None
) -> Iterator[Record]:
    import pyarrow.compute as compute

    row = 0
    for rows in table.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE):
        files = rows.column(column)
        is_struct = hasattr(files.type, "fields")
        sizes = compute.binary_length(compute.struct_field(files, "bytes") if is_struct else files).to_pylist()
        paths = compute.struct_field(files, "path").to_pylist() if is_struct else [None] * len(sizes)
        for size, path, value in zip(sizes, paths, rows.column(label).to_pylist(), strict=True):
            if size is None and path is None:
                raise ValueError(f"{where}, row {row}: no bytes in column {column!r}")
            stored = os.path.getsize(path) if size is None else size
            text = label_text(f"{where}, row {row}", value, names)
            yield Record(f"{split}:{row:09d}", text, part, stored, HubKey(split, row))
            row += 1
