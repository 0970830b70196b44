"""Which of GLUE's examples a model learns from, and which it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from anybyte.config import DataConfig, GlueConfig
from anybyte.files.glue import TASKS, UNKNOWN, Example, find_part, read_examples
from anybyte.tasks import ExampleSplits
from anybyte.tasks.sentences import Sentences

Split = Literal["dev", "test", "val", "train"]


def open_training(data: DataConfig, config: GlueConfig) -> tuple[ExampleSplits, tuple[str, ...]]:
    """What to train on and what to choose by, and notes for the user.

    A share `data.val_fraction` of the train part is held out to choose by, so that dev and test are looked at once,
    when everything is chosen. Where it is 0, as in papers, the dev part is chosen by.

    Raises:
        ValueError: a task without a train part, or a file that does not fit its task.
        OSError: a folder or a file cannot be read.
    """
    if not 0 <= data.val_fraction < 1:
        raise ValueError(f"data.val_fraction must be at least 0 and below 1, got {data.val_fraction}")
    problems: list[str] | None = [] if data.on_error == "skip" else None
    train: dict[str, Sequence[Example]] = {}
    val: dict[str, Sequence[Example]] = {}
    notes = []
    for task in config.tasks:
        examples = read_part(data.path, task, "train", problems)[task]
        train[task], val[task] = divide(examples, data.val_fraction, f"{data.split_seed}:{task}")
        if not data.val_fraction:
            found = read_part(data.path, task, "dev", problems, may_lack=True)
            val |= found
            notes += [] if found else [f"{TASKS[task].title} has no dev part in {data.path}: it is not validated"]
    if config.max_val is not None and config.max_val < 1:
        raise ValueError(f"task.max_val must be at least 1, or None for all, got {config.max_val}")
    val = {part: examples[: config.max_val] for part, examples in val.items()}
    if problems:
        notes.append(f"{len(problems):,} lines were left out, the first: {problems[0]}")
    return ExampleSplits(Sentences(train, config, True), Sentences(val, config, False)), tuple(notes)


def open_measured(
    path: str, config: GlueConfig, split: Split | None, data: DataConfig
) -> tuple[Sentences, dict[str, str]]:
    """The examples to measure on, and by part of a task the name of the file they are of.

    Args:
        path: folder of GLUE.
        config: names the tasks.
        split: `val` and `train` are the two halves of what a run with `data` was given to train on. None: dev, where
            there is one, otherwise test.
        data: of the run.

    Raises:
        ValueError: a task without this part, or without labels in it; the message names it.
        OSError: a folder or a file cannot be read.
    """
    problems: list[str] | None = [] if data.on_error == "skip" else None
    parts: dict[str, Sequence[Example]] = {}
    names: dict[str, str] = {}
    for task in config.tasks:
        if split in ("val", "train"):
            kept, held = divide(
                read_part(path, task, "train", problems)[task], data.val_fraction, f"{data.split_seed}:{task}"
            )
            found: dict[str, list[Example]] = {task: kept if split == "train" else held}
            if not found[task]:
                raise ValueError(
                    f"no example of {TASKS[task].title} in {path} is in the {split} part: data.val_fraction is "
                    f"{data.val_fraction:g}; --split dev"
                )
            kind: str = split
        else:
            kind = split or ("test" if find_part(path, task, "test") and not find_part(path, task, "dev") else "dev")
            found = read_part(path, task, kind, problems)
        for part, examples in found.items():
            if all(row.label == UNKNOWN for row in examples):
                raise ValueError(f"the {kind} part of {TASKS[task].title} in {path} has no labels: choose --split dev")
            parts[part], names[part] = examples, kind
    return Sentences(parts, config, False), names


def read_part(
    path: str, task: str, part: str, problems: list[str] | None, may_lack: bool = False
) -> dict[str, list[Example]]:
    """A part of a task, with MNLI's mismatched one as a second; `may_lack`: nothing where it is not there.

    Raises:
        ValueError: it is not there, or cannot be used.
        OSError: it cannot be read.
    """
    files = find_part(path, task, part)
    if not files and not may_lack:
        raise ValueError(f"{path} has no {part} part of {TASKS[task].title}, such as {part}.jsonl or {part}.tsv")
    return {name: read_examples(file, task, problems) for name, file in files}


def divide(examples: Sequence[Example], share: float, salt: str) -> tuple[list[Example], list[Example]]:
    """(kept, held out) of the examples, in their order; drawn by a hash of the sentences, so that equal ones stay
    together."""
    kept: list[Example] = []
    held: list[Example] = []
    for row in examples:
        text = b"%s\0%s\0%s" % (salt.encode(), row.sentence1, row.sentence2 or b"")
        lot = int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / 2**64
        (held if lot < share else kept).append(row)
    return kept, held
