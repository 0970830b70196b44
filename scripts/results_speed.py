"""Write the page of speed and memory from the results of the benchmarks.

    python scripts/results_speed.py        # docs/results/speed.md, from the newest result of each case

Results are what `anybyte bench` keeps in benchmarks/results/. Of each claim and case the newest is taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finished_runs import markdown_table

from anybyte.train.checkpoint import write_atomically

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.claims import CLAIMS  # noqa: E402

MB = 1_000_000


@dataclass(frozen=True)
class Goal:
    """What was to be reached before anything was measured: a ratio, and a share of the other's memory."""

    ratio: float
    memory: float | None = None

    def __str__(self) -> str:
        return f"{self.ratio:g}" + (f", memory {self.memory:g}" if self.memory else "")

    def is_met(self, ratio: float, memory: float | None) -> bool:
        """Whether a measurement reaches it; memory that was not measured does not."""
        return ratio >= self.ratio and (self.memory is None or (memory is not None and memory <= self.memory))


GOALS = {  # of bf16 and int8 one is to reach it: here the simpler one that can
    ("latency", "tiff", "anybyte fp32"): Goal(3, 0.5),
    ("latency", "tiff", "anybyte bf16"): Goal(4.5),
    ("latency", "jpeg", "anybyte fp32"): Goal(1.5),
    ("latency", "wav", "anybyte fp32"): Goal(1.8),
    ("latency", "jpeg", "anybyte int8"): Goal(3),
    ("latency", "wav", "anybyte int8"): Goal(3),
    ("training", "tiff", "anybyte fp32"): Goal(2, 0.6),
    ("training", "wav", "anybyte fp32"): Goal(1.5, 0.8),
    ("perceiver_peers", "flow", "anybyte fp32"): Goal(1.8, 0.5),
    ("perceiver_peers", "autoencoder", "anybyte fp32"): Goal(3),
    ("perceiver_peers", "language", "anybyte fp32"): Goal(0.95),
    ("perceiver_peers", "language", "anybyte bf16"): Goal(1.8),
    ("perceiver_peers", "pixels", "anybyte fp32"): Goal(0.95),
    ("perceiver_peers", "pixels", "anybyte bf16"): Goal(1.8),
    ("perceiver_peers", "mlm_step", "anybyte fp32"): Goal(1.5),
}
LEAST_SHARE = 0.5
"""Of the machine's matrix products in fp32 that the backbone is to reach."""
DEAREST = 1.0
"""Cost of a file in a batch, of that alone, at most."""
LEAST_MIXED = 0.9
"""Speed of mixed lengths, of that of equal ones, at least."""


@dataclass(frozen=True)
class Measured:
    """The newest result of one case."""

    claim: str
    case: str
    result: dict[str, Any]
    document: dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "speed.md")
    options = parser.parse_args(arguments)
    found = newest(options.results)
    if not found:
        parser.error(f"{options.results} has no results: `anybyte bench` makes some")
    write_atomically(options.out, page(found).encode())
    print(f"wrote {options.out}")


def newest(folder: Path) -> dict[str, list[Measured]]:
    """Claim -> its cases, the newest of each."""
    found: dict[tuple[str, str], Measured] = {}
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    for document in sorted(documents, key=lambda document: str(document["date"])):
        claim, results = document["benchmark"], document["results"]
        if claim in _SECTIONS:
            for case, result in {"": results}.items() if claim == "mixed_lengths" else results.items():
                found[claim, case] = Measured(claim, case, result, document)
    return {claim: [one for one in found.values() if one.claim == claim] for claim in _SECTIONS if _any(found, claim)}


def page(found: dict[str, list[Measured]]) -> str:
    """The page as Markdown."""
    parts = [
        "# Speed and memory",
        "Measured by `anybyte bench`, whose scripts are in [benchmarks](../../benchmarks/README.md); this page is "
        "written by `scripts/results_speed.py`. All sides of a comparison took turns in one process: ratios of "
        "medians, with the least and the most of any one round in brackets. Memory is the growth of the peak in a "
        "fresh process. What was to be reached was set before; how it is reached is told in [speed.md](../speed.md).",
    ]
    for claim, cases in found.items():
        parts += [f"## {CLAIMS[claim].what[0].upper()}{CLAIMS[claim].what[1:]}", *_SECTIONS[claim](cases), _made(cases)]
    return "\n\n".join(parts) + "\n"


def _any(found: Iterable[tuple[str, str]], claim: str) -> bool:
    return any(one == claim for one, _ in found)


def _made(cases: list[Measured]) -> str:
    """When and where the numbers of a section were measured."""
    lines = []
    for document in {str(one.document["date"]): one.document for one in cases}.values():
        machine, settings = document["environment"], document["settings"]
        named = ", ".join(one.case for one in cases if one.document is document)
        clock = "processor time" if settings.get("clock") == "cpu" else "time on the wall"
        rounds = f", {settings['repeats']} rounds" if "repeats" in settings else ""
        lines.append(
            f"{named + ': ' if named else ''}{document['date'][:10]}, {machine['processor']} with {machine['cores']} "
            f"cores, {machine['threads']} {'thread' if machine['threads'] == 1 else 'threads'}, {clock}{rounds}, load "
            f"{machine['load_average']:.1f}, torch {machine['torch']}, commit {machine['anybyte']}"
        )
    return f"<sub>`anybyte bench {cases[0].claim}`. {'; '.join(lines)}.</sub>"


def _ratio(ratio: dict[str, float]) -> str:
    return f"{ratio['value']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _forms(cases: list[Measured]) -> Iterator[str]:
    """Sides with a speed and a share of memory, against the first."""
    rows = []
    for one in cases:
        first = next(iter(one.result["sides"]))
        for side, row in one.result["sides"].items():
            if side == first:
                continue
            goal, memory = GOALS.get((one.claim, one.case, side)), row.get("memory_ratio")
            met = "" if goal is None else "yes" if goal.is_met(row["speedup"]["value"], memory) else "no"
            share = "-" if memory is None else f"{memory:.2f} of {row['memory_growth_bytes'] / memory / MB:.0f} MB"
            error = row.get("relative_error")
            rows.append(
                [one.result["title"], side, _ratio(row["speedup"]), share, str(goal or ""), met]
                + ([] if error is None else [f"{error:.1e}"])
            )
    heads = ["case", "form", "times as fast", "memory", "to reach", "met"]
    heads += ["relative error"] if len(rows[0]) > len(heads) else []
    yield markdown_table(heads, rows).rstrip()


def _batches(cases: list[Measured]) -> Iterator[str]:
    rows = [["case", "form", "ms alone", "ms each in the batch", "of alone", f"at most {DEAREST:g}"]]
    for one in cases:
        for side, row in one.result["sides"].items():
            times = f"{row['milliseconds_alone']:.0f}", f"{row['milliseconds_each_in_batch']:.0f}"
            met = "" if side.startswith("plain") else "yes" if row["cost_in_batch"]["value"] <= DEAREST else "no"
            rows.append([one.result["title"], side, *times, _ratio(row["cost_in_batch"]), met])
    yield markdown_table(rows[0], rows[1:]).rstrip()


def _mixed(cases: list[Measured]) -> Iterator[str]:
    rows = [["lengths", "kB/s", "of equal ones", f"at least {LEAST_MIXED:g}"]]
    for side, row in cases[0].result["sides"].items():
        met = "" if side == "equal" else "yes" if row["speed"]["value"] >= LEAST_MIXED else "no"
        rows.append([side, f"{row['bytes_per_second'] / 1000:.0f}", _ratio(row["speed"]), met])
    yield markdown_table(rows[0], rows[1:]).rstrip()


def _backbone(cases: list[Measured]) -> Iterator[str]:
    kinds = list(cases[0].result["time_by_kind"])
    rows = [["case", "precision", "GFLOP/s", "machine", "share", f"at least {LEAST_SHARE:g}", *kinds]]
    for one in cases:
        row = one.result
        rates = (f"{1e-9 * row[field]:.0f}" for field in ("flops_per_second", "machine_flops_per_second"))
        share, shares = row["share_of_machine_rate"], (f"{part:.0%}" for part in row["time_by_kind"].values())
        met = "" if row["precision"] != "fp32" else "yes" if share >= LEAST_SHARE else "no"
        rows.append([row["title"], row["precision"], *rates, f"{share:.0%}", met, *shares])
    yield "The right columns say what share of the time each kind of work takes, by torch's profiler."
    yield markdown_table(rows[0], rows[1:]).rstrip()


def _pipeline(cases: list[Measured]) -> Iterator[str]:
    ways = list(cases[0].result["files_per_second"])
    rows = [["recipe", "kB a file", "files/s that steps take", *(f"files/s {way}" for way in ways)]]
    for one in cases:
        row = one.result
        rates = [f"{row['files_per_second'][way]:.0f} ({row['times_the_appetite'][way]:.0f} times)" for way in ways]
        rows.append([f"`{row['recipe']}`", f"{row['bytes_a_file'] / 1000:.1f}", f"{row['appetite']:.2f}", *rates])
    yield markdown_table(rows[0], rows[1:]).rstrip()


def _peer(cases: list[Measured]) -> Iterator[str]:
    rows = [["file", "form", "ms from the file", "of DeiT-Ti fp32"]]
    for one in cases:
        name = f"{one.case}, {one.result['bytes']:,} bytes, k={one.result['kernel_size']}"
        for side, row in one.result["sides"].items():
            rows.append([name, side, f"{statistics.median(row['seconds']) * 1000:.0f}", _ratio(row["times_the_peer"])])
    yield markdown_table(rows[0], rows[1:]).rstrip()


_SECTIONS = {
    "latency": _forms,
    "batches": _batches,
    "mixed_lengths": _mixed,
    "training": _forms,
    "backbone": _backbone,
    "pipeline": _pipeline,
    "picture_peer": _peer,
    "perceiver_peers": _forms,
    "perceiver_levers": _forms,
}
"""Claim -> what writes its tables."""


if __name__ == "__main__":
    main()
