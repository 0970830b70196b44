"""200 callers at once: files in batches against one at a time, each answer compared with the one computed alone.

Claim: with a small model a server answers at least twice as many files a second when it computes those that wait
    together, no answer is
wrong or lost, and its memory does not grow.

    python -m benchmarks.serve_load --seconds 60 --requests 20000

Two servers of the same model, each a process of its own, take turns under the same callers on loopback; one computes a
file at a time. Callers ask again as soon as they are answered. Lengths are spread log-uniformly.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from rich.table import Table

from anybyte import Prediction, create_model, load
from benchmarks import measure

SIDES = {"batches": [], "one at a time": ["--batch-files", "1", "--wait-ms", "0"]}
"""Side -> how its server differs."""

MADE = {"kernel_size": 256, "window_sizes": 32, "num_classes": 10}
"""The model that is made where none is given: byteformer_nano, large kernels, small windows, random weights."""

TOLERANCE = 1e-4
"""By which a probability may differ from the one computed alone."""


@dataclass
class Tally:
    """What callers saw.

    Attributes:
        seconds: from asking to the answer, of each request.
        wrong: answers that are not those computed alone.
        refused: answers with a status other than 200.
        lost: requests without an answer.
        p99s: of each round: a machine that stalls for a moment shows in one of them.
        wall: seconds of all rounds.
        cpu: seconds of the server's processor time.
    """

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    refused: int = 0
    lost: int = 0
    p99s: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    def summary(self) -> dict[str, Any]:
        """For the report."""
        answered = len(self.seconds)
        return {
            "answered": answered,
            "wrong": self.wrong,
            "refused": self.refused,
            "lost": self.lost,
            "requests_per_second": answered / self.wall,
            "p50_seconds": float(np.percentile(self.seconds, 50)),
            "p99_seconds": float(np.percentile(self.seconds, 99)),
            "p99_seconds_by_round": self.p99s,
            "median_round_p99_seconds": float(np.median(self.p99s)),
            "server_cpu_ms_per_request": 1000 * self.cpu / answered,
        }


def main(arguments: list[str] | None = None) -> None:
    """Measures both sides, and the memory of the first."""
    parser = measure.options(__doc__, rounds=False)
    parser.add_argument("--model", help="folder of a model (default: a small one with random weights)")
    parser.add_argument("--callers", type=int, default=200, help="at once (default: 200)")
    parser.add_argument("--seconds", type=float, default=60, help="of each side (default: 60)")
    parser.add_argument("--rounds", type=int, default=4, help="in which the sides take turns (default: 4)")
    parser.add_argument("--requests", type=int, default=20_000, help="over which memory is watched (default: 20000)")
    parser.add_argument("--files", type=int, default=400, help="different ones (default: 400)")
    parser.add_argument("--shortest", type=int, default=200, help="bytes (default: 200)")
    parser.add_argument("--longest", type=int, default=150_000, help="bytes (default: 150000)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with contextlib.ExitStack() as stack:
        folder = options.model or make_model(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        files = make_files(options.files, options.shortest, options.longest)
        predictor = load(folder, precision=options.precision)
        expected = [predictor.classify([data])[0] for data in files]
        servers = {side: stack.enter_context(serving(folder, options, more)) for side, more in SIDES.items()}
        results = compare(servers, files, expected, options)
        if options.requests:
            results["memory"] = watch_memory(servers["batches"], files, expected, options)
    results["model"] = {
        "name": "made" if options.model is None else Path(options.model).parent.name,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "config": {name: str(value) for name, value in vars(predictor.model.config).items()},
    }
    options.model = results["model"]["name"]
    measure.publish("serve_load", options, results, *_tables(results))


def make_model(folder: Path) -> Path:
    """A small model; its answers differ from file to file."""
    torch.manual_seed(0)
    model = create_model("byteformer_nano", **MADE)
    with torch.no_grad():
        model.classifier.weight.mul_(20)
    model.save_pretrained(folder / "model", labels=[f"label {number}" for number in range(model.num_classes)])
    return folder / "model"


def make_files(count: int, shortest: int, longest: int) -> list[bytes]:
    """Files of log-uniform lengths, shuffled, of bytes with some order in them: a slow wave and noise."""
    rng = np.random.default_rng(0)
    lengths = np.exp(np.linspace(np.log(shortest), np.log(longest), count)).round().astype(int)
    rng.shuffle(lengths)
    files = []
    for length in lengths:
        wave = 128 + 90 * np.sin(np.arange(length) * rng.uniform(0.001, 0.5))
        noise = rng.normal(0, rng.uniform(1, 40), length)
        files.append((wave + noise).clip(0, 255).astype(np.uint8).tobytes())
    return files


@contextlib.contextmanager
def serving(folder: str | Path, options: argparse.Namespace, more: Sequence[str]) -> Iterator[str]:
    """`anybyte serve` in a process of its own: its address, once it is ready."""
    command = [sys.executable, "-m", "anybyte", "serve", str(folder), "--port", "0", "--quiet", *more]
    command += ["--threads", str(options.threads), "--precision", options.precision]
    command += ["--queue", str(2 * options.callers)]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            found = re.search(r"on (http://\S+)$", line)
            if not found:
                raise RuntimeError(line + server.stderr.read())
            yield found[1]
        finally:
            server.terminate()


def compare(
    servers: dict[str, str], files: list[bytes], expected: list[Prediction], options: argparse.Namespace
) -> dict[str, Any]:
    """Both sides in turns, after a moment to warm up."""
    tallies = {side: Tally() for side in servers}
    for url in servers.values():
        asyncio.run(load_server(url, files, expected, options.callers, Tally(), requests=2 * options.callers))
    for number in range(options.rounds):
        order = list(servers) if number % 2 == 0 else list(servers)[::-1]
        for side in order:
            run = load_server(
                servers[side], files, expected, options.callers, tallies[side], seconds=options.seconds / options.rounds
            )
            asyncio.run(run)
            print(f"round {number + 1}, {side}: {len(tallies[side].seconds)} answers", file=sys.stderr)
    sides = {side: tally.summary() for side, tally in tallies.items()}
    first, second = sides["batches"], sides["one at a time"]
    batches = read_metrics(servers["batches"])
    return {
        "files": {"count": len(files), "mean_bytes": sum(map(len, files)) / len(files)},
        "sides": sides,
        "throughput_ratio": first["requests_per_second"] / second["requests_per_second"],
        "server_cpu_ratio": second["server_cpu_ms_per_request"] / first["server_cpu_ms_per_request"],
        "files_per_batch": batches["anybyte_batch_files_sum"] / batches["anybyte_batch_files_count"],
    }


def watch_memory(
    url: str, files: list[bytes], expected: list[Prediction], options: argparse.Namespace
) -> dict[str, Any]:
    """Resident bytes of a server at every twentieth of some requests."""
    tally, part = Tally(), options.requests // 20
    resident = []
    for _ in range(20):
        asyncio.run(load_server(url, files, expected, options.callers, tally, requests=part))
        resident.append(read_metrics(url)["process_resident_memory_bytes"])
        print(f"{len(tally.seconds)} answers, {resident[-1] / measure.MB:.1f} MB", file=sys.stderr)
    settled = resident[4:]  # a quarter: by then every size of batch has been seen
    slope = float(np.polyfit(np.arange(len(settled)) * part, settled, 1)[0])
    return tally.summary() | {
        "requests": part * 20,
        "resident_bytes": resident,
        "growth_after_a_quarter": (settled[-1] - settled[0]) / settled[0],
        "slope_bytes_per_request": slope,
    }


async def load_server(
    url: str,
    files: list[bytes],
    expected: list[Prediction],
    callers: int,
    tally: Tally,
    seconds: float = float("inf"),
    requests: float = float("inf"),
) -> None:
    """Callers that ask until the time is over or the requests are made; every request that was made is waited for."""
    before = read_metrics(url)["process_cpu_seconds_total"]
    start = time.perf_counter()
    earlier = len(tally.seconds)
    made = 0

    async def call(caller: int) -> None:
        nonlocal made
        connection = None
        while time.perf_counter() - start < seconds and made < requests:
            index = (made * 7919) % len(files)  # prime: all files, in another order than their lengths'
            made += 1
            begin = time.perf_counter()
            try:
                connection = connection or await open_connection(url)
                status, answer = await ask(connection, files[index])
            except (OSError, asyncio.IncompleteReadError):
                tally.lost += 1
                connection = None
                continue
            tally.seconds.append(time.perf_counter() - begin)
            if status != 200:
                tally.refused += 1
            elif not is_right(answer, files[index], expected[index]):
                tally.wrong += 1
        if connection:
            connection[1].close()
            await connection[1].wait_closed()

    await asyncio.gather(*(call(caller) for caller in range(callers)))
    tally.p99s.append(float(np.percentile(tally.seconds[earlier:], 99)))
    tally.wall += time.perf_counter() - start
    tally.cpu += read_metrics(url)["process_cpu_seconds_total"] - before


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def open_connection(url: str) -> Connection:
    """A connection that is kept."""
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def ask(connection: Connection, data: bytes) -> tuple[int, Any]:
    """Status and JSON of the answer to a file."""
    reader, writer = connection
    head = "POST /v1/classify?top=3 HTTP/1.1\r\nHost: here\r\nContent-Type: application/octet-stream\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode())
    writer.write(data)
    await writer.drain()
    told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: (\d+)", told, re.IGNORECASE)
    assert length
    body = await reader.readexactly(int(length[1]))
    return int(told.split(" ", 2)[1]), json.loads(body)


def is_right(answer: Any, data: bytes, expected: Prediction) -> bool:
    """Whether an answer is that of the file alone, up to rounding."""
    (result,) = answer["results"]
    scores = {entry["label"]: entry["score"] for entry in result["top"]}
    return result["size"] == len(data) and abs(scores.get(expected.label, -1.0) - expected.score) <= TOLERANCE


def read_metrics(url: str) -> dict[str, float]:
    """The numbers of /metrics that have no labels, and the sums of the others over theirs."""
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    found: dict[str, float] = {}
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found


def _tables(results: dict[str, Any]) -> list[Table]:
    table = Table(title=f"Model {results['model']['name']}, {results['files_per_batch']:.1f} files a batch")
    for column in ("side", "answered", "wrong", "refused", "lost", "requests/s", "p50 s", "p99 s", "CPU ms"):
        table.add_column(column, justify="left" if column == "side" else "right")
    for side, row in results["sides"].items():
        table.add_row(
            side, *(str(row[name]) for name in ("answered", "wrong", "refused", "lost")),
            f"{row['requests_per_second']:.1f}", f"{row['p50_seconds']:.2f}", f"{row['median_round_p99_seconds']:.2f}",
            f"{row['server_cpu_ms_per_request']:.2f}",
        )  # fmt: skip
    table.caption = (
        "p99: of the median round. CPU: the server's, a request. "
        f"{results['throughput_ratio']:.2f} times the requests a second, "
        f"{results['server_cpu_ratio']:.2f} times as many by the server's processor time"
    )
    if "memory" not in results:
        return [table]
    memory = Table(title="Memory of the server")
    for column in ("requests", "wrong", "refused", "lost", "MB at a quarter", "MB at the end", "bytes a request"):
        memory.add_column(column, justify="right")
    told = results["memory"]
    memory.add_row(
        *(str(told[name]) for name in ("requests", "wrong", "refused", "lost")),
        f"{told['resident_bytes'][4] / measure.MB:.1f}",
        f"{told['resident_bytes'][-1] / measure.MB:.1f}",
        f"{told['slope_bytes_per_request']:.0f}",
    )
    return [table, memory]


if __name__ == "__main__":
    main()
