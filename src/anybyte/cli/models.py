"""`anybyte models [PATTERN]`: the architectures of the zoo, each with its size and shape."""

from __future__ import annotations

import argparse
import dataclasses

import torch

from anybyte.models.zoo import create_model, list_models, model_config

_SHAPE = (
    "dim",
    "num_heads",
    "depth",
    "kernel_size",
    "window_sizes",
    "num_latents",
    "latent_dim",
    "num_blocks",
    "num_layers",
)
"""The fields shown, of those that a model's config has."""


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="anybyte models",
        description="List the architectures and their sizes.",
        epilog="examples:\n  anybyte models\n  anybyte models 'perceiver*'\n  anybyte models '*_nano'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pattern", nargs="?", default="*", help="names to list, with * and ? (default: all)")
    pattern = parser.parse_args(args).pattern
    names = list_models(pattern)
    if not names:
        raise ValueError(f"no model matches {pattern!r}: there are {', '.join(list_models())}")
    width = max(map(len, names))
    for parameters, name in sorted((count_parameters(name), name) for name in names):
        print(f"{name:<{width}}  {parameters / 1e6:>7.2f} M parameters  {_describe_shape(name)}".rstrip())
    return 0


def count_parameters(name: str) -> int:
    """Parameters of a zoo entry as it stands; none are made."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in create_model(name).parameters())


def _describe_shape(name: str) -> str:
    config = dataclasses.asdict(model_config(name))
    return "  ".join(f"{field} {config[field]!s:<4}" for field in _SHAPE if field in config)
