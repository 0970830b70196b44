"""From files to rows of a table: read, classify, and whatever goes wrong with a file is in its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from anybyte.deploy.bulk.sources import Entry, Source
from anybyte.predictor import MAX_BYTES, Failure, Item, Precision, Prediction, Predictor, load_as

try:
    import pyarrow as pa
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("tables of answers need pyarrow: pip install 'anybyte[bulk]'") from error

_LABELLED = pa.struct([("label", pa.string()), ("score", pa.float32())])
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("top", pa.list_(_LABELLED)),
        ("error", pa.string()),
    ]
)
"""One row a file. Of a file with an error, label, score and top are null; of all others, the error is."""


@dataclass(frozen=True)
class Job:
    """What to do with each file. It can be sent to other processes, each of which loads the model.

    Attributes:
        model: folder, bundled name or hub id.
        top: labels to give, at most.
        threshold: below this probability the label is `unknown`.
        max_bytes: a longer file is an error.
        device, precision, key: as for `anybyte.load`.
    """

    model: str
    top: int = 1
    threshold: float | None = None
    max_bytes: int = MAX_BYTES
    device: str | None = None
    precision: Precision | None = None
    key: str | None = None

    def load(self) -> Predictor:
        """The predictor.

        Raises:
            ValueError, OSError: as `anybyte.load`.
        """
        return load_as(Predictor, self.model, self.device, self.precision, self.key)

    def check(self) -> None:
        """Raises ValueError if a number makes no sense."""
        for name in ("top", "max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}, expected a probability in [0, 1]")


class StoredFile:
    """A file that is opened when it is first read, with all that can go wrong as an OSError or a ValueError."""

    def __init__(self, sources: Sequence[Source], entry: Entry, max_bytes: int) -> None:
        self.name = entry.path
        self._sources, self._entry, self._max_bytes = sources, entry, max_bytes
        self._stream: BinaryIO | None = None

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end, where the file is closed.

        Raises:
            OSError, ValueError: why it cannot be read.
        """
        entry = self._entry
        if entry.fault is not None:
            raise OSError(entry.fault)
        if entry.size is not None and entry.size > self._max_bytes:
            raise ValueError(f"{entry.size:,} bytes are more than the limit of {self._max_bytes:,} (--max-bytes)")
        try:
            if self._stream is None:
                self._stream = self._sources[entry.source].open(entry)
            data = self._stream.read(size)
        except (OSError, ValueError):
            self.close()
            raise
        except Exception as error:  # archives and the clients of clouds have errors of their own, of any kind
            self.close()
            raise OSError(f"{type(error).__name__}: {error}") from error
        if not data:
            self.close()
        return data

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


class ReadFile:
    """The bytes of a file that another process has read, or what kept it from that."""

    def __init__(self, name: str, data: bytes | str) -> None:
        self.name, self._data = name, data

    def read(self, size: int) -> bytes:
        if isinstance(self._data, str):
            raise ValueError(self._data)
        data, self._data = self._data[:size], self._data[size:]
        return data


def read_whole(file: StoredFile, max_bytes: int) -> bytes | str:
    """The bytes of a file, or what its row is to say."""
    pieces, left = [], max_bytes + 1
    try:
        while left > 0 and (piece := file.read(left)):
            pieces.append(piece)
            left -= len(piece)
    except (OSError, ValueError) as error:
        return reason(error, file.name)
    finally:
        file.close()
    return b"".join(pieces)


def classify(predictor: Predictor, job: Job, paths: Sequence[str], files: Iterator[Any]) -> pa.Table:
    """The rows of some files, in their order. Files are drawn, and computed in batches by bytes, as memory allows.

    Args:
        predictor: of the model.
        job: what to do.
        paths: what to call the files.
        files: each with a `name` and a `read(size)`.
    """
    answers = predictor.stream((cast(Item, file) for file in files), job.top, job.threshold, job.max_bytes)
    rows = [_row(path, answer) for path, answer in zip(paths, answers, strict=True)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def classify_entries(predictor: Predictor, job: Job, sources: Sequence[Source], entries: Sequence[Entry]) -> pa.Table:
    """The rows of some listed files."""
    files = (StoredFile(sources, entry, job.max_bytes) for entry in entries)
    return classify(predictor, job, [entry.path for entry in entries], files)


def reason(error: Exception, path: str) -> str:
    """What a row says of an error: without the path, which stands beside it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).removeprefix(path).lstrip(": ")
    return text or type(error).__name__


def _row(path: str, answer: Prediction | Failure) -> Mapping[str, Any]:
    if isinstance(answer, Failure):
        return {"path": path, "error": reason(answer.error, path)}
    top = [{"label": label, "score": score} for label, score in answer.top]
    return {"path": path, "label": answer.label, "score": answer.score, "top": top}
