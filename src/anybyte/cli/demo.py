"""`anybyte demo`: trains, evaluates and uses a small model on embedded data, and reports on it."""

from __future__ import annotations

import argparse
from pathlib import Path


def main(args: list[str]) -> int:
    """Runs the demo and says where its report is."""
    options = _parser().parse_args(args)
    if options.seed < 0:  # before the sounds are made
        raise ValueError(f"--seed is {options.seed}, expected 0 or more")
    from anybyte.demo.run import run_demo  # after the options: `--help` need not wait for torch

    result = run_demo(options.out, options.seed, options.minutes, say=_say)
    print(f"written digits  {result.written:6.1%} right")
    print(f"spoken digits   {result.spoken:6.1%} right")
    print(f"report          {result.report}")
    print(f"try it          anybyte classify {result.folder}/data/test/seven/* --model {result.folder}/run")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte demo",
        description="Train one small model on pictures of handwritten digits and on spoken digits,\n"
        "test it on files that it has not seen, and write a report. Needs neither\nnetwork nor GPU, but scikit-learn: "
        "pip install 'anybyte[demo]'.",
        epilog="examples:\n  anybyte demo\n  anybyte demo --minutes 10 --out runs/longer",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR", help="where to (runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="of the sounds and of training (0)")
    parser.add_argument(
        "--minutes", type=float, default=2.0, metavar="M", help="how long, about, on two cores: at least one epoch (2)"
    )
    return parser


def _say(line: str) -> None:
    print(line, flush=True)
