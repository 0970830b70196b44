"""The options that all verbs of Perceivers share, and the predictor that they ask for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeVar

import torch

from anybyte.predictor import load_as, untrained
from anybyte.predictor.compute import PIECE, Compute

P = TypeVar("P", bound=Compute)


def add_options(parser: argparse.ArgumentParser, pieces: bool = True) -> None:
    """Adds them; `pieces`: the model has outputs that are decoded in pieces."""
    parser.add_argument("--model", metavar="M", help="folder of a model, bundled name, or hub id (random weights)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random weights (0)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="arithmetic (fp32)")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads to compute with (all)")
    if pieces:
        about = f"outputs decoded at once: fewer need less memory ({PIECE})"
        parser.add_argument("--piece", type=int, default=PIECE, metavar="N", help=about)


def check_out(out: str | None, *read: str) -> None:
    """An hour of computing should not end at a folder that is not there, nor in the place of what was read.

    Raises:
        ValueError: `out` is one of the files that are read.
        OSError: its folder is not there.
    """
    if out is None:
        return
    path = Path(out)
    if not path.resolve().parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(path.parent))
    for name in read:
        if path.exists() and Path(name).exists() and path.samefile(name):
            raise ValueError(f"{out} is read: name another file with -o, this one would be lost")


def predictor_for(options: argparse.Namespace, kind: type[P], name: str) -> P:
    """The predictor that the options ask for.

    Args:
        options: as `add_options` had them parsed.
        kind: of the predictor.
        name: the model of the zoo that stands in, with random weights, where no model is given. stderr says so.

    Raises:
        ValueError: a number out of range, no such model, or one that is for something else.
    """
    if options.threads is not None:
        if options.threads < 1:
            raise ValueError(f"--threads is {options.threads}, expected at least 1")
        torch.set_num_threads(options.threads)
    if getattr(options, "piece", 1) < 1:
        raise ValueError(f"--piece is {options.piece}, expected at least 1")
    if options.model is not None:
        return load_as(kind, options.model, options.device, options.precision)
    print(
        f"anybyte: no --model: {name} with random weights (seed {options.seed}); "
        "its answer means nothing until a trained model is given",
        file=sys.stderr,
    )
    return untrained(kind, name, options.seed, options.device, options.precision)
