"""Examples that are arrays: held in memory, mapped from .npy files of any size, or made up when they are read."""

from __future__ import annotations

import difflib
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anybyte.files.made import PREFIX
from anybyte.files.made.entities import COUNTS, SCENES, UNTOLD, EntityScenes
from anybyte.tasks import Examples, ExampleSplits

Column = NDArray[Any] | Sequence[bytes]
"""What one input or target is for each example: an array with the examples along its first axis, or files' bytes."""

Row = dict[str, Any]


class Arrays:
    """`Examples` of arrays by name.

    Args:
        inputs: what the model reads, the examples along the first axis; `NAME.mask` is 1 at the tokens of NAME that
            may be attended.
        targets: what it should answer. An example's target is missing where it is NaN, or a class below 0.
        name: what messages call the whole; an example is `name[index]`.

    Raises:
        ValueError: they differ in their number of examples.
    """

    def __init__(self, inputs: Mapping[str, Column], targets: Mapping[str, Column], name: str = "examples") -> None:
        self.inputs, self.targets, self.title = dict(inputs), dict(targets), name
        lengths = {column: len(values) for column, values in (*inputs.items(), *targets.items())}
        if not self.inputs:
            raise ValueError(f"{name}: there is no input")
        self.count = next(iter(lengths.values()))
        for column, length in lengths.items():
            if length != self.count:
                raise ValueError(f"{name}: {next(iter(lengths))!r} has {self.count} examples, {column!r} has {length}")

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{self.title}[{index}]"

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each example's inputs."""
        total = np.zeros(self.count, dtype=np.int64)
        for values in self.inputs.values():
            if isinstance(values, np.ndarray):
                total += values[:1].nbytes
            else:
                total += np.array([len(value) for value in values], dtype=np.int64)
        return np.maximum(total, 1)

    def identity(self) -> str:
        """Of everything in them."""
        digest = hashlib.sha256()
        for columns in (self.inputs, self.targets):
            for name, values in sorted(columns.items()):
                if isinstance(values, np.ndarray):
                    digest.update(f"{name}\0{values.dtype}\0{values.shape}\n".encode())
                    digest.update(np.ascontiguousarray(values).data)
                else:
                    digest.update(f"{name}\0{[len(value) for value in values]}\n".encode())
                    digest.update(b"".join(values))
        return digest.hexdigest()

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[Row, Row]:
        """An example as it is: nothing here is random."""
        inputs = {name: values[index] for name, values in self.inputs.items()}
        return inputs, {name: values[index] for name, values in self.targets.items()}

    def blank(self) -> tuple[Row, Row]:
        """Zeros in the shape of an example."""
        return {n: _blank(v) for n, v in self.inputs.items()}, {n: _blank(v) for n, v in self.targets.items()}


class Scenes:
    """`Examples` that are made up: entities, and a class for each of them.

    Args:
        scenes: what they are like.
        part: train, val or test. Those of training are others in each epoch.
        input, target: names of the model's input and output.
    """

    def __init__(self, scenes: EntityScenes, part: str, input: str, target: str) -> None:
        self.scenes, self.part, self.input, self.target, self.count = scenes, part, input, target, COUNTS[part]

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"{self.part}[{index}]"

    def sizes(self) -> NDArray[np.int64]:
        """Of the largest scene."""
        return np.full(self.count, self.scenes.num_slots * self.scenes.num_channels * 4, dtype=np.int64)

    def identity(self) -> str:
        """Of their settings."""
        return self.scenes.identity(self.part, self.count)

    def read(self, index: int, rng: np.random.Generator | None) -> tuple[Row, Row]:
        """A scene: drawn by `rng`, if there is one, and otherwise by its number."""
        entities, targets = self.scenes.scene(self.part, index) if rng is None else self.scenes.draw(rng)
        return {self.input: entities}, {self.target: targets}

    def blank(self) -> tuple[Row, Row]:
        """One entity without a target."""
        entities = np.zeros((1, self.scenes.num_channels), dtype=np.float32)
        return {self.input: entities}, {self.target: np.array([UNTOLD])}


def open_arrays(path: str, inputs: Sequence[str], targets: Sequence[str]) -> ExampleSplits:
    """The parts `train` and `val` of a folder of arrays, or of generated ones (`made:entities`).

    Each part is `PART.npz`, or a folder `PART/` with one `NAME.npy` an array, which may be larger than memory. Every
    array is named after an input or a target. Without a part `val`, nothing is measured.

    Args:
        path: the folder.
        inputs: the names of the model's inputs.
        targets: the names of what it should answer, those among the inputs left out.

    Raises:
        ValueError: an array is missing, or has a name that nothing asks for.
        OSError: a file cannot be read.
    """
    train = open_part(path, "train", inputs, targets)
    if isinstance(train, Scenes):
        return ExampleSplits(train, open_part(path, "val", inputs, targets))
    assert isinstance(train, Arrays)
    has_val = (Path(path) / "val").is_dir() or (Path(path) / "val.npz").exists()
    return ExampleSplits(train, open_part(path, "val", inputs, targets) if has_val else _none_of(train))


def _none_of(like: Arrays) -> Arrays:
    """No examples, in the form of others."""
    empty = [{name: values[:0] for name, values in columns.items()} for columns in (like.inputs, like.targets)]
    return Arrays(empty[0], empty[1], f"no {like.title}")


def open_part(path: str, part: str, inputs: Sequence[str], targets: Sequence[str]) -> Examples:
    """One part of a folder of arrays, or of generated ones, see `open_arrays`."""
    if path.startswith(PREFIX):
        return _open_made(path, part, inputs, targets)
    folder = Path(path)
    found = _load(folder, part)
    known = [*inputs, *targets, *(f"{name}.mask" for name in inputs)]
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1) or known[: len(inputs) + len(targets)]
            raise ValueError(f"{folder / part}: nothing asks for an array {name!r}; did you mean {' or '.join(near)}?")
    for kind, names in (("input", inputs), ("target", targets)):
        for name in names:
            if name not in found:
                raise ValueError(
                    f"{folder / part}: the array of {kind} {name!r} is missing; there is {', '.join(found)}"
                )
    read = {name: values for name, values in found.items() if name not in targets}
    return Arrays(read, {name: found[name] for name in targets}, str(part))


def _open_made(path: str, part: str, inputs: Sequence[str], targets: Sequence[str]) -> Scenes:
    name = path.removeprefix(PREFIX)
    if name not in SCENES:
        raise ValueError(
            f"{path}: there are no such generated arrays; there are {', '.join(f'{PREFIX}{n}' for n in SCENES)}"
        )
    if part not in COUNTS:
        raise ValueError(f"{path} has no part {part!r}; it has {', '.join(COUNTS)}")
    if len(inputs) != 1 or len(targets) != 1:
        raise ValueError(
            f"{path} is one set of entities with one target each, but the model reads {', '.join(inputs)} and is "
            f"trained to answer {', '.join(targets) or 'nothing'}"
        )
    return Scenes(SCENES[name], part, inputs[0], targets[0])


def _load(folder: Path, part: str) -> dict[str, NDArray[Any]]:
    archive = folder / f"{part}.npz"
    try:
        if (folder / part).is_dir():
            files = sorted((folder / part).glob("*.npy"))
            return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}
        if not archive.exists():
            raise FileNotFoundError(2, f"no {part}.npz and no folder {part} of .npy files", str(folder))
        with open(archive, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        where = folder / part if (folder / part).is_dir() else archive
        reason = str(error)
        if "allow_pickle" in reason:  # NumPy takes whatever it does not know for a pickle, and tells how to run one
            reason = "there are Python objects in it" if "Object arrays" in reason else "neither .npz nor .npy"
        raise ValueError(f"{where}: not arrays as NumPy writes them: {reason}") from error


def _blank(values: Column) -> Any:
    return np.zeros(values.shape[1:], values.dtype) if isinstance(values, np.ndarray) else b"\0"
