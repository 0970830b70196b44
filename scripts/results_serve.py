"""Writes docs/results/serve.md from what the load test kept.

python scripts/results_serve.py benchmarks/results/serve_load-*.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs/results/serve.md"

HEAD = """\
# Results: the server under load

Two servers of one model take turns under the same callers on loopback: one computes what waits together, the other a
file at a time. Every answer is compared with that of the file computed alone; a caller asks again as soon as it is
answered. Lengths are spread log-uniformly. The machine was shared: read the ratios, and those of the servers'
processor time rather than those of the clock. Written by `scripts/results_serve.py`; how the server batches is told in
[serve.md](../serve.md).
"""


def main(paths: list[str]) -> None:
    """Writes the page."""
    documents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in sorted(paths)]
    PAGE.write_text(page_of(documents), encoding="utf-8")
    print(f"wrote {PAGE}")


def page_of(documents: list[dict[str, Any]]) -> str:
    """The page: a section a run of the load test that compared both sides, and one on memory."""
    return "\n".join([HEAD, *map(_section, documents)])


def _section(document: dict[str, Any]) -> str:
    results, model = document["results"], document["results"]["model"]
    columns = ("server", "answered", "wrong", "refused", "lost", "requests/s", "p50, s", "p99, s", "processor, ms")
    lines = [f"## {model['name']}, {model['parameters']:,} parameters", "", _setting(document), ""]
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [_row(side, row) for side, row in results["sides"].items()]
    lines += ["", "p99: of the median round. Processor: the server's time, a request.", ""]
    lines += [
        f"Batches of {results['files_per_batch']:.1f} files: **{results['throughput_ratio']:.2f} times** the requests "
        f"a second, {results['server_cpu_ratio']:.2f} times as many by the server's processor time.",
        "",
    ]
    if "memory" in results:
        lines += [_memory(results["memory"]), ""]
    return "\n".join(lines)


def _setting(document: dict[str, Any]) -> str:
    """What was measured, and on what."""
    settings, machine, files = document["settings"], document["environment"], document["results"]["files"]
    config = document["results"]["model"]["config"]
    return (
        f"{document['date']}; {settings['callers']} callers; {files['count']} files of {settings['shortest']:,} to "
        f"{settings['longest']:,} bytes, {files['mean_bytes']:,.0f} on average; {settings['seconds']:g} seconds a side "
        f"in {settings['rounds']} rounds; kernel {config['kernel_size']}, windows {config['window_sizes']}, width "
        f"{config['dim']}; {settings['precision']}; {machine['threads']} thread of {machine['cores']} cores "
        f"({machine['processor']}, shared, load {machine['load_average']:.1f}); torch {machine['torch']}; commit "
        f"{machine['anybyte']}."
    )


def _row(side: str, told: dict[str, Any]) -> str:
    counts = [f"{told[name]:,}" for name in ("answered", "wrong", "refused", "lost")]
    names = ("requests_per_second", "p50_seconds", "median_round_p99_seconds", "server_cpu_ms_per_request")
    return f"| {' | '.join([side, *counts, *(f'{told[name]:.2f}' for name in names)])} |"


def _memory(told: dict[str, Any]) -> str:
    resident = told["resident_bytes"]
    return (
        f"Memory over {told['requests']:,} requests ({told['wrong']} wrong, {told['refused']} refused, {told['lost']} "
        "lost): "
        f"{resident[4] / 1e6:.1f} MB resident after a quarter, {resident[-1] / 1e6:.1f} MB at the end, at most "
        f"{max(resident) / 1e6:.1f} MB; {told['slope_bytes_per_request']:.0f} bytes a request."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
