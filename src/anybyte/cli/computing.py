"""The options that all verbs of Perceivers share, and the predictor that they ask for."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from pathlib import Path
from typing import TypeVar

import torch

from anybyte.predictor import load_as, untrained
from anybyte.predictor.compute import PIECE, Compute

P = TypeVar("P", bound=Compute)

MAX_THREADS = 1024
"""More than any processor has: torch takes a number that it cannot hold for another one."""
MAX_SEED = 2**63 - 1


def add_options(parser: argparse.ArgumentParser, pieces: bool = True) -> None:
    """Adds them; `pieces`: the model has outputs that are decoded in pieces."""
    parser.add_argument("--model", metavar="M", help="folder of a model, bundled name, or hub id (random weights)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the random weights, where there is no --model (0)")
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
        OSError: its folder is not there or cannot be written to, or it is a folder itself.
    """
    if out is None:
        return
    path = Path(out)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder: name a file to write with -o", out)
    if not path.resolve().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such directory", str(path.parent))
    if not os.access(path if path.exists() else path.resolve().parent, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written (Permission denied)", out)
    for name in read:
        if path.exists() and Path(name).exists() and path.samefile(name):
            raise ValueError(f"{out} is read: name another file with -o, this one would be lost")


def check_folder(out: str) -> None:
    """An hour of computing should not end at a folder that cannot be made.

    Raises:
        OSError: `out`, or what is there of its path, is not a folder, or one that cannot be written to.
    """
    there = Path(out).resolve()
    while not there.exists() and not there.is_symlink():
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(there))
    if not os.access(there, os.W_OK):
        raise PermissionError(errno.EACCES, "cannot be written to (Permission denied)", str(there))


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
        if not 1 <= options.threads <= MAX_THREADS:
            raise ValueError(f"--threads is {options.threads}, expected 1 to {MAX_THREADS}")
        torch.set_num_threads(options.threads)
    if getattr(options, "piece", 1) < 1:
        raise ValueError(f"--piece is {options.piece}, expected at least 1")
    if options.model is not None:
        if options.seed is not None:
            raise ValueError(
                f"--seed {options.seed} is of random weights, and --model gives trained ones: leave one out"
            )
        return load_as(kind, options.model, options.device, options.precision)
    seed = 0 if options.seed is None else options.seed
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"--seed is {seed}, expected 0 to {MAX_SEED}")
    print(
        f"anybyte: no --model: {name} with random weights (seed {seed}); "
        "its answer means nothing until a trained model is given",
        file=sys.stderr,
    )
    return untrained(kind, name, seed, options.device, options.precision)
