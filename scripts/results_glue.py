"""Fine-tune a small language model on six tasks of GLUE in four ways, measure each, and write the page of results.

    python scripts/results_glue.py run --data glue/ --language runs/language_bytes --runs runs/glue
    python scripts/results_glue.py page --runs runs/glue
    python scripts/results_glue.py page

`run` trains and evaluates whatever is not there yet, each model in a process of its own. `page` gathers the numbers of
the runs in docs/results/glue.json and writes docs/results/glue.md from that file; without `--runs` from the file
alone. No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finished_runs import COST, anybyte, processor_seconds

from anybyte.evaluate.glue import title_of
from anybyte.files.glue import TASKS
from anybyte.models.find import find_model
from anybyte.recipes.small.glue import SIX
from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log

DATA = Path("docs/results/glue.json")
PAGE = Path("docs/results/glue.md")
HARDWARE = "2 cores of an AMD EPYC (Zen 4), shared; one thread a run; torch 2.13 CPU"
COLUMNS = {
    "single": "one model a task",
    "shared": "one shared token",
    "tokens": "a token a task",
    "queries": "a query a task",
    "random": "a query a task, from random weights",
}
"""Column -> what it is called."""
_PAGE = """\
# GLUE, small

Made by `python scripts/results_glue.py page` from [glue.json](glue.json); no number here is typed by hand.

Six tasks of GLUE, by a Perceiver IO of {parameters:,} parameters that reads bytes. It was trained as a masked language
model before (`{recipe}`, {minutes:.0f} minutes, {bits_per_byte:.2f} bits per masked byte on its validation text). Here
it is fine-tuned in four ways (Jaegle et al. 2022, section 4.1, table 3): one model for each task, or one for all that
is told what to answer by one token which all tasks share before the sentences, by a token of its own for each task, or
by a learned query for each. Sentences are bare bytes, with one `[SEP]` between two, cut to the length that the recipe
says.{missing}

Settings were chosen on a tenth of each train part that was held out of training, and so were the weights that each run
keeps. The dev part (of MRPC, which has none here, the official test part) was measured once, at the end. Numbers are
in hundredths, bold where they are above *most frequent*: what one answer for all would reach.

{table}

## Above the most frequent answer

{compared}

## The runs

| run | recipe | seed | epochs | steps | minutes | of a processor | average held out of train |
|---|---|---|---|---|---|---|---|
{runs}

Hardware: {hardware}. The processor's minutes hold reading, validation and evaluation as well.

```sh
python scripts/results_glue.py run --data glue/ --language runs/language_bytes --runs runs/glue
python scripts/results_glue.py page --runs runs/glue
```

SST-2's train part has phrases of the sentences that are held out of it here, so its held-out number is too good. QNLI's
train part here is a sample of 9,999 of GLUE's, MRPC's is GLUE's train and dev parts together.
"""
_COMPARED = ("sst2", "qnli", "mrpc")
_METRICS = {"matthews": "Matthews", "f1": "F1", "accuracy": "accuracy", "pearson": "Pearson", "spearman": "Spearman"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One run: what it is called, its recipe, and whether it starts from the language model."""

    name: str
    recipe: str
    column: str
    pretrained: bool = True


PLAN = (
    *(Row(f"single_{task}", f"small/glue/single/{task}", "single") for task in SIX),
    *(Row(way, f"small/glue/{way}", way) for way in ("shared", "tokens", "queries")),
    Row("random", "small/glue/queries", "random", pretrained=False),
)


def main(args: list[str] | None = None) -> int:
    """Trains, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run", help="train and evaluate")
    runs.add_argument("--data", type=Path, required=True, metavar="GLUE", help="folder with one folder a task")
    runs.add_argument("--language", type=Path, required=True, metavar="RUN", help="the masked language model")
    runs.add_argument("--runs", type=Path, required=True, metavar="DIR", help="folder of the runs")
    names = [row.name for row in PLAN]
    runs.add_argument("--rows", nargs="+", choices=names, default=names, metavar="ROW", help=f"of {', '.join(names)}")
    page = verbs.add_parser("page", help="write the page")
    page.add_argument("--runs", type=Path, metavar="DIR", help="folder of the runs (none: the numbers in the JSON)")
    page.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page.add_argument("--out", type=Path, default=PAGE, help=f"the page ({PAGE})")
    options = parser.parse_args(args)
    if options.verb == "run":
        for row in PLAN:
            if row.name in options.rows and not (options.runs / row.name / "evaluation" / "report.json").exists():
                run_row(row, options.data, options.language, options.runs / row.name)
        return 0
    if options.runs is not None:
        content = gather(options.runs)
        write_atomically(options.json, (json.dumps(content, indent=1) + "\n").encode())
    content = json.loads(options.json.read_text(encoding="utf-8"))
    write_atomically(options.out, to_markdown(content).encode())
    return 0


def run_row(row: Row, data: Path, language: Path, out: Path) -> None:
    """Trains and measures one row in processes of their own; the seconds of a processor go to `cost.json`."""
    options = ["--data", str(data), "--out", str(out), "--run.threads", "1"]
    if row.pretrained:
        options += ["--run.init_from", str(language)]
    out.mkdir(parents=True, exist_ok=True)
    before = processor_seconds()
    anybyte("train", row.recipe, *options)
    trained = processor_seconds()
    anybyte("evaluate", str(out))
    cost = {"train_minutes": (trained - before) / 60, "evaluate_minutes": (processor_seconds() - trained) / 60}
    write_atomically(out / COST, (json.dumps(cost) + "\n").encode())


def gather(runs: Path) -> dict[str, Any]:
    """The numbers of all runs that are there, and of the language model that they start from.

    Raises:
        ValueError: there is no run, or they do not start from one model.
    """
    rows: dict[str, Any] = {}
    starts = set()
    for row in PLAN:
        folder = runs / row.name
        if not (folder / "evaluation" / "report.json").exists():
            continue
        report = json.loads((folder / "evaluation" / "report.json").read_text(encoding="utf-8"))
        recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        log = read_log(folder / "log.jsonl")
        if row.pretrained:
            starts.add(recipe["run"]["init_from"])
        rows[row.name] = {
            "column": row.column,
            "recipe": row.recipe,
            "seed": recipe["run"]["seed"],
            "epochs": recipe["run"]["epochs"],
            "steps": max(line["step"] for line in log),
            "minutes": max(line["minutes"] for line in log if "minutes" in line),
            "validation": max(line["average"] for line in log if line["event"] == "validation"),
            "average": report["average"],
            "tasks": report["tasks"],
            **_cost(folder),
        }
    if not rows:
        raise ValueError(f"{runs} holds no run that was trained and evaluated: `results_glue.py run` makes them")
    if len(starts) > 1:
        raise ValueError(f"the runs in {runs} start from different models: {', '.join(sorted(map(str, starts)))}")
    return {"hardware": HARDWARE, "language": _language(starts), "rows": rows}


def to_markdown(content: dict[str, Any]) -> str:
    """The page."""
    rows, language = content["rows"], content["language"]
    columns = [column for column in COLUMNS if any(row["column"] == column for row in rows.values())]
    parts = sorted({part for row in rows.values() for part in row["tasks"]}, key=_order)
    missing = [row.name for row in PLAN if row.name not in rows]
    return _PAGE.format(
        **language,
        hardware=content["hardware"],
        missing=f" Still to be run: {', '.join(missing)}." if missing else "",
        table=_table(rows, columns, parts),
        compared="\n".join(_compared(rows, columns)),
        runs="\n".join(_run_line(name, row) for name, row in rows.items()),
    )


def _table(rows: dict[str, Any], columns: Sequence[str], parts: Sequence[str]) -> str:
    heads = ["task", "part", "metric", "most frequent", *(COLUMNS[column] for column in columns)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for part in parts:
        found = {column: _of(rows, column, part) for column in columns}
        some = next(one for one in found.values() if one)
        for name in TASKS[part.removesuffix("_mm")].metrics:
            cells = [_cell(one, name) for one in found.values()]
            where = f"{some['part']}, {some['examples']:,}"
            base = _percent(some["baseline"][name])
            lines.append(f"| {' | '.join([title_of(part), where, _METRICS[name], base, *cells])} |")
    averages = [_percent(_average(rows, column, parts)) for column in columns]
    lines.append(f"| average | | | {_percent(_baseline(rows, columns, parts))} | {' | '.join(averages)} |")
    return "\n".join(lines)


def _run_line(name: str, row: dict[str, Any]) -> str:
    processor = row["train_minutes"] + row["evaluate_minutes"]
    cells = (f"`{row['recipe']}`", row["seed"], row["epochs"], f"{row['steps']:,}", f"{row['minutes']:.1f}")
    return f"| {' | '.join(map(str, (name, *cells, f'{processor:.1f}', _percent(row['validation']))))} |"


def _of(rows: dict[str, Any], column: str, part: str) -> dict[str, Any] | None:
    """What a column has measured of a part."""
    return next((row["tasks"][part] for row in rows.values() if row["column"] == column and part in row["tasks"]), None)


def _cell(found: dict[str, Any] | None, name: str) -> str:
    if found is None:
        return "not run"
    text = _percent(found[name])
    return f"**{text}**" if found[name] > found["baseline"][name] else text


def _average(rows: dict[str, Any], column: str, parts: Sequence[str], baseline: bool = False) -> float | None:
    """GLUE's average over the parts; None if one is missing."""
    means: list[float] = []
    for part in parts:
        found = _of(rows, column, part)
        if found is None:
            return None
        metrics = TASKS[part.removesuffix("_mm")].metrics
        values = [(found["baseline"] if baseline else found)[name] for name in metrics]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def _baseline(rows: dict[str, Any], columns: Sequence[str], parts: Sequence[str]) -> float | None:
    values = [_average(rows, column, parts, baseline=True) for column in columns]
    return next((value for value in values if value is not None), None)


def _compared(rows: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """A line for each task that must be: which ways are above the most frequent answer in accuracy."""
    lines = []
    for part in _COMPARED:
        found = {column: _of(rows, column, part) for column in columns}
        above = [COLUMNS[c] for c, one in found.items() if one and one["accuracy"] > one["baseline"]["accuracy"]]
        below = [COLUMNS[c] for c, one in found.items() if one and one["accuracy"] <= one["baseline"]["accuracy"]]
        if above or below:
            rest = f"; not above: {', '.join(below)}" if below else ""
            lines.append(f"- {title_of(part)} (accuracy): {', '.join(above) or 'none'}{rest}.")
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _order(part: str) -> tuple[int, str]:
    return list(TASKS).index(part.removesuffix("_mm")), part


def _cost(folder: Path) -> dict[str, float]:
    path = folder / COST
    return json.loads(path.read_text()) if path.exists() else {"train_minutes": 0.0, "evaluate_minutes": 0.0}


def _language(starts: set[str]) -> dict[str, Any]:
    """What the language model's run says of it."""
    if not starts:
        raise ValueError("no run starts from a language model")
    folder = find_model(starts.pop())
    run = folder.parent if (folder.parent / "recipe.json").exists() else folder
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    validations = [line for line in read_log(run / "log.jsonl") if line["event"] == "validation"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    return {
        "recipe": recipe["name"],
        "minutes": max(line["minutes"] for line in validations),
        "bits_per_byte": min(line["bits_per_byte"] for line in validations),
        "parameters": int(card.partition("| parameters | ")[2].partition(" |")[0].replace(",", "")),
    }


if __name__ == "__main__":
    sys.exit(main())
