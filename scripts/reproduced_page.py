"""Write the page that sets the small twins beside the paper, from the results of `anybyte reproduce small`.

    python scripts/reproduced_page.py runs/small/results --out docs/reproduced.md --notes docs/reproduced_notes.md

No number on the page is typed by hand: ours come from the results, the paper's from `recipes/byteformer/published.py`.
The notes, which people write after they have seen the numbers, are put in front of the tables as they are. Plots go to
`pictures/` beside the page. A row without a result is shown as such.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anybyte.recipes.byteformer.published import published
from anybyte.recipes.byteformer.tables import TABLES, Table
from anybyte.recipes.small.plan import JOINT
from anybyte.recipes.small.twins import SCALES, SUBJECTS, TWINS, Twin
from anybyte.train.checkpoint import write_atomically

sys.path.insert(0, str(Path(__file__).parent))
from finished_runs import markdown_table

Result = dict[str, Any]
Results = dict[str, list[Result]]
"""Recipe -> its results, one a seed."""


_FIELDS = {"recipe", "seed", "top1", "files", "bytes_a_file", "minutes", "steps", "hardware", "parameters", "sources"}

_STEPS = {twin.name: twin.scale.steps for twin in TWINS}
"""Recipe -> its optimiser steps: runs that were cut short do not belong on the page."""


def read_results(folder: Path) -> Results:
    """The results in a folder, by recipe and in the order of their seeds.

    Raises:
        ValueError: there are none, or a file is no result, or that of a run that was cut short.
        OSError: the folder cannot be read.
    """
    results: Results = defaultdict(list)
    for path in sorted(folder.glob("*.json")):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not a result of `anybyte reproduce`: {error}") from error
        missing = _FIELDS - set(result if isinstance(result, dict) else ())
        if missing:
            raise ValueError(f"{path} is not a result of `anybyte reproduce`: it has no {', '.join(sorted(missing))}")
        steps = _STEPS.get(result["recipe"], result["steps"])
        if result["steps"] != steps:
            raise ValueError(f"{path} is of {result['steps']} steps, and the recipe is of {steps}: run it again")
        results[result["recipe"]].append(result)
    if not results:
        raise ValueError(f"{folder} holds no results: `anybyte reproduce small` writes them")
    for each in results.values():
        each.sort(key=lambda result: int(result["seed"]))
    return dict(results)


def accuracy(results: Sequence[Result]) -> str:
    """Top-1 in percent: the mean, and the standard deviation where there are several seeds."""
    if not results:
        return "not run"
    values = [100 * result["top1"] for result in results]
    return f"{mean(values):.1f}" if len(values) == 1 else f"{mean(values):.1f} ± {stdev(values):.1f}"


def papers_number(name: str) -> str:
    """What was published for one of the paper's recipes; a star marks that of the released weights."""
    numbers = published(name)
    if numbers.top1 is None:
        return "-"
    return f"{numbers.top1:.2f}{'' if numbers.paper is not None else '*'}"


def row(twin: Twin, results: Sequence[Result]) -> tuple[str, ...]:
    """One row of a table of the page."""
    model = twin.recipe().model
    first = results[0] if results else {}
    return (
        f"`{twin.name}`",
        f"**{accuracy(results)}**" if results else accuracy(results),
        papers_number(twin.paper),
        f"{first['bytes_a_file']:,.0f}" if results else "-",
        str(getattr(model, "kernel_size", "-")),
        str(getattr(model, "window_sizes", "-")),
        f"{mean(result['minutes'] for result in results):.1f}" if results else "-",
        ", ".join(str(result["seed"]) for result in results) or "-",
    )


HEADS = ("recipe", "ours, %", "paper, %", "bytes a file", "kernel", "window", "minutes", "seeds")


def section(table: Table, results: Results) -> str:
    """What the page says of one table of the paper."""
    scale, twins = SCALES[table.name], [twin for twin in TWINS if twin.table is table]
    found = [result for twin in twins for result in results.get(twin.name, [])]
    facts = [
        f"Paper: {table.data}. Here: {SUBJECTS[scale.data]}, {scale.steps:,} steps of {scale.batch_files} files"
        + (f", tested on {found[0]['files']:,} files." if found else "."),
        scale.why,
    ]
    return "\n".join(
        [
            f"## {table.title[0].upper()}{table.title[1:]}\n",
            f"{' '.join(filter(None, facts))}\n",
            markdown_table(HEADS, [row(twin, results.get(twin.name, [])) for twin in twins]),
        ]
    )


def joint_section(results: Results) -> str:
    """The joint model beside the two that know one kind of file each."""
    both, clothes, digits = (results.get(f"small/{name}", []) for name in JOINT)
    rows = [
        ("one model for both (20 classes)", _source_accuracy(both, "clothes"), _source_accuracy(both, "digits")),
        ("a model for clothes (10 classes)", _source_accuracy(clothes, "clothes"), "-"),
        ("a model for digits (10 classes)", "-", _source_accuracy(digits, "digits")),
    ]
    return "\n".join(
        [
            "## One model for pictures and sounds\n",
            "Pictures of clothes as bare pixels and spoken digits as 8-bit WAV, 2,700 training files each, in one "
            "label space; every training file is seen equally often in all three runs (`small/joint/both`, "
            "`small/joint/clothes`, `small/joint/digits`). Test accuracy in percent:\n",
            markdown_table(("model", "300 test pictures", "300 test sounds"), rows),
        ]
    )


def _source_accuracy(results: Sequence[Result], name: str) -> str:
    scores = [{"top1": part["top1"]} for result in results for part in result["sources"] if part["name"] == name]
    return accuracy(scores)


def page(results: Results, notes: str, plots: Sequence[str]) -> str:
    """The whole page."""
    every = [result for each in results.values() for result in each]
    hardware = sorted({result["hardware"] for result in every})
    sections = [
        "# The paper's experiments, small\n",
        "Written by `scripts/reproduced_page.py` from the results of `anybyte reproduce small`: change these, not this "
        "page.\n",
        "Each recipe is the small twin of one of the paper's: the same format, byte order, noise, camera, kernel and "
        "window, on small real data, with a small model and minutes of training. So the numbers are not to be "
        "compared across the columns, but down them: does a change that costs the paper's model accuracy cost the "
        "small one accuracy as well?\n",
        notes.strip() + "\n" if notes.strip() else "",
        "## How to repeat it\n",
        "```bash\n"
        "python scripts/prepare_data.py all --data shared/data --out data\n"
        "anybyte reproduce small --data data --out runs/small --jobs 2\n"
        "python scripts/reproduced_page.py runs/small/results --out docs/reproduced.md "
        "--notes docs/reproduced_notes.md\n"
        "```\n",
        f"- {len(every)} runs, {sum(result['minutes'] for result in every):.0f} minutes of training in all, on "
        f"{'; '.join(hardware)}. Other work ran on the machine, so minutes are an upper bound; steps are the same for "
        "all rows of a table.",
        "- Ours is accuracy on the held-out test part, after training. ± is the standard deviation "
        "over seeds; rows without it are one run.",
        "- The paper's column: top-1 in the paper; with * that of the released weights, as their README states it. "
        "-: no source that could be read gives it.",
        f"- The model has {_range([result['parameters'] for result in every])} parameters, by kernel size.\n",
        *(section(table, results) for table in TABLES),
        joint_section(results),
        "## Plots\n",
        *(f"![{name.replace('_', ' ')}](pictures/{name}.png)\n" for name in plots),
    ]
    return "\n".join(part for part in sections if part)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


@dataclass(frozen=True)
class Point:
    """A value on the horizontal axis, and the accuracies in percent there."""

    x: float
    values: tuple[float, ...]


def points(results: Results, table: str, x: Callable[[Result], float | None], part: str = "") -> list[Point]:
    """The results of a table's rows whose names hold `part`, by what `x` makes of them."""
    found: dict[float, list[float]] = defaultdict(list)
    for name, each in results.items():
        if name.startswith(f"small/{table}/") and part in name:
            for result in each:
                value = x(result)
                if value is not None:
                    found[value].append(100 * result["top1"])
    return [Point(value, tuple(values)) for value, values in sorted(found.items())]


def draw_line(axes: Axes, data: Sequence[Point], label: str) -> None:
    """A line through the means, with a dot for each seed."""
    if not data:
        return
    [line] = axes.plot([each.x for each in data], [mean(each.values) for each in data], marker="o", label=label)
    for each in data:
        if len(each.values) > 1:
            axes.plot([each.x] * len(each.values), each.values, ".", color=line.get_color(), alpha=0.6)


def draw_paper(axes: Axes, numbers: Sequence[tuple[float, float]]) -> None:
    """The paper's own numbers, as crosses."""
    if numbers:
        axes.plot([x for x, _ in numbers], [y for _, y in numbers], "kx", label="paper (ImageNet)")


def papers_points(table: str, x: Callable[[Twin], float | None]) -> list[tuple[float, float]]:
    """(x, top-1 in percent) of the paper's rows whose numbers are known."""
    found = []
    for twin in TWINS:
        value, top1 = x(twin), published(twin.paper).top1
        if twin.table.name == table and value is not None and top1 is not None:
            found.append((value, top1))
    return found


def _kernel(result: Result) -> float:
    return float(result["kernel_size"])


def draw_camera(axes: Axes, results: Results) -> None:
    """Accuracy against the share of pixel channels that are kept."""
    draw_line(axes, points(results, "camera", lambda result: result["privacy"]["camera_keep"]), "ours (Fashion-MNIST)")
    draw_paper(axes, papers_points("camera", lambda twin: twin.recipe().reading.privacy.camera_keep))
    axes.set(title="Masked camera", xlabel="share of pixel channels kept", xscale="log")
    shares = (0.03, 0.05, 0.1, 0.25, 0.5, 0.75)
    axes.set_xticks(shares, [f"{share:.0%}" for share in shares])
    axes.set_xticks([], minor=True)


def draw_noise(axes: Axes, results: Results) -> None:
    """Accuracy against the width of the noise."""
    draw_line(axes, points(results, "obfuscation", lambda result: result["privacy"]["noise"]), "ours (Fashion-MNIST)")
    draw_paper(axes, papers_points("obfuscation", lambda twin: twin.recipe().reading.privacy.noise))
    axes.set(title="Noise under a permutation", xlabel="noise, levels either way")


def draw_jpeg(axes: Axes, results: Results) -> None:
    """Accuracy against kernel size for JPEG."""
    draw_line(axes, points(results, "jpeg_q100", _kernel), "quality 100, window 128")
    for window in ("w128", "w32"):
        draw_line(axes, points(results, "jpeg_q60", _kernel, window), f"quality 60, window {window[1:]}")
    _kernel_axis(axes, "JPEG by kernel size")


def draw_wav(axes: Axes, results: Results) -> None:
    """Accuracy against kernel size for sounds."""
    for part in ("float32", "int32", "int16", "uint8"):
        draw_line(axes, points(results, "wav", _kernel, part), f"WAV {part}")
    for window in ("w128", "w32"):
        draw_line(axes, points(results, "mp3", _kernel, window), f"MP3, window {window[1:]}")
    _kernel_axis(axes, "Sounds by kernel size")


def _kernel_axis(axes: Axes, title: str) -> None:
    axes.set(title=title, xlabel="kernel, bytes", xscale="log")
    axes.set_xticks([4, 8, 16, 32], ["4", "8", "16", "32"], minor=False)
    axes.set_xticks([], minor=True)


def draw_order(axes: Axes, results: Results) -> None:
    """Accuracy for each order of the bytes."""
    twins = [twin for twin in TWINS if twin.table.name == "byte_order" and twin.name in results]
    bars = [(twin.label, mean(100 * result["top1"] for result in results[twin.name])) for twin in twins]
    bars.sort(key=lambda bar: -bar[1])
    axes.bar([name for name, _ in bars], [value for _, value in bars], color="tab:blue", width=0.6)
    axes.set(title="Order of a JPEG file's bytes")


PLOTS: dict[str, Callable[[Axes, Results], None]] = {
    "reproduced_camera": draw_camera,
    "reproduced_noise": draw_noise,
    "reproduced_kernel_jpeg": draw_jpeg,
    "reproduced_kernel_sound": draw_wav,
    "reproduced_order": draw_order,
}
"""Name of the picture -> what draws it."""


def draw(name: str, results: Results) -> bytes:
    """One plot, as PNG."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    PLOTS[name](axes, results)
    axes.axhline(10, color="gray", linestyle=":", linewidth=1, label="chance (10 classes)")
    axes.set(ylabel="test accuracy, %", ylim=(0, 100))
    axes.legend(fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def main(args: list[str] | None = None) -> int:
    """Exit code: 0, or 2 after a line on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="the folder results/ that `anybyte reproduce` has written")
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    parser.add_argument("--notes", type=Path, help="Markdown to put in front of the tables")
    options = parser.parse_args(args)
    try:
        results = read_results(options.results)
        notes = options.notes.read_text(encoding="utf-8") if options.notes else ""
        files = {options.out.parent / "pictures" / f"{name}.png": draw(name, results) for name in PLOTS}
        files[options.out] = page(results, notes, list(PLOTS)).encode()
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            print(path)
    except (OSError, ValueError) as error:
        print(f"reproduced_page: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
