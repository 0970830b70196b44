"""The table as it grows: parts that are written whole, one after the other, and put together at the end.

A part holds the rows of some hundred files that follow each other in the listing, and the place of the last one. What
is there when a run is killed is a beginning of the listing, without gaps; the next run goes on behind it. So each file
is in the table exactly once.

    preds.parquet.parts/run.json           what is done to which files: a run goes on only if that is the same
    preds.parquet.parts/00000000.parquet   rows, and in the schema's metadata the place of the last file
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anybyte.deploy.bulk.rows import SCHEMA
from anybyte.deploy.bulk.sources import Key, file_system, is_url
from anybyte.train.checkpoint import write_atomically

Place = tuple[int, Key]
"""Number of a source, and the key of a file in it."""

_RUN = b"anybyte.run"
_PLACE = b"anybyte.place"
_PART = re.compile(r"\d{8}\.parquet")
_ROWS_TOGETHER = 2**16


class Folder:
    """Where parts and table are: a folder of this machine, or one of a store that fsspec knows."""

    def __init__(self, out: str) -> None:
        self.out = out
        if is_url(out):
            self._filesystem, self._path = file_system(out)
        else:
            self._filesystem, self._path = None, os.path.abspath(out)
        self.parts = f"{self._path}.parts"

    @property
    def hidden(self) -> frozenset[str]:
        """What a listing must leave out, should it come by: paths on this machine."""
        return frozenset([self._path, self.parts, f"{self._path}.partial"] if self._filesystem is None else [])

    def read(self, name: str) -> bytes | None:
        """A file among the parts; None if it is not there."""
        path = f"{self.parts}/{name}"
        try:
            if self._filesystem is not None:
                return bytes(self._filesystem.cat_file(path))
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None

    def footer(self) -> Any:
        """What the table says of itself; None if it is not there."""
        opened = open if self._filesystem is None else self._filesystem.open
        try:
            with opened(self._path, "rb") as stream:
                return pq.read_metadata(stream)
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """What is among the parts, in order."""
        try:
            if self._filesystem is not None:
                found = self._filesystem.ls(self.parts, detail=False, refresh=True)
                return sorted(path.rstrip("/").rpartition("/")[2] for path in found)
            return sorted(os.listdir(self.parts))
        except FileNotFoundError:
            return []

    def write(self, name: str, data: bytes) -> None:
        """A file among the parts: whole or not there."""
        if self._filesystem is not None:
            self._filesystem.pipe_file(f"{self.parts}/{name}", data)
        else:
            write_atomically(Path(self.parts, name), data)

    @contextlib.contextmanager
    def table(self) -> Iterator[Any]:
        """A stream for the table, which is in its place once all is written."""
        if self._filesystem is not None:
            with self._filesystem.open(self._path, "wb") as stream:
                yield stream
            return
        partial = f"{self._path}.partial"
        with open(partial, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, self._path)

    def remove_table(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path) if self._filesystem is not None else os.unlink(self._path)

    def remove_parts(self) -> None:
        """Empties the folder of parts. On this machine the folder itself stays until `locked` ends: it is the lock."""
        for name in reversed(self.names()):  # run.json is the last in order: it goes first
            if self._filesystem is not None:
                self._filesystem.rm_file(f"{self.parts}/{name}")
            else:
                os.unlink(f"{self.parts}/{name}")
        if self._filesystem is not None:
            with contextlib.suppress(OSError):
                self._filesystem.rmdir(self.parts)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second run from the same parts. The lock goes with the process, however that ends.

        Raises:
            ValueError: another run has it.
        """
        if self._filesystem is not None:
            yield  # stores have no locks
            return
        descriptor = None
        while descriptor is None:
            descriptor = self._lock()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(self.parts)  # if nothing is in it
            os.close(descriptor)

    def _lock(self) -> int | None:
        """The locked folder of parts; None if a run that ended has removed it meanwhile, and with it the lock."""
        import fcntl

        os.makedirs(self.parts, exist_ok=True)
        try:
            descriptor = os.open(self.parts, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(self.parts)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            os.close(descriptor)
            raise ValueError(f"{self.out} is being written by another run") from error
        os.close(descriptor)
        return None


class Parts:
    """What has been done of a run.

    Attributes:
        place: of the last file whose row is written; None: nothing is.
        num_rows: how many rows are written.
    """

    def __init__(self, folder: Folder, run: Mapping[str, Any]) -> None:
        """
        Args:
            folder: where.
            run: what decides about the rows. Parts of another run are an error.

        Raises:
            ValueError: the parts are of another run.
        """
        self._folder, self._run = folder, dict(run)
        self.place: Place | None = None
        self.num_rows = 0
        self._names: list[str] = []
        found = folder.read("run.json")
        if found is None:
            folder.remove_parts()  # the rest of a removal that was killed: nobody knows what run they are of
        else:
            _check_same(json.loads(found), self._run, folder.parts)
            self._resume()

    def _resume(self) -> None:
        for number, name in enumerate(name for name in self._folder.names() if _PART.fullmatch(name)):
            if name != f"{number:08d}.parquet":
                raise ValueError(f"{self._folder.parts} lacks part {number}: remove the folder, or say --restart")
            self._names.append(name)
        for name in self._names:
            footer = pq.read_metadata(io.BytesIO(self._folder.read(name) or b""))
            self.num_rows += footer.num_rows
            source, key = json.loads(footer.metadata[_PLACE])
            self.place = source, tuple(key)

    def append(self, table: pa.Table, place: Place) -> None:
        """Writes the rows that follow, and the place of the last of them."""
        if not self._names:
            self._folder.write("run.json", json.dumps(self._run, indent=2).encode())
        sink = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({_PLACE: json.dumps(place)}), sink)
        name = f"{len(self._names):08d}.parquet"
        self._folder.write(name, sink.getvalue())
        self._names.append(name)
        self.place, self.num_rows = place, self.num_rows + table.num_rows

    def put_together(self) -> None:
        """Writes the table, and removes the parts."""
        schema = SCHEMA.with_metadata({_RUN: json.dumps(self._run)})
        with self._folder.table() as stream, pq.ParquetWriter(stream, schema) as writer:
            waiting: list[pa.Table] = []
            for name in self._names:
                waiting.append(pq.read_table(io.BytesIO(self._folder.read(name) or b"")))
                if sum(table.num_rows for table in waiting) >= _ROWS_TOGETHER:
                    writer.write_table(pa.concat_tables(waiting).replace_schema_metadata(schema.metadata))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting).replace_schema_metadata(schema.metadata))
        self._folder.remove_parts()


def finished(folder: Folder, run: Mapping[str, Any]) -> int | None:
    """Rows of the table of an earlier run; None if there is none.

    Raises:
        ValueError: what is in the table's place is of another run, or none.
    """
    table = _table_of(folder)
    if table is None:
        return None
    _check_same(table[0], run, folder.out)
    return table[1]


def begin_anew(folder: Folder) -> None:
    """Removes what earlier runs have left, whatever their settings were.

    The table goes first: once that is gone, the next run without `restart` goes on with this one.

    Raises:
        ValueError: what is in the table's place is not of a bulk run, and dear to somebody perhaps.
    """
    if _table_of(folder) is not None:
        folder.remove_table()
    folder.remove_parts()


def _table_of(folder: Folder) -> tuple[dict[str, Any], int] | None:
    """The settings of the run that has written the table, and its rows; None if there is none."""
    try:
        footer = folder.footer()
        if footer is None:
            return None
        return json.loads((footer.metadata or {})[_RUN]), int(footer.num_rows)
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise ValueError(f"{folder.out} exists, and is not a table of `anybyte bulk`: name another file") from error


def _check_same(earlier: Mapping[str, Any], run: Mapping[str, Any], where: str) -> None:
    for name in {**earlier, **run}:
        if earlier.get(name) != run.get(name):
            raise ValueError(
                f"{where} is of a run with {name}={earlier.get(name)!r}, this one has {run.get(name)!r}: "
                "name another file with --out, or begin anew with --restart"
            )
