"""The front door: `load(name)` gives a `Predictor`, which says what files are.

predictor = anybyte.load("runs/digits")
for answer in predictor.classify(["a.wav", b"RIFF...", open("b.wav", "rb")], top=3):
    print(answer.path, answer.label, answer.score)
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anybyte.batch import ByteBatch, Data, form_of, make_batch, num_bytes, to_device
from anybyte.config import ReadingConfig
from anybyte.evaluate.packing import BATCH_BYTES, needs_equal_lengths, pack_forms, windows
from anybyte.evaluate.views import logits_of, probabilities
from anybyte.models.perceiver import Perceiver
from anybyte.models.pretrained import READING, Pretrained, read_reading
from anybyte.predictor.compute import Compute, Precision
from anybyte.privacy.keys import read_key
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import is_sealed
from anybyte.reading import ByteReading, Reading, make_reading
from anybyte.reading.fit import check_fit

Item: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"

UNKNOWN = "unknown"
"""The label of an answer whose best score is below the threshold."""

MAX_BYTES = 2**30
"""A file longer than this is refused, unless the caller says otherwise: it would not fit into most memories."""

_CHUNK = 2**20


@dataclass(frozen=True)
class Prediction:
    """What a model says about one file.

    Attributes:
        path: the file's path as it was given, or None where bytes or a stream without a name were given.
        label: the most probable label, or `unknown` if its score is below the threshold.
        score: probability of the most probable label.
        top: the most probable labels and their probabilities, best first.
        unknown: whether the score is below the threshold (a class may be named `unknown`, too).
    """

    path: str | None
    label: str
    score: float
    top: tuple[tuple[str, float], ...]
    unknown: bool = False


@dataclass(frozen=True)
class Failure:
    """A file that could not be classified, and why: the message of `error` names it."""

    path: str | None
    error: ValueError | OSError


def load_classifier(
    folder: Path,
    model: Pretrained,
    labels: tuple[str, ...] | None,
    device: str | torch.device,
    precision: Precision | None = None,
    key: str | os.PathLike[str] | Permutation | None = None,
) -> Predictor:
    """The predictor of a model that classifies files; labels that it has no names for are numbers.

    Raises:
        ValueError: it does not classify files, `reading.json` is damaged or of another model, or the key is none, or
            not the model's.
        OSError: the key file cannot be read.
    """
    config = read_reading(folder)
    if isinstance(model, Perceiver) and model.num_classes is None:
        raise ValueError(
            f"{folder} holds a Perceiver that does not classify files, nor fill text, estimate flow or autoencode "
            "clips: `anybyte evaluate` measures it"
        )
    if model.num_classes is None or (config.kind == "bytes" and not model.reads_files):
        lacks = "" if model.num_classes is None else f": no {READING} says how it would read them"
        raise ValueError(f"{folder} holds a {type(model).__name__}, which does not classify files{lacks}")
    if labels is None:
        labels = tuple(str(index) for index in range(model.num_classes))
    if isinstance(key, str | os.PathLike):
        key = read_key(key)
    if key is not None and (not isinstance(config, ReadingConfig) or config.privacy.fingerprint is None):
        raise ValueError(f"a key is given, but the model in {folder} has none (`anybyte privacy rekey` gives it one)")
    try:
        reading = make_reading(config, key=key)
        check_fit(model.config, reading)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    return Predictor(model, labels, device=device, precision=precision, reading=reading)


class Predictor(Compute):
    """A model in use. Each file's answer is its own: it does not depend on the files that it is computed with.

    Attributes:
        model: the model, in evaluation mode.
        labels: its classes, by index.
        batch_bytes: bytes computed at once, about.
        reading: what becomes of a file before the model reads it.
    """

    def __init__(
        self,
        model: nn.Module,
        labels: Sequence[str],
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        batch_bytes: int = BATCH_BYTES,
        reading: Reading | None = None,
    ) -> None:
        super().__init__(model, device, precision)
        self.labels = tuple(labels)
        self.batch_bytes = batch_bytes
        self.reading = reading or ByteReading()

    def classify(
        self, items: Sequence[Item], top: int = 1, threshold: float | None = None, max_bytes: int = MAX_BYTES
    ) -> list[Prediction]:
        """One answer an item, in the order given.

        Args:
            items: paths, byte strings, or files opened with "rb", which are read from where they are.
            top: labels to give, at most; there are never more than the model knows.
            threshold: below this probability, in [0, 1], the label is `unknown`.
            max_bytes: a file longer than this is an error.

        Raises:
            ValueError: an item is empty, too long or not of these kinds; the message names it.
            OSError: a path cannot be read; the message names it.
        """
        answers = []
        for answer in self.stream(items, top, threshold, max_bytes):
            if isinstance(answer, Failure):
                raise answer.error
            answers.append(answer)
        return answers

    def stream(
        self, items: Iterable[Item], top: int = 1, threshold: float | None = None, max_bytes: int = MAX_BYTES
    ) -> Iterator[Prediction | Failure]:
        """As `classify`, for any number of items: drawn as needed, and a bad one gives a `Failure` in its place."""
        if isinstance(items, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(items, "read"):
            raise ValueError(f"expected a list of items, got a single {type(items).__name__}: write classify([item])")
        if top < 1:
            raise ValueError(f"top is {top}, expected at least 1")
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}, expected a probability in [0, 1]")
        read = (_try_read(item, number, max_bytes, self.reading) for number, item in enumerate(items))
        return (answer for window in windows(read, _size) for answer in self._answer(window, top, threshold))

    def probabilities(self, contents: Sequence[Data]) -> Tensor:
        """Probabilities of the classes of some files, as one batch: float32 [files, classes], on the CPU.

        Args:
            contents: what the model reads of each: for models of bytes uint8 [bytes], else arrays of one form.
        """
        if isinstance(self.reading, ByteReading):
            batch: Any = _byte_batch(contents).to(self.device)
        else:
            batch = to_device(make_batch(contents), self.device)
        with self.running():
            logits = logits_of(self.model, batch, self.reading.views)
        return probabilities(self.model, logits).cpu()

    def _answer(self, window: list[_Loaded | Failure], top: int, threshold: float | None) -> list[Prediction | Failure]:
        """The answers of a window of files, in its order."""
        found: dict[int, Prediction | Failure] = {}
        loaded = []
        for place, item in enumerate(window):
            if isinstance(item, Failure):
                found[place] = item
            else:
                loaded.append((place, item))
        sizes = [num_bytes(item.data) for _, item in loaded]
        forms = [item.form for _, item in loaded]
        for batch in pack_forms(sizes, forms, self.batch_bytes, needs_equal_lengths(self.model)):
            files = [loaded[index] for index in batch]
            rows = self._try_batch([item for _, item in files])
            for (place, item), row in zip(files, rows, strict=True):
                found[place] = self._describe(item, row, top, threshold)
        return [found[place] for place in range(len(window))]

    def _try_batch(self, files: list[_Loaded]) -> list[NDArray[np.float32] | ValueError]:
        """The probabilities of each file, or why the model refuses it: a table of positions may be too short for it."""
        try:
            return list(self.probabilities([file.data for file in files]).numpy())
        except ValueError as error:
            if len(files) == 1:
                return [ValueError(f"{files[0].name}: {error}")]
        return [answer for file in files for answer in self._try_batch([file])]

    def _describe(
        self, item: _Loaded, probabilities: NDArray[np.float32] | ValueError, top: int, threshold: float | None
    ) -> Prediction | Failure:
        if isinstance(probabilities, ValueError):
            return Failure(item.path, probabilities)
        if not np.isfinite(probabilities).all():
            return Failure(item.path, ValueError(f"{item.name}: the model's scores are not finite numbers"))
        best = np.argsort(-probabilities, kind="stable")[:top]  # of equal ones the first, wherever this runs
        ranked = tuple((self.labels[index], float(probabilities[index])) for index in best)
        label, score = ranked[0]
        unknown = threshold is not None and score < threshold
        return Prediction(item.path, UNKNOWN if unknown else label, score, ranked, unknown)


@dataclass(frozen=True)
class _Loaded:
    """An item that has been read: uint8 [bytes], or what the reading decodes it to.

    `form` is what it must share with what it is computed with.
    """

    path: str | None
    name: str
    data: Data
    form: Hashable = None


def _byte_batch(contents: Sequence[Any]) -> ByteBatch:
    """Files, each uint8 [bytes], as a batch."""
    values = np.concatenate(contents) if len(contents) > 1 else contents[0]
    lengths = torch.tensor([len(content) for content in contents])
    # torch has no read-only tensors; a lone file that is already ours to write (any from disk) is not copied.
    return ByteBatch(torch.from_numpy(np.require(values, requirements="W")), lengths)


def _size(item: _Loaded | Failure) -> int:
    return num_bytes(item.data) if isinstance(item, _Loaded) else 0


def _try_read(item: Item, number: int, max_bytes: int, reading: Reading) -> _Loaded | Failure:
    path = _path_of(item)
    name = path or ("standard input" if getattr(item, "name", None) == "<stdin>" else f"item {number}")
    try:
        data = _read(item, name, max_bytes)
        if not len(data):
            raise ValueError(f"{name} is empty: there is nothing to classify")
        if reading.is_as_stored and not is_sealed(data.data):
            return _Loaded(path, name, data)
        found = reading.in_use(data.tobytes(), name)
    except (ValueError, OSError) as error:
        return Failure(path, error)
    if isinstance(found, bytes | bytearray | memoryview):
        return _Loaded(path, name, np.frombuffer(found, dtype=np.uint8))
    return _Loaded(path, name, found, form_of(found))


def _path_of(item: Item) -> str | None:
    """The path of a path or of a file that was opened by its path."""
    if isinstance(item, str | os.PathLike):
        return os.fspath(item)
    name = getattr(item, "name", None)
    return name if isinstance(name, str) and not name.startswith("<") else None  # standard input is called "<stdin>"


def _read(item: Item, name: str, max_bytes: int) -> NDArray[np.uint8]:
    if isinstance(item, str | os.PathLike):
        return _read_path(os.fspath(item), max_bytes)
    if isinstance(item, bytes | bytearray):
        return np.frombuffer(item, dtype=np.uint8)
    if isinstance(item, memoryview):
        return np.frombuffer(item if item.c_contiguous else item.tobytes(), dtype=np.uint8)
    if hasattr(item, "read"):
        return _read_stream(item, name, max_bytes)
    raise ValueError(f"{name} is {type(item).__name__}, expected a path, bytes or an open binary file")


def _read_path(path: str, max_bytes: int) -> NDArray[np.uint8]:
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise ValueError(f"{path} is a directory (`anybyte classify -r` goes through the files in it)")
    if not stat.S_ISREG(status.st_mode):  # opening one could wait for ever
        raise ValueError(f"{path} is not a regular file: only standard input is read from pipes and devices")
    if status.st_size > max_bytes:
        raise _too_long(path, f"{status.st_size:,} bytes", max_bytes)
    with open(path, "rb") as file:
        return np.fromfile(file, dtype=np.uint8)


def _read_stream(stream: BinaryIO, name: str, max_bytes: int) -> NDArray[np.uint8]:
    data = bytearray()
    while chunk := stream.read(_CHUNK):
        if not isinstance(chunk, bytes):
            raise ValueError(f"{name} is a file opened as text: open it with 'rb'")
        data += chunk
        if len(data) > max_bytes:
            raise _too_long(name, "more", max_bytes)
    return np.frombuffer(data, dtype=np.uint8)


def _too_long(name: str, size: str, max_bytes: int) -> ValueError:
    return ValueError(
        f"{name} holds {size}, the limit is {max_bytes:,} bytes: raise max_bytes (--max-bytes) to read it"
    )
