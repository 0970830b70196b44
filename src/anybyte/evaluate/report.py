"""An evaluation on paper: `report.json` for programs, `report.md` for people, `report.png` to look at."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybyte.evaluate.metrics import NUM_BINS
from anybyte.evaluate.runner import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NUM_CONFUSIONS = 10
_MOST_TICKS = 40
"""More classes than this and their names would overlap beside the matrix."""
_MOST_COUNTS = 15
"""More classes than this and the counts would not fit into its cells."""


def write_report(
    evaluation: Evaluation, folder: str | os.PathLike[str], about: Mapping[str, str] | None = None
) -> None:
    """Writes `report.json`, `report.md` and `report.png` into `folder`, which is made if need be.

    Args:
        evaluation: what to report.
        folder: where to; earlier reports there are replaced once all three files are written.
        about: what was evaluated, for the report's head, such as the model and the data.

    Raises:
        OSError: the folder cannot be written; the message names the file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        folder / "report.json": to_json(evaluation, about).encode(),
        folder / "report.md": to_markdown(evaluation, about).encode("utf-8", "backslashreplace"),
        folder / "report.png": to_png(evaluation),
    }
    drafts = {path: folder / f".{path.name}.{os.getpid()}" for path in contents}
    try:
        for path, draft in drafts.items():
            with _naming(path):
                draft.write_bytes(contents[path])
        for path, draft in drafts.items():
            with _naming(path):
                os.replace(draft, path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def summarise(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The main numbers, each with its name, as text."""
    top5 = f"{evaluation.top5:.2%}" + (" (there are no more than five classes)" if len(evaluation.labels) <= 5 else "")
    return [
        ("top-1 accuracy", f"{evaluation.top1:.2%}"),
        ("top-5 accuracy", top5),
        ("mean loss", f"{evaluation.loss:.4f} nats"),
        ("macro F1", f"{evaluation.macro_f1:.4f}"),
        (f"calibration error ({NUM_BINS} bins)", f"{evaluation.ece:.4f}"),
        ("files", f"{evaluation.files:,} ({evaluation.bytes:,} bytes)"),
        (
            "speed",
            f"{evaluation.files_per_second:,.1f} files/s, {evaluation.bytes_per_second / 1e6:,.2f} MB/s, "
            f"{evaluation.seconds:,.1f} s in all",
        ),
        *((f"top-1 on {part.name}", f"{part.top1:.2%} of {part.files:,} files") for part in evaluation.sources),
    ]


def to_json(evaluation: Evaluation, about: Mapping[str, str] | None = None) -> str:
    """Every number of the evaluation, as one object."""
    rates = {name: getattr(evaluation, name) for name in ("files_per_second", "bytes_per_second")}
    values = {**dataclasses.asdict(evaluation), **rates, "absent": evaluation.absent, "ece_bins": NUM_BINS}
    return json.dumps({"about": dict(about or {}), **values}, indent=2) + "\n"


def to_markdown(evaluation: Evaluation, about: Mapping[str, str] | None = None) -> str:
    """A page: the main numbers, a row a class, what is taken for what, and the most confident mistakes."""
    sections = [
        "# Evaluation\n",
        _table(("what", "value"), [*(about or {}).items(), *summarise(evaluation)]),
        "![confusion matrix and reliability](report.png)\n",
        "## Classes\n",
        _table(
            ("class", "precision", "recall", "F1", "files"),
            [
                (row.label, f"{row.precision:.4f}", f"{row.recall:.4f}", f"{row.f1:.4f}", str(row.support))
                for row in evaluation.classes
            ],
        ),
    ]
    if evaluation.absent:
        sections.append(f"No files in this data: {_escape(', '.join(evaluation.absent))}.\n")
    if confusions := _confusions(evaluation):
        sections += ["## Most frequent confusions\n", _table(("class", "taken for", "files"), confusions)]
    if evaluation.mistakes:
        rows = [(row.path, row.label, row.answer, f"{row.confidence:.4f}") for row in evaluation.mistakes]
        sections += ["## Most confident mistakes\n", _table(("file", "class", "answer", "probability"), rows)]
    if evaluation.skipped:
        sections += ["## Files left out\n", _table(("file", "why"), evaluation.skipped)]
    return "\n".join(sections)


def to_png(evaluation: Evaluation) -> bytes:
    """The confusion matrix beside the reliability diagram."""
    from matplotlib.figure import Figure  # half a second of imports; a Figure of its own touches no global state

    side = min(12.0, 4.0 + 0.18 * len(evaluation.labels))
    figure = Figure(figsize=(side + 5.5, side), layout="constrained")
    matrix, reliability = figure.subplots(1, 2, width_ratios=(side, 4.5))
    _draw_confusion(matrix, evaluation)
    _draw_reliability(reliability, evaluation)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a class may be named in any script
        figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors in writing name the file: a full disk does not say whose."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot be written ({error.strerror})", str(path)) from error


def _confusions(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """The most frequent pairs (class, answer, files) of different classes."""
    labels = evaluation.labels
    pairs = [
        (-files, truth, answer)
        for truth, row in enumerate(evaluation.confusion)
        for answer, files in enumerate(row)
        if files and truth != answer
    ]
    return [(labels[truth], labels[answer], str(-files)) for files, truth, answer in sorted(pairs)[:_NUM_CONFUSIONS]]


def _table(heads: tuple[str, ...], rows: Any) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(map(_escape, row)) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _escape(text: str) -> str:
    """`text` as it is in Markdown, in one line: names of files and classes may hold anything."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return "".join(f"\\{char}" if char in "\\`*_[]<>|" else char for char in plain)


def _draw_confusion(axes: Axes, evaluation: Evaluation) -> None:
    labels, counts = evaluation.labels, evaluation.confusion
    shares = [[files / max(1, sum(row)) for files in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title="Confusion (share of each class)", xlabel="answer", ylabel="class")
    if len(labels) <= _MOST_TICKS:
        axes.set_xticks(range(len(labels)), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(len(labels)), labels, parse_math=False)
    if len(labels) <= _MOST_COUNTS:
        for truth, row in enumerate(counts):
            for answer, files in enumerate(row):
                color = "white" if shares[truth][answer] > 0.5 else "black"
                axes.text(answer, truth, str(files), ha="center", va="center", color=color, fontsize=8)


def _draw_reliability(axes: Axes, evaluation: Evaluation) -> None:
    filled = [bin for bin in evaluation.bins if bin.files]
    width = 1 / NUM_BINS
    axes.bar([bin.lower for bin in filled], [bin.accuracy for bin in filled], width, align="edge", edgecolor="white")
    axes.plot([0, 1], [0, 1], linestyle="--", color="gray", label="calibrated")
    axes.plot([bin.confidence for bin in filled], [bin.accuracy for bin in filled], "o", color="black", markersize=3)
    axes.set(
        title=f"Reliability (calibration error {evaluation.ece:.3f})",
        xlabel="probability of the answer",
        ylabel="accuracy",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    axes.legend(loc="upper left")
