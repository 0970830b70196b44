"""Schemas as small YAML or TOML files. Every mistake is named by its place: the line, and the keys that lead there."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from anybyte.models.contradictions import near
from anybyte.models.schema import Contradiction, InputSchema, OutputSchema, Schema, SizeSchema

SUFFIXES = (".yaml", ".yml", ".toml")
"""Of the files that are schemas."""

_Path = tuple[str, ...]
_INTEGERS = ("bands", "vocabulary", "kernel", "values", "rows", "latents", "width", "layers", "heads")
_NUMBERS = ("hide", "weight", "label_smoothing", "peak", "dropout")
_WORDS = ("kind", "positions", "reconstructs", "of", "loss")
_SEVERAL = ("shape", "patch")


@dataclass
class _Text:
    """A file's values, and the lines that its keys stand on."""

    where: str
    lines: dict[_Path, int] = field(default_factory=dict)

    def error(self, path: _Path, message: str) -> ValueError:
        """A mistake at the end of `path`, or at the nearest key above it whose line is known."""
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.lines), ())
        line = f", line {self.lines[known]}" if known else ""
        at = f": {'.'.join(path)}" if path else ""
        return ValueError(f"{self.where}{line}{at}: {message}")


def is_schema_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the suffix of a schema."""
    return Path(path).suffix in SUFFIXES


def read_schema(path: str | os.PathLike[str]) -> Schema:
    """The schema in a file.

    Raises:
        ValueError: not YAML or TOML, a key that is unknown or given twice, a value of the wrong type, or a
            contradiction; the message names the file, the line (YAML) and the keys.
        OSError: it cannot be read.
    """
    file = Path(path)
    if not is_schema_file(file):
        raise ValueError(f"{file} is not a schema: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text") from error
    return parse_schema(text, str(file), is_toml=file.suffix == ".toml")


def parse_schema(text: str, where: str = "schema", is_toml: bool = False) -> Schema:
    """The schema in a text; `where` is what messages call it. See `read_schema`."""
    source = _Text(where)
    values = _read_toml(text, source) if is_toml else _read_yaml(text, source)
    if not isinstance(values, dict):
        raise ValueError(f"{where} is not a schema: it has no inputs and outputs")
    _check_keys(source, (), values, ["inputs", "outputs", "size"])
    for name in ("inputs", "outputs"):
        if not values.get(name):
            raise source.error((name,) if name in values else (), f"a schema needs {name}; this one has none")
    schema = Schema(
        inputs=_entries(source, "inputs", values["inputs"], InputSchema),
        outputs=_entries(source, "outputs", values["outputs"], OutputSchema),
        size=_entry(source, ("size",), values.get("size") or {}, SizeSchema),
    )
    try:
        schema.config()
    except Contradiction as error:
        raise source.error(error.path, str(error)) from error
    return schema


def write_yaml(schema: Schema) -> str:
    """A schema as YAML, a line an entry, without what is as usual."""
    lines = []
    for what, entries in (("inputs", schema.inputs), ("outputs", schema.outputs)):
        lines.append(f"{what}:")
        lines += [f"  {entry.name}: {_flow(entry)}" for entry in entries]
    return "\n".join([*lines, f"size: {_flow(schema.size)}"]) + "\n"


def _flow(entry: Any) -> str:
    """The fields of a dataclass that differ from the usual, as a mapping on one line."""
    values = {}
    for part in dataclasses.fields(entry):
        value = getattr(entry, part.name)
        if part.name != "name" and value != part.default:
            values[part.name] = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True).strip()


def _entries(source: _Text, what: str, values: Any, cls: Any) -> tuple[Any, ...]:
    if not isinstance(values, dict):
        raise source.error((what,), f"must be a mapping of names to fields, got {_describe(values)}")
    return tuple(_entry(source, (what, name), fields, cls, name) for name, fields in values.items())


def _entry(source: _Text, path: _Path, values: Any, cls: Any, name: str | None = None) -> Any:
    if not isinstance(values, dict):
        raise source.error(path, f"must be a mapping of fields, got {_describe(values)}")
    known = [part.name for part in dataclasses.fields(cls) if part.name != "name"]
    _check_keys(source, path, values, known)
    fields = {key: _value(source, (*path, key), key, value, cls) for key, value in values.items()}
    return cls(**fields) if name is None else cls(name=name, **fields)


def _check_keys(source: _Text, path: _Path, values: Mapping[str, Any], known: list[str]) -> None:
    for key in values:
        if key not in known:
            raise source.error((*path, key), f"unknown; {near(key, known)}")


def _value(source: _Text, path: _Path, key: str, value: Any, cls: Any) -> Any:
    """A field's value in the type that the field has."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    is_list = isinstance(value, list) and bool(value)
    if key in _SEVERAL:
        if is_integer:
            return value if key == "patch" else (value,)
        if is_list and all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return tuple(value)
        raise source.error(path, f"must be a whole number or a list of them, got {_describe(value)}")
    if key == "classes":
        if cls is OutputSchema and is_list and all(isinstance(item, str) for item in value):
            return tuple(value)
        if is_integer:
            return value
        names = " or a list of names in quotes" if cls is OutputSchema else ""
        raise source.error(path, f"must be a whole number{names}, got {_describe(value)}")
    fits = {
        "a whole number": key in _INTEGERS and is_integer,
        "a number": key in _NUMBERS and (is_integer or isinstance(value, float)),
        "a word": key in _WORDS and isinstance(value, str),
    }
    if not any(fits.values()):
        wanted = "a whole number" if key in _INTEGERS else "a number" if key in _NUMBERS else "a word"
        raise source.error(path, f"must be {wanted}, got {_describe(value)}")
    return float(value) if key in _NUMBERS else value


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{value!r}"


def _read_toml(text: str, source: _Text) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source.where} is not valid TOML: {error}") from error


def _read_yaml(text: str, source: _Text) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _build(loader, node, (), source)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{source.where}{line} is not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{source.where} is not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _build(loader: yaml.SafeLoader, node: yaml.Node, path: _Path, source: _Text) -> Any:
    """The value of a node; unlike PyYAML's own way it notes lines, and lets no key stand twice."""
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            here, line = (*path, key), key_node.start_mark.line + 1
            if key in values:
                raise ValueError(
                    f"{source.where}, line {line}: {'.'.join(here)} is given twice, first on line {source.lines[here]}"
                )
            source.lines[here] = line
            values[key] = _build(loader, value_node, here, source)
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, path, source) for item in node.value]
    return loader.construct_object(node, deep=True)
