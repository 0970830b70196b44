"""Does the input pipeline keep training fed? Files a second of reading alone, and of the steps that use them.

Reading is all from stored files to batches: decode, augment, encode as the paper's recipe says, collate. It is measured
in the process itself, which says what a core gives, and in workers; the appetite is that of optimiser steps on the
same batches. Pictures are JPEGs of 375x500, sounds WAV of one second.

Claim: one worker reads TIFF, JPEG, WAV and MP3 faster than a step on the same number of threads takes them.

    python -m benchmarks.pipeline --repeats 3 --threads 2 --workers 1,2
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from anybyte.config import Recipe, SoundConfig
from anybyte.files.media import encode_image
from anybyte.models.zoo import class_of
from anybyte.recipes import get_recipe
from anybyte.train.data import Deal, Part, Plan, load_parts
from anybyte.train.jobs import Job, make_job
from anybyte.train.optim import learning_rate
from anybyte.train.step import Stepper, create_accelerator
from benchmarks import measure
from benchmarks.perceiver_made import CLASSES, write_sounds
from benchmarks.picture_peer import picture

RECIPES = {
    "tiff": "byteformer/imagenet_tiff",
    "jpeg": "byteformer/imagenet_jpeg_q100_k8",
    "wav": "byteformer/speech_commands_wav_int16_k16",
    "mp3": "byteformer/speech_commands_mp3_k8_w128",
}
FILES = 8
"""Different files of each class in each part."""


def main(arguments: list[str] | None = None) -> None:
    """Measures the formats that the command line names."""
    parser = measure.options(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--cases", default=",".join(RECIPES), help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--workers", default="1,2", help="numbers of loading processes to try (default: 1,2)")
    parser.add_argument("--batch", type=int, default=8, help="files of a batch (default: 8)")
    parser.add_argument("--batches", type=int, default=6, help="batches that are read in a round (default: 6)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the steps (default: fp32)")
    options = parser.parse_args(arguments)
    measure.check_names(parser, options.cases.split(","), RECIPES)
    torch.set_num_threads(options.threads)
    results = {case: _measure(case, options) for case in options.cases.split(",")}
    measure.publish("pipeline", options, results, _table(results))


def with_files(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe on made files in `folder`."""
    rng = np.random.default_rng(0)
    if recipe.reading.rate is not None:
        write_sounds(folder, rng, SoundConfig(rate=recipe.reading.rate, seconds=1.0))
    else:
        for part in ("train", "val", "test"):
            for number, name in enumerate(CLASSES):
                place = folder / part / name
                place.mkdir(parents=True)
                for index in range(FILES if part == "train" else 1):
                    pixels = picture(375, 500, seed=FILES * number + index)
                    (place / f"{index}.jpg").write_bytes(encode_image(pixels, "jpeg:q90"))
    run = dataclasses.replace(recipe.run, batch_bytes=2**40)
    return dataclasses.replace(recipe, run=run, data=dataclasses.replace(recipe.data, path=str(folder)))


def batches(job: Job, size: int, count: int, workers: int) -> Iterator[Part]:
    """`count` batches and more, as training reads them."""
    plan = Plan(job.train.sizes(), size, 2**40, seed=0)
    deal = Deal(plan, range(size * (count + 1)), 0, 1, 1)
    yield from load_parts(job.train, job.task, deal, seed=0, num_workers=workers)


def _measure(case: str, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(with_files(get_recipe(RECIPES[case]), Path(folder)))
        rates = {
            f"{workers} workers": _reading_rate(job, workers, options)
            for workers in map(int, options.workers.split(","))
        }
        alone = _reading_rate(job, 0, options)
        parts = batches(job, options.batch, 1, 0)
        part = next(parts)
        appetite = _appetite(job, part, options)
    return {
        "recipe": RECIPES[case],
        "bytes_a_file": part.num_bytes / len(part.indices),
        "files_per_second": {"in the process": alone} | rates,
        "appetite": appetite,
        "times_the_appetite": {name: rate / appetite for name, rate in {"in the process": alone, **rates}.items()},
    }


def _reading_rate(job: Job, workers: int, options: argparse.Namespace) -> float:
    """Files a second of reading alone: by the clock asked for, or on the wall in workers."""
    now = measure.CLOCKS[options.clock] if not workers else time.perf_counter
    source = batches(job, options.batch, options.batches * options.repeats + 8, workers)
    # Workers read ahead: what they have ready when the clock starts is not counted.
    for _ in range(1 + 4 * workers):
        next(source)
    rates = []
    for _ in range(options.repeats):
        files, start = 0, now()
        for _ in range(options.batches):
            part = next(source)
            if part.problems:
                raise ValueError(f"cannot read {part.problems[0]}")
            files += len(part.indices)
        rates.append(files / (now() - start))
    return statistics.median(rates)


def _appetite(job: Job, part: Part, options: argparse.Namespace) -> float:
    """Files a second of optimiser steps on one batch."""
    recipe, now = job.recipe, measure.CLOCKS[options.clock]
    torch.manual_seed(0)
    model, bf16 = class_of(recipe.model)(recipe.model), options.precision == "bf16"
    stepper = Stepper(model, job.task, recipe.optim, create_accelerator(), bf16=bf16, compile=False)
    seconds = []
    for step in range(1 + options.repeats):
        start = now()
        stepper.step([part], step, learning_rate(step, 100, recipe.optim), 0)
        seconds.append(now() - start)
    return len(part.indices) / statistics.median(seconds[1:])


def _table(results: dict[str, Any]) -> Table:
    table = Table(title="Files a second: reading alone, and the steps that use them", title_justify="left")
    table.caption, table.caption_justify = "in brackets: times what the steps take", "left"
    table.add_column("recipe", no_wrap=True)
    rates = next(iter(results.values()))["files_per_second"]
    for column in ("kB a file", "steps take", *rates):
        table.add_column(column, justify="right", no_wrap=True)
    for row in results.values():
        read = [
            f"{rate:.0f} ({row['times_the_appetite'][name]:.0f}x)" for name, rate in row["files_per_second"].items()
        ]
        table.add_row(row["recipe"], f"{row['bytes_a_file'] / 1000:.1f}", f"{row['appetite']:.2f}", *read)
    return table


if __name__ == "__main__":
    main()
