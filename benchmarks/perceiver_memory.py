"""Peak memory of the paper-sized Perceivers, each by its command line on real input, in a fresh process.

Claims: flow of one 368x496 pair in at most 2.5 GB; a clip of 16x224x224 with 30,720 samples, encoded and wholly
decoded, in at most 3 GB; text of 2,048 bytes. Peaks are of the whole process, with Python, torch and the weights.

    python -m benchmarks.perceiver_memory --frames first.png second.png --clip clip.webm --text book.txt
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table

from anybyte.cli import main as anybyte_main
from anybyte.files.media import encode_image
from anybyte.files.video import Clip, write_clip
from benchmarks import measure
from benchmarks.picture_peer import picture

GB = 10**9
CLAIMS = {"flow": 2.5 * GB, "autoencode": 3.0 * GB, "fill": None}
"""Verb -> the most memory that is claimed for it."""
TILE = (368, 496)
TEXT_BYTES = 2048


def main(arguments: list[str] | None = None) -> None:
    """Measures what input is given for."""
    parser = measure.options(__doc__, rounds=False)
    parser.add_argument(
        "--frames", nargs=2, type=Path, metavar="PNG", help="two pictures; their middle 368x496 is used"
    )
    parser.add_argument("--clip", type=Path, help="a video with sound")
    parser.add_argument("--text", type=Path, help="a text; its first 2,048 bytes are used, every eighth word blank")
    parser.add_argument("--made", action="store_true", help="make pictures, a clip and a text where none are given")
    parser.add_argument("--only", choices=CLAIMS, help="of the three")
    parser.add_argument("--model", action="append", default=[], metavar="VERB=FOLDER", help="instead of random weights")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="(default: fp32)")
    options = parser.parse_args(arguments)
    models = dict(given.split("=", 1) for given in options.model)
    with tempfile.TemporaryDirectory() as folder:
        if options.made:
            _make(options, Path(folder))
        commands = _commands(options, Path(folder))
        commands = {verb: command for verb, command in commands.items() if options.only in (None, verb)}
        if not commands:
            parser.error("nothing to measure: give --frames, --clip or --text")
        common = ["--precision", options.precision, "--threads", str(options.threads)]
        results = {}
        for verb, command in commands.items():
            model = ["--model", models[verb]] if verb in models else []
            results[verb] = measure.in_fresh_process(run_verb, [*command, *common, *model])
    options.frames = options.frames and [path.name for path in options.frames]
    options.clip, options.text = options.clip and options.clip.name, options.text and options.text.name
    measure.publish("perceiver_memory", options, results, _table(results))


def run_verb(arguments: list[str]) -> dict[str, Any]:
    """What a user types, and what it took. For `measure.in_fresh_process`."""
    imported = peak()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = anybyte_main(arguments)
    if code:
        raise ValueError(f"anybyte {' '.join(arguments)} ended with code {code}")
    return {
        "command": f"anybyte {arguments[0]}",
        "seconds": time.perf_counter() - start,
        "peak_memory_bytes": peak(),
        "peak_memory_at_start_bytes": imported,
        "claimed_bytes": CLAIMS[arguments[0]],
    }


def peak() -> int:
    """Most bytes of memory that this process has had at once, as the system counts them."""
    # A process inherits `ru_maxrss` from a larger one that started it: where the system tells better, take that.
    unit = 1 if sys.platform == "darwin" else 1024
    return min(measure.peak_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _make(options: argparse.Namespace, folder: Path) -> None:
    """Puts made input where none is given; what is in it makes no difference to memory."""
    height, width = TILE
    if not options.frames:
        options.frames = [folder / "made0.png", folder / "made1.png"]
        for seed, path in enumerate(options.frames):
            path.write_bytes(encode_image(picture(height, width, seed), "png:1"))
    if not options.clip:
        options.clip = folder / "made.mp4"
        frames = np.stack([picture(224, 224, seed) for seed in range(20)])
        sound = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
        write_clip(options.clip, Clip(frames, sound, 25, 48_000))
    if not options.text:
        options.text = folder / "made.txt"
        options.text.write_text("A line of a text that somebody made up. " * 100)


def cut_middle(source: Path, target: Path) -> Path:
    """Writes the middle of a picture, of the size of a tile."""
    with Image.open(source) as picture:
        left, top = (picture.width - TILE[1]) // 2, (picture.height - TILE[0]) // 2
        if min(left, top) < 0:
            raise ValueError(f"{source} has {picture.width}x{picture.height} pixels, less than {TILE[1]}x{TILE[0]}")
        picture.convert("RGB").crop((left, top, left + TILE[1], top + TILE[0])).save(target)
    return target


def with_blanks(text: bytes) -> bytes:
    """The first 2,048 bytes, every eighth word of two letters or more blank."""
    words = text[:TEXT_BYTES].replace(b"_", b" ").split(b" ")
    blank = [b"_" * len(word) if number % 8 == 7 and len(word) > 1 else word for number, word in enumerate(words)]
    return b" ".join(blank)


def _commands(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    commands = {}
    if options.frames:
        pair = [str(cut_middle(path, folder / f"{number}.png")) for number, path in enumerate(options.frames)]
        commands["flow"] = ["flow", *pair, "-o", str(folder / "out.flo")]
    if options.clip:
        commands["autoencode"] = ["autoencode", str(options.clip), "-o", str(folder / "out.mp4")]
    if options.text:
        text = with_blanks(options.text.read_bytes()).decode("utf-8", errors="surrogateescape")
        commands["fill"] = ["fill", text]
    return commands


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="Memory of the paper-sized Perceivers")
    for column in ("command", "peak", "claimed", "at its start", "time"):
        table.add_column(column, justify="left" if column == "command" else "right")
    for run in results.values():
        claim = "-" if run["claimed_bytes"] is None else f"{run['claimed_bytes'] / GB:.1f} GB"
        table.add_row(
            run["command"],
            f"{run['peak_memory_bytes'] / GB:.2f} GB",
            claim,
            f"{run['peak_memory_at_start_bytes'] / GB:.2f} GB",
            f"{run['seconds']:.0f} s",
        )
    return table


if __name__ == "__main__":
    main()
