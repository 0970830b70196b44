"""`anybyte bulk` over many files: killed in the middle and taken up again, and its speed beside a plain loop.

Claim: after SIGKILL and a second start each file is in the table exactly once, with either engine, and both give the
same rows; a processor classifies more files a second than in a loop of one after the other.

    python -m benchmarks.bulk /usr/share --model runs/digits --max-bytes 16k --engines local,ray --threads 1
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from rich.table import Table

from anybyte.cli.classify import parse_size
from anybyte.deploy.bulk.engines import BLOCK_FILES
from anybyte.deploy.bulk.rows import Job
from anybyte.deploy.bulk.run import run_bulk
from anybyte.predictor import Failure, Predictor, load_as
from benchmarks import measure

_PATIENCE = 0.02
"""Seconds between two looks at how far a run is."""


def main(arguments: list[str] | None = None) -> None:
    """Measures, and keeps the numbers."""
    parser = measure.options(__doc__)
    parser.add_argument("sources", nargs="+", help="folders")
    parser.add_argument("--model", required=True, help="folder of a model")
    parser.add_argument("--max-bytes", type=parse_size, default=2**14, help="longest file read (default: 16k)")
    parser.add_argument("--engines", default="local,ray", help="who is killed (default: local,ray)")
    parser.add_argument("--sample", type=int, default=2000, help="files for the comparison of speed (default: 2000)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    files = [path for source in options.sources for path in regular_files(source)]
    results: dict[str, Any] = {"files": len(files), "bytes": sum(os.path.getsize(path) for path in files)}
    with tempfile.TemporaryDirectory() as folder:
        tables = {}
        for engine in options.engines.split(","):
            results[engine], tables[engine] = killed_and_resumed(engine, files, Path(folder), options)
        if len(tables) > 1:
            results["engines"] = agreement(*list(tables.values())[:2])
        if options.sample:
            results["speed"] = speed(files, Path(folder), options)
    options.model = Path(options.model).name
    measure.publish("bulk", options, results, *_tables(results))


def regular_files(root: str) -> Iterator[str]:
    """What a bulk run should find in a folder, told by other means than its own."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) or not os.path.exists(path):
                yield path


def killed_and_resumed(
    engine: str, files: Sequence[str], folder: Path, options: argparse.Namespace
) -> tuple[dict[str, Any], pa.Table]:
    """What is in the table of a run that was killed at about half of its parts and started again."""
    out = folder / f"{engine}.parquet"
    command = [sys.executable, "-W", "ignore", "-m", "anybyte", "bulk", *options.sources, "--out", str(out)]
    command += ["--model", options.model, "--max-bytes", str(options.max_bytes), "--top", "3", "--engine", engine]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    half = len(files) // BLOCK_FILES // 2
    start = time.perf_counter()
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        while len(parts := list(Path(f"{out}.parts").glob("????????.parquet"))) < half:
            if process.poll() is not None:
                raise RuntimeError("the run ended before it could be killed")
            time.sleep(_PATIENCE)
        os.killpg(process.pid, signal.SIGKILL)
    until_killed = time.perf_counter() - start
    before = sum(pq.read_metadata(part).num_rows for part in parts)
    start = time.perf_counter()
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    after_that = time.perf_counter() - start
    table = pq.read_table(out)
    times = Counter(table["path"].to_pylist())
    errors = Counter(_kind(text) for text in table["error"].to_pylist() if text is not None)
    return {
        "rows_when_killed": before,
        "rows": table.num_rows,
        "exactly_once": times == Counter(map(_shown, files)),
        "missing": len(set(map(_shown, files)) - set(times)),
        "twice": sum(count > 1 for count in times.values()),
        "errors": dict(errors),
        "seconds_until_killed": round(until_killed, 1),
        "seconds_of_the_rest": round(after_that, 1),
        "said": said.strip().splitlines()[0].strip(),
    }, table


def agreement(one: pa.Table, two: pa.Table) -> dict[str, Any]:
    """Whether two tables say the same of the same files, and how far their scores are apart: threads add in orders of
    their own."""
    known = pc.is_valid(one["score"])
    apart = pc.max(pc.abs(pc.subtract(one["score"].filter(known), two["score"].filter(known))))
    return {
        "same_answers": all(one[column].equals(two[column]) for column in ("path", "label", "error")),
        "scores_apart": apart.as_py(),
    }


def speed(files: Sequence[str], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Files a second of a bulk run, loading the model and writing the table among it, and of a plain loop."""
    step = max(1, len(files) // options.sample)
    sample = sorted(files)[::step][: options.sample]
    tree = folder / "sample"
    tree.mkdir()
    for number, path in enumerate(sample):
        if os.path.exists(path):
            (tree / f"{number:06d}").symlink_to(os.path.realpath(path))
    count = len(list(tree.iterdir()))
    predictor = load_as(Predictor, options.model, device="cpu")
    job = Job(options.model, device="cpu", max_bytes=options.max_bytes)

    def loop() -> None:
        for path in sorted(tree.iterdir()):
            for answer in predictor.stream([path], max_bytes=options.max_bytes):
                assert isinstance(answer, Failure) or answer.path == str(path)

    def bulk() -> None:
        run_bulk([str(tree)], str(folder / "speed.parquet"), job, restart=True)

    calls: dict[str, Callable[[], object]] = {"plain loop": loop, "bulk": bulk}
    seconds = measure.take_turns(calls, options.repeats, clock=options.clock)
    gain = measure.ratio(seconds["plain loop"], seconds["bulk"])
    return {
        "files": count,
        "clock": options.clock,
        "seconds": seconds,
        "files_a_second": {name: round(count / sorted(times)[len(times) // 2]) for name, times in seconds.items()},
        "gain": [gain.value, gain.low, gain.high],
    }


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _kind(error: str) -> str:
    """What an error is about, without its numbers."""
    return "too long" if "more than the limit" in error else "empty" if "empty" in error else error


def _tables(results: dict[str, Any]) -> Iterator[Table]:
    table = Table(title=f"{results['files']:,} files, {results['bytes'] / measure.MB:.0f} MB, killed in the middle")
    for name in ("engine", "rows when killed", "rows", "exactly once", "errors", "seconds"):
        table.add_column(name)
    for engine in ("local", "ray"):
        if engine in results:
            found = results[engine]
            errors = ", ".join(f"{count:,} {kind}" for kind, count in found["errors"].items())
            seconds = f"{found['seconds_until_killed']} + {found['seconds_of_the_rest']}"
            once = "yes" if found["exactly_once"] else f"NO: {found['missing']} missing, {found['twice']} twice"
            table.add_row(engine, f"{found['rows_when_killed']:,}", f"{found['rows']:,}", once, errors, seconds)
    yield table
    if "speed" in results:
        told = results["speed"]
        table = Table(title=f"{told['files']:,} files, {told['clock']} time")
        for name in ("", "files a second"):
            table.add_column(name)
        for name, rate in told["files_a_second"].items():
            table.add_row(name, f"{rate:,}")
        value, low, high = told["gain"]
        table.add_row("gain", f"{value:.2f} ({low:.2f}-{high:.2f})")
        yield table


if __name__ == "__main__":
    main()
