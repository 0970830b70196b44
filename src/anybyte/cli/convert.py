"""`anybyte convert`: another project's checkpoint -> our model folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

_PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How torch's archives, and pickles of any protocol in use, start."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn another project's checkpoint into a model folder.

    examples:
      anybyte convert byteformer_tiff.pt --config byteformer.yaml --out models/tiff
      anybyte convert weights.safetensors --config config.json --out models/tiff --numerics anybyte
    """

    checkpoint: Annotated[str, tyro.conf.Positional]
    """The original's weights: .pt (read with weights_only, so nothing in it is run) or .safetensors."""
    config: str
    """The original's configuration, JSON or YAML: its own option names (`model.classification.byteformer...`), flat
    or nested, or the flat form `embed_dim`, `n_heads`, `conv_kernel_size`, ..."""
    out: str
    """The model folder to write."""
    labels: str | None = None
    """A text file with the name of each class, one a line."""
    numerics: Literal["corenet", "anybyte"] = "corenet"
    """corenet: the released code's numbers, its missing masks included. anybyte: the same weights under right masks."""


def main(args: list[str]) -> int:
    """Writes the folder and says what is in it."""
    options = tyro.cli(Options, args=args, prog="anybyte convert")
    from anybyte.weights import from_corenet

    labels = _read_text(Path(options.labels)).removesuffix("\n").split("\n") if options.labels else None
    config = read_options(Path(options.config))
    model = from_corenet(read_tensors(Path(options.checkpoint)), config, options.numerics)
    source = Path(options.checkpoint).name
    card = f"# {source}\n\nConverted from a checkpoint of apple/corenet; numerics `{options.numerics}`.\n"
    model.save_pretrained(options.out, labels=labels, card=card)
    count = sum(parameter.numel() for parameter in model.parameters())
    classes = model.config.num_classes
    print(f"{options.out}: ByteFormer, {count:,} parameters, {classes} classes, numerics {options.numerics}")
    return 0


def read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint by name; nothing in the file is run.

    Raises:
        ValueError: not a checkpoint, or one that holds more than tensors; the message names the file.
        OSError: the file cannot be read.
    """
    import pickle
    import warnings

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with path.open("rb") as file:  # what cannot be read is an OSError here, whatever the libraries below make of it
        start = file.read(2)
    if not start:
        raise ValueError(f"{path} is empty")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise almost anything
        refused = isinstance(error, pickle.UnpicklingError) and (start in _PICKLES or "global" in str(error).lower())
        if refused:
            reason = "holds more than tensors (a pickle that would run code); it is not loaded"
        else:
            reason = "is not a checkpoint, or a damaged one"
        raise ValueError(f"{path} {reason}") from error
    for key in ("state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} does not hold a dictionary of tensors")
    if not all(isinstance(name, str) for name in state):
        raise ValueError(f"{path} holds tensors under something else than names")
    return state


def read_options(path: Path) -> dict[str, Any]:
    """The original's configuration from a JSON or YAML file.

    Raises:
        ValueError: the file is neither; the message names it.
    """
    import yaml

    text = _read_text(path)
    try:
        options = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: JSON, and dates that do not exist
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not valid JSON or YAML: {reason}") from error
    if not isinstance(options, dict):
        raise ValueError(f"{path} does not hold a configuration, but a {type(options).__name__}")
    return options


def _read_text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8") from error
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return text
