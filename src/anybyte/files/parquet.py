"""Parquet tables with one file a row. Needs the extra `parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from anybyte.files.columns import BYTES_NAMES, LABEL_NAMES, SPLIT_NAME, label_text, pick_column
from anybyte.files.listing import Listing, Part, Record, parts_of_shards, to_part


class RowKey(NamedTuple):
    """Where a row is: file, row group, and row in the group."""

    file: int
    group: int
    row: int


@dataclass
class ParquetStore:
    """Rows of one or more parquet files. One row group is kept: nothing smaller can be read from the disk."""

    paths: tuple[str, ...]
    column: str
    _cached: tuple[int, int] = field(default=(-1, -1), repr=False)
    _values: Any = field(default=None, repr=False)

    def read(self, key: RowKey) -> bytes:
        if self._cached != (key.file, key.group):
            path = Path(self.paths[key.file])
            with _open(path) as table:
                self._values = _bytes_column(_read_group(path, table, key.group, [self.column]))
            self._cached = (key.file, key.group)
        data: bytes = self._values[key.row].as_py()
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self.paths, "column": self.column, "_cached": (-1, -1), "_values": None}


def open_parquets(origin: str, paths: Sequence[Path]) -> Listing:
    """The rows of parquet files: a column of bytes (or the hub's {bytes, path}), one of labels, and perhaps `split`.

    The columns are told by type and usual names. Class names come from the hub's metadata if there is any.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is damaged, or its columns are not clear.
        ModuleNotFoundError: pyarrow is not installed.
    """
    records: list[Record] = []
    columns, names = "", None
    for number, (path, (short, part)) in enumerate(parts_of_shards(paths).items()):
        with _open(path) as table:
            schema = table.schema_arrow
            found, label, split, names = _columns(str(path), schema)
            if columns and found != columns:
                raise ValueError(f"{path}: the files are in column {found!r}, but in {columns!r} of {paths[0]}")
            columns = found
            records += _records(path, table, number, f"{short}:", part, (found, label, split), names)
    return Listing.of(origin, records, ParquetStore(tuple(str(path.absolute()) for path in paths), columns), names)


def _open(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ModuleNotFoundError(f"{path} needs pyarrow: pip install 'anybyte[parquet]'") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path}: not a whole parquet file ({error})") from error


def _read_group(path: Path, table: Any, group: int, columns: list[str]) -> Any:
    import pyarrow

    try:
        # Threads would not survive into forked workers.
        return table.read_row_group(group, columns, use_threads=False)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{path}: row group {group} is damaged ({error})") from error


def _columns(where: str, schema: Any) -> tuple[str, str, str | None, list[str] | None]:
    """Columns of bytes, label and split, and the names of the labels."""
    import pyarrow.types as kinds

    def is_bytes(kind: Any) -> bool:
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))

    files, labels = [], []
    for column in schema:
        kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
        if is_bytes(kind):
            files.append(column.name)
        elif kinds.is_struct(kind) and (at := kind.get_field_index("bytes")) >= 0 and is_bytes(kind.field(at).type):
            files.append(f"{column.name}.bytes")
        elif kinds.is_integer(kind) or kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_boolean(kind):
            labels.append(column.name)
    split = SPLIT_NAME if SPLIT_NAME in labels else None
    labels = [name for name in labels if name != SPLIT_NAME]
    by_column = {name.removesuffix(".bytes"): name for name in files}
    found = by_column[pick_column(where, "files as bytes", list(by_column), BYTES_NAMES, schema.names)]
    label = pick_column(where, "labels", labels, LABEL_NAMES, schema.names)
    return found, label, split, _hub_names(schema, label)


def _hub_names(schema: Any, label: str) -> list[str] | None:
    """The class names that Hugging Face's `datasets` keeps beside the schema."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = about.get("info", {}).get("features", {}).get(label, {})
    names = feature.get("names") if isinstance(feature, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else None


def _bytes_column(table: Any) -> Any:
    """The one column of a table, without the struct around it."""
    import pyarrow as pa
    import pyarrow.compute as compute

    column = table.column(0)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return compute.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _records(
    path: Path,
    table: Any,
    file: int,
    prefix: str,
    part: Part | None,
    columns: tuple[str, str, str | None],
    names: list[str] | None,
) -> Iterator[Record]:
    """One record a row. The bytes are read for their lengths, a row group at a time."""
    import pyarrow.compute as compute

    files, label, split = columns
    number = 0
    for group in range(table.num_row_groups):
        sizes = compute.binary_length(_bytes_column(_read_group(path, table, group, [files]))).to_pylist()
        about = _read_group(path, table, group, [label] if split is None else [label, split])
        labels = about.column(label).to_pylist()
        splits = [None] * len(labels) if split is None else about.column(split).to_pylist()
        for row, (size, value, word) in enumerate(zip(sizes, labels, splits, strict=True)):
            where = f"{path}, row {number}"
            if size is None:
                raise ValueError(f"{where}: no bytes in column {files!r}")
            own = part if split is None else to_part(str(word), where)
            # Zeros in front make the order of the names that of the rows.
            yield Record(f"{prefix}{number:09d}", label_text(where, value, names), own, size, RowKey(file, group, row))
            number += 1
