"""The table of GLUE: each task by its own metrics, their average, and what the most frequent answer would reach."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import send_to_device

from anybyte.config import DataConfig, PerceiverConfig
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.files.glue import TASKS
from anybyte.tasks import Sample, Sums, add_sums
from anybyte.tasks.glue import Glue, average, glue_config_of, task_of
from anybyte.tasks.glue_parts import Split, open_measured
from anybyte.tasks.sentences import Sentences

_BATCH = 64
_TITLES = {"matthews": "Matthews", "f1": "F1", "pearson": "Pearson", "spearman": "Spearman"}


def evaluate(request: Request) -> Findings:
    """GLUE's metrics, by default on the dev part of each task, or on its test part where it has no dev.

    Raises:
        ValueError: the model is none of GLUE, or a part is missing or has no labels.
        OSError: the data cannot be read.
    """
    model = request.load()
    if not isinstance(model.config, PerceiverConfig):
        raise ValueError(f"{request.name} is no model of GLUE")
    if request.split == "all":
        raise ValueError("--split all is for files: GLUE has dev, test, train and val (held out of train)")
    config = glue_config_of(model.config)
    data = request.recipe.data if request.recipe else DataConfig()
    examples, parts = open_measured(request.path, config, cast("Split | None", request.split), data)
    task = Glue(model.config, config)
    with torch.autocast(request.device.type, torch.bfloat16, enabled=request.precision == "bf16"):
        sums = _measure(request, model, task, examples)
    metrics, baseline = task.summarise(sums), task.summarise(most_frequent(sums))
    counts = {part: len(sums[f"{part}/labels"]) for part in task.parts(sums)}
    numbers: dict[str, Any] = {
        "conditioning": config.conditioning,
        "tasks": {
            part: {
                "part": parts[part],
                "examples": counts[part],
                **{name: metrics[f"{part}_{name}"] for name in TASKS[task_of(part)].metrics},
                "baseline": {name: baseline[f"{part}_{name}"] for name in TASKS[task_of(part)].metrics},
            }
            for part in counts
        },
        "average": metrics["average"],
        "baseline_average": average(baseline),
        "loss": metrics["loss"],
    }
    told = f"{', '.join(config.tasks)} ({config.conditioning})"
    return Findings(about={"data": request.path, "tasks": told}, text=table(numbers), numbers=numbers)


def table(numbers: dict[str, Any]) -> str:
    """The numbers of `evaluate` as text, in hundredths as GLUE writes them."""
    rows: list[tuple[str, ...]] = [("task", "part", "examples", "metric", "model", "most frequent answer")]
    for part, found in numbers["tasks"].items():
        for number, name in enumerate(TASKS[task_of(part)].metrics):
            head = (title_of(part), found["part"], f"{found['examples']:,}") if number == 0 else ("", "", "")
            rows.append((*head, _TITLES.get(name, name), _percent(found[name]), _percent(found["baseline"][name])))
    rows.append(("average", "", "", "", _percent(numbers["average"]), _percent(numbers["baseline_average"])))
    return columns(rows)


def title_of(part: str) -> str:
    """What a part of a task is called: `MNLI mismatched`."""
    title = TASKS[task_of(part)].title
    return title if part == task_of(part) else f"{title} mismatched"


def most_frequent(sums: Sums) -> Sums:
    """What would have been measured if each answer were the most frequent label of its part; of scores, the mean."""
    found = dict(sums)
    for key in [name for name in sums if name.endswith("/labels")]:
        labels, part = sums[key], key.removesuffix("/labels")
        is_score = TASKS[task_of(part)].labels is None
        answer = float(np.mean(labels)) if is_score else Counter(labels).most_common(1)[0][0]
        found[f"{part}/answers"] = [answer] * len(labels)
    return found


def _measure(request: Request, model: torch.nn.Module, task: Glue, examples: Sentences) -> Sums:
    """In order of length: short texts are not padded to the length of long ones."""
    sums: Sums = {}
    order = np.argsort(examples.sizes(), kind="stable").tolist()
    with torch.no_grad():
        for first in range(0, len(order), _BATCH):
            indices = order[first : first + _BATCH]
            batch = [Sample(*examples.read(index, None), np.random.default_rng(0)) for index in indices]
            add_sums(sums, task.measure(model, *send_to_device(task.collate(batch), request.device)))
            if request.progress is not None:
                request.progress(first + len(batch), len(order))
    return sums


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"
