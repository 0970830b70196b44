"""`anybyte convert`: another project's checkpoint -> our model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from anybyte.config import ClassOutputConfig, ImageInputConfig, PerceiverConfig, PixelsConfig

if TYPE_CHECKING:
    from anybyte.models.pretrained import Pretrained

_BATCH_NORM = "state"
"""Under which name a pickle of DeepMind holds the state of batch norm, beside `params`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Turn another project's checkpoint into a model folder.

    What SRC is, is told from it: a folder of Hugging Face transformers with a Perceiver in it; with --architecture, a
    pickle of parameters as DeepMind released them; with --config, a checkpoint of the original ByteFormer. Pickles
    are read by readers that admit arrays only: nothing in a file is run.

    examples:
      anybyte convert language-perceiver models/language
      anybyte convert vision-perceiver-conv models/conv --semantics deepmind --transposed-kernels
      anybyte convert optical_flow_checkpoint.pystate models/flow --architecture perceiver_io_flow
      anybyte convert byteformer_tiff.pt models/tiff --config byteformer.yaml
      anybyte convert weights.safetensors models/tiff --config config.json --numerics anybyte
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
    """A folder of transformers (config.json and model.safetensors, or its parts), a pickle, or a .pt or .safetensors
    file."""
    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DST")]
    """The model folder to write."""
    config: str | None = None
    """ByteFormer: the original's configuration, JSON or YAML: its own option names
    (`model.classification.byteformer...`), flat or nested, or the flat form `embed_dim`, `n_heads`,
    `conv_kernel_size`, ..."""
    architecture: str | None = None
    """DeepMind: which of its models the pickle holds, by its name in `anybyte models`."""
    labels: str | None = None
    """A text file with the name of each class, one a line. Folders of transformers bring their own."""
    semantics: Literal["transformers", "deepmind"] = "transformers"
    """Folders of transformers: whose arithmetic to compute with the weights. transformers is right for models that were
    trained or evaluated there; deepmind for weights that DeepMind trained, whose published accuracy was measured with
    it. They differ in the GELU, in masked rows, in the padding of convolutions, in the query residual of learned
    positions and in the unit of flow. Pickles of DeepMind are always computed as there."""
    transposed_kernels: bool = False
    """Folders of transformers: turn the 7 x 7 kernels, whose height and width are exchanged. The convolutional model
    that transformers published needs it to compute what DeepMind's does; models trained in transformers do not."""
    numerics: Literal["corenet", "anybyte"] = "corenet"
    """ByteFormer. corenet: the released code's numbers, its missing masks included. anybyte: the same weights under
    right masks."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A model, the names of its classes if they are known, and what its card and the command say about it."""

    model: Pretrained
    origin: str
    settings: str
    labels: list[str] | None = None


def main(args: list[str]) -> int:
    """Writes the folder and says what is in it."""
    options = tyro.cli(Options, args=args, prog="anybyte convert")
    from anybyte.weights.reading import read_text

    labels = read_text(Path(options.labels)).removesuffix("\n").split("\n") if options.labels else None
    converted = _convert(Path(options.source), options)
    card = f"# {Path(options.source).name}\n\nConverted from {converted.origin}; {converted.settings}.\n"
    labels = labels or converted.labels
    reading = _reading(converted.model.config)
    converted.model.save_pretrained(options.target, labels=labels, card=card, reading=reading)
    count = sum(parameter.numel() for parameter in converted.model.parameters())
    names = f", {len(labels)} labels" if labels else ""
    print(f"{options.target}: {type(converted.model).__name__}, {count:,} parameters{names}, {converted.settings}")
    return 0


def _reading(config: Any) -> PixelsConfig | None:
    """How the released models of ImageNet read pictures; None for all others."""
    if not isinstance(config, PerceiverConfig) or len(config.inputs) != 1 or len(config.outputs) != 1:
        return None
    image, output = config.inputs[0], config.outputs[0]
    if not isinstance(image, ImageInputConfig) or not isinstance(output, ClassOutputConfig):
        return None
    height, width = image.shape
    return PixelsConfig(image_size=height) if height == width and image.num_channels == 3 else None


def _convert(source: Path, options: Options) -> Converted:
    """The model in a checkpoint, by what the checkpoint and the options say it is."""
    if source.is_dir():
        _refuse(options, "a folder of transformers", "config", "architecture")
        return _from_transformers(source, options)
    if options.architecture is not None:
        _refuse(options, "a pickle of DeepMind", "config")
        return _from_deepmind(source, options.architecture)
    if options.config is not None:
        return _from_corenet(source, Path(options.config), options.numerics)
    if not source.exists():
        raise FileNotFoundError(2, "No such file or directory", str(source))
    raise ValueError(
        f"{source} is a file: say --architecture NAME if it is a pickle of DeepMind's Perceiver, or --config FILE if "
        "it is a checkpoint of ByteFormer; a checkpoint of transformers is converted from its folder"
    )


def _refuse(options: Options, kind: str, *names: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} does not apply: {options.source} is {kind}")


def _from_transformers(folder: Path, options: Options) -> Converted:
    from anybyte.weights import from_transformers
    from anybyte.weights.reading import read_folder, read_options

    if not (folder / "config.json").exists():
        raise ValueError(f"{folder} is not a folder of transformers: it has no config.json")
    config = read_options(folder / "config.json")
    if "architecture" in config:
        raise ValueError(f"{folder} is a model folder of anybyte already: it holds a {config['architecture']}")
    try:
        model = from_transformers(read_folder(folder), config, options.semantics, options.transposed_kernels)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    settings = f"semantics {options.semantics}"
    if options.transposed_kernels:
        settings += ", kernels turned"
    return Converted(
        model=model,
        origin=f"a {config['architectures'][0]} of Hugging Face transformers",
        settings=settings,
        labels=_labels(config, model),
    )


def _labels(config: Mapping[str, Any], model: Pretrained) -> list[str] | None:
    """Names of the classes in a configuration of transformers, if they are more than numbers."""
    names = config.get("id2label")
    classes = [output.num_classes for output in model.config.outputs if hasattr(output, "num_classes")]
    if not isinstance(names, Mapping) or len(classes) != 1:
        return None
    try:
        ordered = [str(names[str(index)]) for index in range(len(names))]
    except KeyError as error:
        raise ValueError(f"id2label has no class {error.args[0]}, but {len(names)} names") from error
    return None if all(name == f"LABEL_{index}" for index, name in enumerate(ordered)) else ordered


def _from_deepmind(path: Path, architecture: str) -> Converted:
    from anybyte.weights import from_deepmind
    from anybyte.weights.reading import read_arrays

    tree = read_arrays(path)
    state = None
    if set(tree) >= {"params", _BATCH_NORM}:
        tree, state = tree["params"], tree[_BATCH_NORM]
    try:
        model = from_deepmind(tree, state, model=architecture)
    except ValueError as error:
        raise ValueError(f"{path} as {architecture}: {error}") from error
    origin = "parameters that DeepMind released for Perceiver IO (deepmind-research, CC BY 4.0)"
    return Converted(model=model, origin=origin, settings=f"architecture {architecture}, semantics deepmind")


def _from_corenet(path: Path, config: Path, numerics: Literal["corenet", "anybyte"]) -> Converted:
    from anybyte.weights import from_corenet
    from anybyte.weights.reading import read_options, read_tensors

    options = read_options(config)
    if "model_type" in options:
        raise ValueError(f"{config} is of transformers: convert its folder, {config.parent}")
    model = from_corenet(read_tensors(path), options, numerics)
    settings = f"{model.config.num_classes} classes, numerics {numerics}"
    return Converted(model=model, origin="a checkpoint of apple/corenet", settings=settings)
