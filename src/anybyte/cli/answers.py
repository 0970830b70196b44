"""The forms in which `anybyte classify` gives its answers: for people, and for programs.

Each form is a function that draws answers one by one and writes them as they come. Files that failed are told on stderr
by the caller; the forms for programs hold them as well.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable
from typing import TextIO, TypeAlias

from anybyte.cli import describe, printable
from anybyte.predictor import Failure, Prediction

Answer: TypeAlias = Prediction | Failure
Form: TypeAlias = Callable[[Iterable[Answer], TextIO, int], None]

_BLOCK = 200
"""Rows of a table laid out together: a folder of a million files still scrolls by as it is read."""


def name_of(answer: Answer) -> str:
    """The path as it was given; `-` for standard input."""
    return "-" if answer.path is None else answer.path


def write_lines(answers: Iterable[Answer], out: TextIO, top: int) -> None:
    """`path: label (score)`, with more labels behind it if more were asked for."""
    for answer in answers:
        if isinstance(answer, Prediction):
            print(f"{printable(name_of(answer))}: {printable(answer.label)} {_scores(answer, top)}", file=out)


def write_table(answers: Iterable[Answer], out: TextIO, top: int) -> None:
    """Aligned columns under a heading."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False)
    predictions = (answer for answer in answers if isinstance(answer, Prediction))
    widths = {"file": 0, "label": 0}
    for number in itertools.count():
        block = list(itertools.islice(predictions, _BLOCK))
        if not block:
            return
        table = Table(box=None, show_header=number == 0, pad_edge=False, header_style="bold")
        cells = {
            "file": [Text(printable(name_of(answer)), overflow="fold") for answer in block],
            "label": [Text(printable(answer.label)) for answer in block],
        }
        for column, texts in cells.items():  # as wide as in the blocks above
            widest = max(widths[column], len(column), *(text.cell_len for text in texts))
            widths[column] = min(widest, console.width // 2)
            table.add_column(column, min_width=widths[column])
        table.add_column("score", justify="right", min_width=5)
        if top > 1:
            table.add_column("top")
        for name, label, answer in zip(*cells.values(), block, strict=True):
            more = [Text(_scores(answer, top))] if top > 1 else []
            table.add_row(name, label, Text(f"{answer.score:.3f}"), *more)
        console.print(table)


def write_json(answers: Iterable[Answer], out: TextIO, top: int) -> None:
    """One array of objects, an object a file."""
    separator = "[\n"
    for answer in answers:
        out.write(separator + json.dumps(_fields(answer)))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def write_jsonl(answers: Iterable[Answer], out: TextIO, top: int) -> None:
    """One object a line, a line a file."""
    for answer in answers:
        out.write(json.dumps(_fields(answer)) + "\n")
        out.flush()


def write_csv(answers: Iterable[Answer], out: TextIO, top: int) -> None:
    """Columns path, label, score, error, and from the second most probable label on label_2, score_2, ..."""
    more = [f"{column}_{rank}" for rank in range(2, top + 1) for column in ("label", "score")]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "label", "score", "error", *more])
    for answer in answers:
        if isinstance(answer, Failure):
            writer.writerow([name_of(answer), "", "", describe(answer.error), *[""] * len(more)])
            continue
        others = [value for pair in answer.top[1:] for value in pair]
        writer.writerow([name_of(answer), answer.label, answer.score, "", *others, *[""] * (len(more) - len(others))])


FORMS: dict[str, Form] = {"json": write_json, "jsonl": write_jsonl, "csv": write_csv}
"""Option -> form, of those for programs."""


def _fields(answer: Answer) -> dict[str, object]:
    if isinstance(answer, Failure):
        return {"path": name_of(answer), "error": describe(answer.error)}
    top = [{"label": label, "score": score} for label, score in answer.top]
    return {"path": name_of(answer), "label": answer.label, "score": answer.score, "top": top}


def _scores(answer: Prediction, top: int) -> str:
    """`(0.912)`; with several labels all of them, in brackets where the answer itself is `unknown`."""
    if top == 1:
        return f"({answer.score:.3f})"
    return "[" + ", ".join(f"{printable(label)} {score:.3f}" for label, score in answer.top) + "]"
