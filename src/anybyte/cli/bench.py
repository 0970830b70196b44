"""`anybyte bench [CLAIM...]`: measures what the documentation claims about speed and memory, on this machine.

The scripts are not part of the package: they stand in `benchmarks/` of the repository, one a claim.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  anybyte bench --list                     what there is to measure, and how long it takes
  anybyte bench latency training           two claims, as tables; kept with plots in benchmarks/results/
  anybyte bench latency --threads 1 --clock cpu --repeats 3     where other work shares the machine
  anybyte bench --quick --results /tmp/quick                    every script in a minute or so each: does it run?
  anybyte bench batches --json > batches.json
  anybyte bench --budget                   counts FLOPs and peak memory anew, and writes benchmarks/budget.json

All sides of a comparison take turns in one process: read the ratios, for times drift. Use a machine that does nothing
else; each result holds its load average."""


def main(args: list[str]) -> int:
    """Runs the claims that are named, or all."""
    options = _parser().parse_args(args)
    claims = _benchmarks("claims")
    if options.list:
        width = max(map(len, claims.CLAIMS))
        for name, claim in claims.CLAIMS.items():
            print(f"{name:<{width}}  {claim.minutes:>3g} min  {claim.what}")
        return 0
    if options.budget:
        if options.claims:
            raise ValueError(f"--budget counts all cases; leave out {' '.join(options.claims)}")
        _benchmarks("budget").main([])
        return 0
    for name in options.claims:
        if name not in claims.CLAIMS:
            near = difflib.get_close_matches(name, claims.CLAIMS, n=2) or list(claims.CLAIMS)
            raise ValueError(f"no claim {name!r}: did you mean {' or '.join(near)}?")
    for option, value in (("--threads", options.threads), ("--repeats", options.repeats)):
        if value is not None and value < 1:
            raise ValueError(f"{option} is {value}, expected at least 1")
    settings: dict[str, Any] = {"threads": options.threads, "repeats": options.repeats, "clock": options.clock}
    results = options.results and str(Path(options.results).absolute())
    commands = [
        claims.command(name, quick=options.quick, results=results, **settings)
        for name in options.claims or claims.CLAIMS
    ]
    documents, failed = claims.run(commands, options.json, lambda line: print(f"bench: {line}", file=sys.stderr))
    if options.json:
        print(json.dumps(documents, indent=2))
    if failed:
        raise ValueError(f"{', '.join(failed)} failed; what it said is above")
    return 0


def _benchmarks(module: str) -> Any:
    """A module of the repository's `benchmarks/`.

    Raises:
        ValueError: there is no repository here.
    """
    here = Path(__file__).resolve().parents[3]
    for root in (here, Path.cwd(), *Path.cwd().parents):
        if (root / "benchmarks" / "claims.py").is_file() and (root / "src" / "anybyte").is_dir():
            if str(root) not in sys.path:
                sys.path.insert(0, str(root))
            return importlib.import_module(f"benchmarks.{module}")
    raise ValueError(
        "the benchmarks stand in the repository's benchmarks/ and are not installed with the package: "
        "run `anybyte bench` inside a checkout of Anybyte"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte bench",
        description="Measure what is claimed about speed and memory; a script of benchmarks/ each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help="names of --list (default: all)")
    parser.add_argument("--list", action="store_true", help="name the claims, and measure nothing")
    parser.add_argument("--quick", action="store_true", help="small models and few rounds: does it run?")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--budget", action="store_true", help="count what each case costs, and write the budget")
    parser.add_argument("--threads", type=int, help="to compute with (default: each script's own, mostly 2)")
    parser.add_argument("--repeats", type=int, help="rounds, of which medians are told (default: each script's own)")
    parser.add_argument("--clock", choices=("wall", "cpu"), help="cpu: processor time, where others work too")
    parser.add_argument("--results", metavar="DIR", help="where results are kept (default: benchmarks/results)")
    return parser
