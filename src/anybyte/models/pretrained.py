"""A model is a folder: `model.safetensors`, `config.json`, `labels.json`, `README.md` (its card), and `reading.json`
where files are not read as they are stored. Never a pickle.

Reading one runs nothing from it. Folders are written beside their place and moved there whole, so that none is ever
half-written.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from anybyte.config import AnyReadingConfig, ReadingConfig
from anybyte.reading import as_json, check_reading

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
LABELS = "labels.json"
READING = "reading.json"
CARD = "README.md"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


class Pretrained(nn.Module):
    """A model that is built from one config dataclass and can be written to, and read from, a folder."""

    config_class: ClassVar[type]
    config: Any

    @property
    def num_classes(self) -> int | None:
        """How many classes the model tells apart; None if that is not what it does."""
        classes: int | None = getattr(self.config, "num_classes", None)
        return classes

    @property
    def has_several(self) -> bool:
        """Whether a file may be of several of its classes at once: probabilities are then sigmoids, not a softmax."""
        return False

    @property
    def reads_files(self) -> bool:
        """Whether `model(ByteBatch)` is the logits of files."""
        return False

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        labels: Sequence[str] | None = None,
        card: str | None = None,
        reading: AnyReadingConfig | None = None,
    ) -> None:
        """Write the model folder, in place of a model that it may hold; other files in it stay.

        Args:
            folder: where; made if missing.
            labels: names of the classes, in the order of the logits.
            card: Markdown that says what the model is.
            reading: what the model reads of a file. None: files as they are stored.

        Raises:
            ValueError: the number of labels is not the number of classes.
            OSError: the folder cannot be written; what was there before is untouched.
        """
        folder = Path(folder)
        classes = self.num_classes
        if labels is not None and classes is not None and len(labels) != classes:
            raise ValueError(f"{len(labels)} labels for a model with num_classes={classes}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
            # Through Python's own file: its OSError says what is wrong with a disk, safetensors' error does not.
            (staging / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))
            config = {"architecture": type(self).__name__, **dataclasses.asdict(self.config)}
            (staging / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            if labels is not None:
                names = json.dumps(list(labels), indent=2, ensure_ascii=False)
                (staging / LABELS).write_text(names + "\n", encoding="utf-8")
            if card is not None:
                (staging / CARD).write_text(card, encoding="utf-8")
            if reading is not None and reading != ReadingConfig():
                (staging / READING).write_text(json.dumps(as_json(reading), indent=2) + "\n", encoding="utf-8")
            folder.mkdir(exist_ok=True)
            for name in (WEIGHTS, LABELS, CARD, READING, CONFIG):
                if (staging / name).exists():
                    os.replace(staging / name, folder / name)
                else:  # of another model that was here before
                    (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}, while writing a model", str(folder)) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Self:
        """The model in a folder, in evaluation mode.

        Raises:
            ValueError: the folder holds another model, or a broken one; the message names the file.
        """
        config = _read_config(Path(folder))
        architecture = config.pop("architecture")
        if architecture != cls.__name__:
            raise ValueError(f"{Path(folder) / CONFIG} describes a {architecture}, not a {cls.__name__}")
        where = Path(folder) / CONFIG
        try:
            model = cls(parse_config(cls.config_class, config, where=str(where)))
        except TypeError as error:
            raise ValueError(f"{where} has a field of the wrong kind: {error}") from error
        except ValueError as error:
            raise ValueError(f"{where} does not describe a model: {error}") from error
        _load_weights(model, Path(folder) / WEIGHTS)
        return model.eval()


def read_labels(folder: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """The names of the classes, or None if the folder has none.

    Raises:
        ValueError: the file is not a list of strings.
    """
    path = Path(folder) / LABELS
    if not path.exists():
        return None
    labels = _read_json(path)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{path} is not a list of strings")
    return tuple(labels)


def read_reading(folder: str | os.PathLike[str]) -> AnyReadingConfig:
    """What the model in a folder reads of a file; without `reading.json`, files as they are stored.

    Raises:
        ValueError: the file does not hold such settings; the message names it.
    """
    path = Path(folder) / READING
    if not path.exists():
        return ReadingConfig()
    values = _read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a group of settings")
    if isinstance(values.get("privacy"), dict) and "key" in values["privacy"]:
        raise ValueError(f"{path} names a key: a model's folder holds the fingerprint only")
    config: AnyReadingConfig = _parse(AnyReadingConfig, values, where=str(path))
    try:
        check_reading(config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return config


def read_byte_reading(folder: str | os.PathLike[str]) -> ReadingConfig:
    """As `read_reading`, for what is done to bytes.

    Raises:
        ValueError: the model reads something else, or any that `read_reading` raises.
    """
    config = read_reading(folder)
    if not isinstance(config, ReadingConfig):
        raise ValueError(f"{folder} holds a model that reads {config.kind}: keys and noise are for models of bytes")
    return config


def parse_config(config_class: type, values: dict[str, Any], where: str) -> Any:
    """A config dataclass from JSON values: lists become tuples, unknown fields are an error that names `where`."""
    hints = typing.get_type_hints(config_class)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        known = f"{config_class.__name__} has {', '.join(hints)}"
        raise ValueError(f"{where} has unknown fields {', '.join(unknown)}; {known}")
    try:
        return config_class(**{name: _parse(hints[name], value, f"{where}: {name}") for name, value in values.items()})
    except TypeError as error:
        raise ValueError(f"{where} does not describe a {config_class.__name__}: {error}") from error


def _parse(hint: Any, value: Any, where: str) -> Any:
    """A field's value; a mapping becomes the dataclass that the type hint allows for its `kind`."""
    if isinstance(value, list):
        return tuple(_parse(hint, item, where) for item in value)
    if not isinstance(value, dict):
        return value
    classes = {_kind(allowed): allowed for allowed in _dataclasses_in(hint)}
    kind = value.get("kind")
    if kind is None and ReadingConfig in classes.values():
        kind = ReadingConfig.kind  # of before there were others
    if kind not in classes:
        raise ValueError(f"{where} is of kind {kind!r}; known: {', '.join(map(repr, classes))}")
    return parse_config(classes[kind], {name: item for name, item in value.items() if name != "kind"}, where)


def _dataclasses_in(hint: Any) -> list[type]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return [hint]
    return [found for part in typing.get_args(hint) for found in _dataclasses_in(part)]


def _kind(config_class: Any) -> Any:
    """What a dataclass of a union is told from the others by."""
    return getattr(config_class, "kind", None)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def _read_config(folder: Path) -> dict[str, Any]:
    """The raw fields of a folder's config.json, `architecture` among them."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a model folder: there is no such directory")
    path = folder / CONFIG
    if not path.exists():
        raise ValueError(f"{folder} is not a model folder: it has no {CONFIG}")
    config = _read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise ValueError(f"{path} does not name an architecture")
    return config


def read_architecture(folder: str | os.PathLike[str]) -> str:
    """The name of the class that a model folder is of."""
    return str(_read_config(Path(folder))["architecture"])


def misfits(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """What keeps tensors from being a model's state, each as the end of a sentence; empty if nothing does."""
    expected = model.state_dict()
    problems = [f"lacks {name}" for name in expected if name not in tensors]
    problems += [f"has unknown {name}" for name in tensors if name not in expected]
    return problems + [
        f"has {name} of shape {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]


def _load_weights(model: nn.Module, path: Path) -> None:
    if not path.exists():
        pickles = sorted(file.name for file in path.parent.iterdir() if file.suffix in _PICKLES)
        hint = f"; {pickles[0]} is a pickle, which is never loaded (see `anybyte convert --help`)" if pickles else ""
        raise ValueError(f"{path.parent} has no {path.name}{hint}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    problems = misfits(model, tensors)
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ValueError(f"{path} does not fit its {CONFIG}: it {', '.join(problems[:3])}{more}")
    expected = model.state_dict()
    for name, tensor in tensors.items():
        both_floats = tensor.is_floating_point() and expected[name].is_floating_point()
        if tensor.dtype != expected[name].dtype and not both_floats:
            raise ValueError(f"{path} has {name} of type {tensor.dtype} instead of {expected[name].dtype}")
    with torch.no_grad():
        model.load_state_dict(tensors)
