"""Measure what an exported model answers, how large and how fast it is, and write the page of results.

    python scripts/results_export.py run --model fsdd=runs/fsdd_wav --model fashion_mnist=runs/fashion_mnist_png \
        --lengths data/fsdd.zip
    python scripts/results_export.py page

`run` exports each model in four forms (float32 and int8, the stem as table and as convolution) and compares them with
torch: logits on 100 files of different lengths, accuracy on the files that were held out, bytes, and processor time a
file. A run's `recipe.json` says which files were held out. The numbers go to docs/results/export.json; `page` writes
docs/results/export.md from that file. No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from finished_runs import markdown_table
from numpy.typing import NDArray

from anybyte.batch import ByteBatch
from anybyte.config import DataConfig
from anybyte.deploy.onnx import OnnxModel, export_onnx
from anybyte.files.sources import Source, open_source, open_splits
from anybyte.models.stem import Stem
from anybyte.predictor import Predictor, load_as
from anybyte.train.checkpoint import write_atomically

Answers = Callable[[Sequence[bytes]], NDArray[np.float32]]

FORMS = {
    "float32, table": (False, "table"),
    "float32, convolution": (False, "convolution"),
    "int8, table": (True, "table"),
    "int8, convolution": (True, "convolution"),
}
DEFAULTS = ("float32, table", "int8, convolution")
"""What `anybyte export` writes without and with --int8."""

DATA = Path("docs/results/export.json")
PAGE = Path("docs/results/export.md")
_BATCH = 32
_NUM_LENGTHS = 100


def main(args: list[str] | None = None) -> int:
    """Measures, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="measure")
    run.add_argument("--model", action="append", required=True, metavar="NAME=RUN", help="folders of finished runs")
    run.add_argument("--lengths", required=True, metavar="DATA", help="a data set whose files have many lengths")
    run.add_argument("--files", type=int, default=3000, metavar="N", help="held-out files a model, at most (3000)")
    run.add_argument("--timed", type=int, default=40, metavar="N", help="files that are timed one by one (40)")
    page = verbs.add_parser("page", help="write the page")
    for each in (run, page):
        each.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page.add_argument("--out", type=Path, default=PAGE, help=f"the page ({PAGE})")
    options = parser.parse_args(args)
    if options.verb == "page":
        write_atomically(options.out, write_page(json.loads(options.json.read_text())).encode())
        return 0
    torch.set_num_threads(1)
    varied = files_of_many_lengths(open_source(options.lengths))
    models = dict(word.split("=", 1) for word in options.model)
    found = {
        "lengths": {"of": Path(options.lengths).name, "files": len(varied), "bytes": [*map(len, varied)]},
        "versions": {"torch": torch.__version__.partition("+")[0], "onnxruntime": onnxruntime.__version__},
        "models": {name: measure(Path(folder), varied, options) for name, folder in models.items()},
    }
    write_atomically(options.json, (json.dumps(found, indent=1) + "\n").encode())
    return 0


def files_of_many_lengths(source: Source) -> list[bytes]:
    """Files no two of which are of one length, spread over all there are."""
    by_size = {entry.size: index for index, entry in enumerate(source.entries)}
    sizes = sorted(by_size)
    chosen = [sizes[place] for place in np.linspace(0, len(sizes) - 1, min(_NUM_LENGTHS, len(sizes))).astype(int)]
    return [source.read(by_size[size]) for size in chosen]


def measure(run: Path, varied: Sequence[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """All numbers of a model."""
    recipe = json.loads((run / "recipe.json").read_text())["data"]
    names = ("path", "val_fraction", "test_fraction", "split_seed")
    test = open_splits(DataConfig(**{name: recipe[name] for name in names})).test
    order = np.random.default_rng(0).permutation(len(test.entries))[: options.files]
    files, labels = [test.read(index) for index in order], np.array([test.entries[index].label for index in order])
    predictor = load_as(Predictor, run, device="cpu")
    model = predictor.model

    def in_torch(batch: Sequence[bytes]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = model(ByteBatch.from_bytes(batch)).numpy()
            return logits

    with tempfile.TemporaryDirectory() as folder:
        sides: dict[str, Answers] = {"torch": in_torch}
        numbers: dict[str, dict[str, Any]] = {
            "torch": {"bytes": sum(part.numel() * part.element_size() for part in model.parameters())}
        }
        for form, (int8, stem) in FORMS.items():
            made = export_onnx(run, Path(folder, "model.onnx"), int8, stem)  # type: ignore[arg-type]
            sides[form], numbers[form] = OnnxModel(made.path), {"bytes": made.num_bytes}
        expected = in_batches(in_torch, varied)
        for name, answers in sides.items():
            accuracy = float((in_batches(answers, files).argmax(axis=1) == labels).mean())
            differences = [np.abs(answers([data]) - row).max() for data, row in zip(varied, expected, strict=True)]
            together = np.abs(in_batches(answers, varied) - expected).max()
            numbers[name] |= {"accuracy": accuracy, "alone": float(max(differences)), "batches": float(together)}
        for name, seconds in timed(sides, files[: options.timed]).items():
            numbers[name]["milliseconds"] = round(1000 * seconds, 3)
        stem = model.stem
        assert isinstance(stem, Stem)
    return {
        "data": Path(recipe["path"]).name,
        "test_files": len(test.entries),
        "measured_on": len(files),
        "timed_on": len(files[: options.timed]),
        "bytes_a_file": [min(map(len, files)), max(map(len, files))],
        "kernel_size": stem.kernel_size,
        "dim": stem.dim,
        "forms": numbers,
    }


def in_batches(answers: Answers, files: Sequence[bytes]) -> NDArray[np.float32]:
    """Logits of files, some at a time as they come: of several lengths, where there are."""
    return np.concatenate([answers(files[first : first + _BATCH]) for first in range(0, len(files), _BATCH)])


def timed(sides: Mapping[str, Answers], files: Sequence[bytes]) -> dict[str, float]:
    """Median seconds of this thread for one file alone; the sides take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number, data in enumerate([files[0], *files]):
        for name, answers in sides.items():
            start = time.thread_time()
            answers([data])
            if number:
                seconds[name].append(time.thread_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def write_page(found: dict[str, Any]) -> str:
    """The page, in Markdown."""
    about, versions = found["lengths"], found["versions"]
    shortest, longest = min(about["bytes"]), max(about["bytes"])
    models = found["models"]
    options = [f"--model {name}=runs/{name}" for name in models]
    options += [f"--files {max(model['measured_on'] for model in models.values())}"]
    options += [f"--timed {max(model['timed_on'] for model in models.values())}"]
    command = f"--lengths {about['of']} {' '.join(options)}"
    text = f"""# Exported models

What `anybyte export` writes, beside the same model in torch. One thread, 2 cores of an AMD EPYC (Zen 4), shared; torch
{versions["torch"]} CPU, onnxruntime {versions["onnxruntime"]}. Nothing is trained: the models are finished runs of the
recipes `small/...` of the same names. Made by `scripts/results_export.py` in about two minutes:

    python scripts/results_export.py run {command}
    python scripts/results_export.py page

- **Difference**: the largest between a logit and torch's, over {about["files"]} files of as many different lengths
  (`{about["of"]}`, {shortest:,} to {longest:,} bytes), each alone and in batches of {_BATCH}.
- **Accuracy** on files that were held out from training, in batches of {_BATCH}.
- **Time**: the median of single files, processor time of one thread; all sides take turns.
- In bold what is written without and with `--int8`.
"""
    for name, model in found["models"].items():
        low, high = model["bytes_a_file"]
        size = f"{low:,} bytes" if low == high else f"{low:,} to {high:,} bytes"
        of = "" if model["measured_on"] == model["test_files"] else f" of {model['test_files']:,}, drawn with seed 0"
        text += f"""
## {name}

`{model["data"]}`, {model["measured_on"]:,} test files{of}, {size} each; kernel of {model["kernel_size"]} bytes, width
{model["dim"]}; {model["timed_on"]} files timed.

"""
        heads = ("form", "MB", "accuracy", "points lost", "largest difference", "ms a file", "times as fast as torch")
        text += markdown_table(heads, [_row(form, model["forms"]) for form in model["forms"]])
    worst = max(model["forms"][DEFAULTS[0]][key] for model in found["models"].values() for key in ("alone", "batches"))
    lost = max(
        model["forms"]["torch"]["accuracy"] - model["forms"][DEFAULTS[1]]["accuracy"]
        for model in found["models"].values()
    )
    return (
        text
        + f"""
Over all models: float32 logits differ from torch's by {worst:.1e} at most, and int8 loses {100 * lost:.2f} points of
accuracy at most.
"""
    )


def _row(form: str, forms: dict[str, Any]) -> list[str]:
    told, base = forms[form], forms["torch"]
    name = f"**{form}**" if form in DEFAULTS else form
    difference = "" if form == "torch" else f"{max(told['alone'], told['batches']):.1e}"
    lost = "" if form == "torch" else f"{100 * (base['accuracy'] - told['accuracy']):.2f}"
    return [
        name,
        f"{told['bytes'] / 1e6:.1f}",
        f"{100 * told['accuracy']:.1f}%",
        lost,
        difference,
        f"{told['milliseconds']:.2f}",
        f"{base['milliseconds'] / told['milliseconds']:.1f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
