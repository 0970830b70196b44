"""One table of models: name -> (class, config). Every entry can be built with random weights and any field changed."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import os
from typing import Any

from anybyte.config import AverageOutputConfig, ByteFormerConfig, ClassOutputConfig, PerceiverConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.pretrained import Pretrained, read_architecture, read_labels
from anybyte.models.schema import Schema
from anybyte.models.schema_files import is_schema_file

_ZOO: dict[str, tuple[type[Pretrained], Any]] = {
    # Sizes of the paper (section 3). Its released runs use kernel sizes 4 to 32 and windows 128 or 32.
    "byteformer_tiny": (ByteFormer, ByteFormerConfig()),
    "byteformer_small": (ByteFormer, ByteFormerConfig(dim=384, num_heads=6)),
    "byteformer_base": (ByteFormer, ByteFormerConfig(dim=768, num_heads=12)),
    "byteformer_huge": (
        ByteFormer,
        ByteFormerConfig(dim=1280, num_heads=20, depth=32),
    ),
    # For a few thousand files of a few kilobytes on a laptop's processor: minutes instead of days.
    "byteformer_nano": (
        ByteFormer,
        ByteFormerConfig(dim=96, num_heads=3, depth=6, merge_after=(0, 1, 2, 3)),
    ),
    # Perceiver and Perceiver IO (Jaegle et al. 2021, 2022).
    **{name: (Perceiver, config) for name, config in PERCEIVERS.items()},
}

_CLASSES: dict[str, type[Pretrained]] = {cls.__name__: cls for cls, _ in _ZOO.values()}
"""Architecture name, as a model folder states it -> class."""


def list_models(pattern: str = "*") -> list[str]:
    """Names in the zoo that match a shell pattern, sorted."""
    return sorted(fnmatch.filter(_ZOO, pattern))


def model_config(name: str) -> Any:
    """The config dataclass of a zoo entry.

    Raises:
        ValueError: no such name; the message suggests near ones.
    """
    if name not in _ZOO:
        near = difflib.get_close_matches(name, _ZOO, n=3) or list_models()
        raise ValueError(f"no model named {name!r}; did you mean {', '.join(near)}?")
    return _ZOO[name][1]


def create_model(name: str | os.PathLike[str] | Schema | PerceiverConfig, **overrides: Any) -> Pretrained:
    """A model with random weights, in training mode.

    Args:
        name: an entry of `list_models()`; or a schema, the .yaml or .toml file of one, or a config.
        overrides: fields of its config, for example `num_latents=64`; and `num_classes=10` for every model with one
            output of classes.

    Raises:
        ValueError: no such name or field, a contradiction between fields, or `num_classes` of a model without classes.
    """
    config = _config_of(name)
    classes = overrides.pop("num_classes", None) if not hasattr(config, "num_classes") else None
    fields = [field.name for field in dataclasses.fields(config)]
    for field in overrides:
        if field not in fields:
            near = difflib.get_close_matches(field, fields, n=3) or fields
            raise ValueError(f"{name} has no field {field!r}; did you mean {', '.join(near)}?")
    values = {field: tuple(value) if isinstance(value, list) else value for field, value in overrides.items()}
    config = dataclasses.replace(config, **values)
    return class_of(config)(config if classes is None else with_classes(config, classes, name))


def _config_of(name: str | os.PathLike[str] | Schema | PerceiverConfig) -> Any:
    """The config that a name, a schema, its file, or a config itself stands for."""
    if isinstance(name, Schema):
        return name.config()
    if isinstance(name, os.PathLike) or (isinstance(name, str) and is_schema_file(name)):
        return Schema.from_file(name).config()
    return model_config(name) if isinstance(name, str) else name


def with_classes(config: Any, num_classes: int, name: object) -> Any:
    """The config with another number of classes, of a ByteFormer or of a Perceiver's one output of classes.

    Raises:
        ValueError: the Perceiver has none, or several; the message calls it `name`.
    """
    if not isinstance(config, PerceiverConfig):
        return dataclasses.replace(config, num_classes=num_classes)
    outputs = [part for part in config.outputs if isinstance(part, ClassOutputConfig | AverageOutputConfig)]
    if len(outputs) != 1:
        what = "several outputs of classes: give outputs instead" if outputs else "no classes"
        raise ValueError(f"num_classes={num_classes} does not fit {name}: it has {what}")
    changed = dataclasses.replace(outputs[0], num_classes=num_classes)
    return dataclasses.replace(
        config, outputs=tuple(changed if part is outputs[0] else part for part in config.outputs)
    )


def class_of(config: Any) -> type[Pretrained]:
    """The model class that a config is of."""
    for cls in _CLASSES.values():
        if isinstance(config, cls.config_class):
            return cls
    known = ", ".join(cls.config_class.__name__ for cls in _CLASSES.values())
    raise ValueError(f"no model has a config of type {type(config).__name__}; known: {known}")


def config_class_of(architecture: str, where: str) -> type:
    """The config class of an architecture, by the name that model folders give it; `where` it is named.

    Raises:
        ValueError: no such architecture.
    """
    if architecture not in _CLASSES:
        raise ValueError(f"{where} names a {architecture}; known architectures: {', '.join(_CLASSES)}")
    return _CLASSES[architecture].config_class


def load_pretrained(folder: str | os.PathLike[str]) -> tuple[Pretrained, tuple[str, ...] | None]:
    """The model in a folder, of whichever class its config names, and the names of its classes if it has them.

    Raises:
        ValueError: not a model folder, or a broken one; the message names the file.
    """
    architecture = read_architecture(folder)
    if architecture not in _CLASSES:
        raise ValueError(f"{folder} holds a {architecture}; known architectures: {', '.join(_CLASSES)}")
    model = _CLASSES[architecture].from_pretrained(folder)
    labels = read_labels(folder)
    if labels is not None and model.num_classes is not None and len(labels) != model.num_classes:
        raise ValueError(f"{folder} has {len(labels)} labels for a model with num_classes={model.num_classes}")
    return model, labels
