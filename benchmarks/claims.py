"""The table of claims: which script shows each, with what settings, and how `anybyte bench` runs them.

Each runs in a process of its own, so that none meets a heap or a cache that another has left.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Claim:
    """What a script of this folder shows.

    Attributes:
        what: in a line.
        full: arguments of a measurement that counts.
        quick: of one that takes seconds and shows that it runs.
        minutes: on two quiet cores, about.
        takes_turns: whether it has rounds, and a clock to choose.
    """

    what: str
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    minutes: float = 1
    takes_turns: bool = True


_NANO = ("--model", "byteformer_nano", "--repeats", "1")
CLAIMS = {
    "latency": Claim(
        "one file is 3 times as fast as in the plain form, with half the memory", quick=("--cases", "wav", *_NANO)
    ),
    "batches": Claim("a file in a batch of 8 costs no more than alone", quick=("--cases", "wav", *_NANO), minutes=3),
    "mixed_lengths": Claim(
        "batches of mixed lengths are as fast as equal ones", quick=("--batches", "1", *_NANO), minutes=2
    ),
    "backbone": Claim(
        "the backbone reaches half of the machine's matrix products, and where the rest goes",
        quick=("--cases", "wav", *_NANO),
    ),
    "training": Claim(
        "a training step is 1.5 to 2 times as fast as in the plain form, with less memory",
        quick=("--cases", "wav", "--batch", "2", *_NANO),
        minutes=8,
    ),
    "pipeline": Claim(
        "reading and encoding keep training fed", quick=("--cases", "wav,mp3", "--repeats", "1", "--batches", "2")
    ),
    "picture_peer": Claim(
        "from a picture's file to logits, against DeiT-Ti on the decoded picture",
        quick=("--formats", "jpeg:q60", "--repeats", "1"),
    ),
    "long_file": Claim(
        "100 MB are classified in constant memory, exactly",
        full=("--mb", "100"),
        quick=("--mb", "5", "--exact-mb", "3", "--model", "nano"),
        minutes=6,
        takes_turns=False,
    ),
    "perceiver_peers": Claim(
        "Perceiver IO against transformers, same weights and input", quick=("--quick", "--repeats", "1"), minutes=30
    ),
    "perceiver_levers": Claim(
        "what each reshaping of a Perceiver's arithmetic brings by itself", quick=("--smaller", "16", "--repeats", "1")
    ),
    "perceiver_linear": Claim(
        "a Perceiver's time and memory are linear in inputs and outputs", quick=("--quick", "--no-memory"), minutes=5
    ),
    "perceiver_memory": Claim(
        "the paper-sized Perceivers fit into a laptop",
        full=("--made",),
        quick=("--made", "--only", "fill"),
        minutes=5,
        takes_turns=False,
    ),
    "perceiver_training_memory": Claim(
        "every recipe of the Perceivers' papers trains at its size, and in what memory",
        quick=("--recipes", "small/entities", "--precision", "fp32"),
        minutes=40,
        takes_turns=False,
    ),
}
"""Name -> claim; the script of a claim is the module of its name."""


def command(
    name: str, *, quick: bool, threads: int | None, repeats: int | None, clock: str | None, results: str | None
) -> list[str]:
    """The arguments of a claim's script, its module first; None: as the script has it."""
    claim = CLAIMS[name]
    chosen = [*(claim.quick if quick else claim.full)]
    given = {"--threads": threads, "--results": results}
    if claim.takes_turns:
        given |= {"--repeats": repeats, "--clock": clock}
    for option, value in given.items():
        if value is not None:
            chosen += [option, str(value)]
    return [f"benchmarks.{name}", *chosen]


def run(commands: Sequence[list[str]], as_json: bool, tell: Callable[[str], None]) -> tuple[list[Any], list[str]]:
    """Runs scripts one after another.

    Args:
        commands: what `command` gave.
        as_json: collect their documents instead of letting them print tables.
        tell: is told what runs now.

    Returns:
        The documents (none without `as_json`), and the modules that failed.
    """
    documents, failed = [], []
    for module, *arguments in commands:
        tell(f"{module.rpartition('.')[2]} {' '.join(arguments)}".rstrip())
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, *(["--json"] if as_json else [])],
            cwd=ROOT,
            stdout=subprocess.PIPE if as_json else None,
            text=True,
            check=False,
        )
        if done.returncode:
            failed.append(module)
        elif as_json:
            documents.append(json.loads(done.stdout[done.stdout.index("{") :]))
    return documents, failed
