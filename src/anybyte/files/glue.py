"""GLUE (Wang et al. 2019, arXiv 1804.07461) as it lies on disk: one folder a task, as JSON lines or as GLUE's own TSV.

A sentence is the bytes between two tabs, or what a JSON string stands for: it need not be UTF-8. In JSON lines each
line has `sentence1`, `sentence2` unless the task has one sentence, and `label`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

UNKNOWN = -1.0
"""The label of an example whose label is not given, as in GLUE's own test parts."""


class Example(NamedTuple):
    """One sentence or two, as bytes, and the answer: the index of a class, or a score."""

    sentence1: bytes
    sentence2: bytes | None
    label: float


@dataclass(frozen=True)
class GlueTask:
    """What a task asks, and how its files say it.

    Attributes:
        title: as papers write it, and the name of GLUE's folder.
        labels: names of the classes by index, as GLUE's TSV writes them. None: a score from 0 to 5.
        sentences: columns of the sentences in GLUE's TSV: names, or places from 0 where there is no header.
        label: column of the answer.
        metrics: GLUE's own for it; its score is their mean.
    """

    title: str
    labels: tuple[str, ...] | None
    sentences: tuple[str, ...] | tuple[int, ...]
    label: str | int
    metrics: tuple[str, ...] = ("accuracy",)

    @property
    def num_outputs(self) -> int:
        """Logits, or the one number of a score."""
        return 1 if self.labels is None else len(self.labels)


_ENTAILS = ("entailment", "not_entailment")
TASKS: dict[str, GlueTask] = {
    "cola": GlueTask("CoLA", ("0", "1"), (3,), 1, ("matthews",)),
    "sst2": GlueTask("SST-2", ("0", "1"), ("sentence",), "label"),
    "mrpc": GlueTask("MRPC", ("0", "1"), ("#1 String", "#2 String"), "Quality", ("f1", "accuracy")),
    "stsb": GlueTask("STS-B", None, ("sentence1", "sentence2"), "score", ("pearson", "spearman")),
    "qqp": GlueTask("QQP", ("0", "1"), ("question1", "question2"), "is_duplicate", ("f1", "accuracy")),
    "mnli": GlueTask("MNLI", ("entailment", "neutral", "contradiction"), ("sentence1", "sentence2"), "gold_label"),
    "qnli": GlueTask("QNLI", _ENTAILS, ("question", "sentence"), "label"),
    "rte": GlueTask("RTE", _ENTAILS, ("sentence1", "sentence2"), "label"),
    "wnli": GlueTask("WNLI", ("0", "1"), ("sentence1", "sentence2"), "label"),
}
"""Name -> task: one table of columns for all readers."""

_FILES = {
    "train": ("train.jsonl", "train_subset.jsonl", "train.tsv", "msr_paraphrase_train.txt"),
    "dev": ("dev.jsonl", "dev_subset.jsonl", "dev_matched.jsonl", "dev.tsv", "dev_matched.tsv"),
    "test": ("test.jsonl", "test_matched.jsonl", "msr_paraphrase_test.txt", "test.tsv", "test_matched.tsv"),
}
"""Part -> what its file may be called; the first that is there is taken."""
_MISMATCHED = {
    "train": (),
    "dev": ("dev_mismatched.jsonl", "dev_mismatched.tsv"),
    "test": ("test_mismatched.jsonl", "test_mismatched.tsv"),
}
"""The same for MNLI's second part of each."""
_BOM = b"\xef\xbb\xbf"


def find_task_folder(path: str | Path, task: str) -> Path:
    """The folder of a task in a folder of GLUE: `sst2`, `SST-2` and the like; or `path`, if it is that itself.

    Raises:
        OSError, ValueError: there is none; the message names both.
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(2, "no such folder of GLUE", str(path))
    for folder in (*sorted(item for item in root.iterdir() if item.is_dir()), root):
        if _plain(folder.name) == task:
            return folder
    raise ValueError(f"{path} has no folder of the task {task!r}: expected {root / task} or {root / TASKS[task].title}")


def find_part(path: str | Path, task: str, part: str) -> list[tuple[str, Path]]:
    """The files of a part, each with what it is called: `task`, and `task_mm` for MNLI's mismatched one.

    Args:
        path: a folder of GLUE, or that of the task.
        task: its name.
        part: train, dev or test.

    Returns:
        One, two, or none where the part is not there.

    Raises:
        OSError, ValueError: there is no folder of the task.
    """
    folder = find_task_folder(path, task)
    wanted = {task: _FILES[part]} | ({f"{task}_mm": _MISMATCHED[part]} if task == "mnli" else {})
    found = []
    for name, files in wanted.items():
        there = [folder / file for file in files if (folder / file).is_file()]
        found += [(name, file) for file in there[:1]]
    return found


def read_examples(path: str | Path, task: str, problems: list[str] | None = None) -> list[Example]:
    """The examples of a file, in its order.

    Args:
        path: `.jsonl`, or GLUE's own TSV.
        task: its name.
        problems: lines that cannot be used are left out, and their errors put here. None: the first one is raised.

    Raises:
        ValueError: no such column, a label that the task does not have, or an empty sentence; the message names the
            file, the line and the column.
        OSError: the file cannot be read.
    """
    file = Path(path)
    data = file.read_bytes().removeprefix(_BOM)
    # Not `splitlines`: a sentence may hold any other of Unicode's line ends.
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if lines and not lines[-1]:
        lines.pop()
    reader = _Json(file, task) if file.suffix in (".jsonl", ".json") else _Tsv(file, task, lines)
    examples = []
    for number, line in enumerate(lines[reader.first :], start=reader.first + 1):
        try:
            examples.append(reader.read(line, number))
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
    if not examples:
        raise ValueError(f"{file}: there is no example of {TASKS[task].title} in it")
    return examples


class _Json:
    """Lines of JSON."""

    first = 0

    def __init__(self, file: Path, task: str) -> None:
        self.file, self.task = file, TASKS[task]
        self.sentences = ("sentence1", "sentence2")[: len(self.task.sentences)]

    def read(self, line: bytes, number: int) -> Example:
        where = f"{self.file}, line {number}"
        try:
            # What is not UTF-8 comes out as the bytes that it was.
            row = json.loads(line.decode("utf-8", "surrogateescape"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected an object with {', '.join((*self.sentences, 'label'))}")
        sentences = [self._sentence(row, name, where) for name in self.sentences]
        extra = "sentence2" if len(sentences) == 1 and row.get("sentence2") is not None else None
        if extra:
            raise ValueError(f"{where}, column {extra!r}: {self.task.title} has one sentence")
        label = row.get("label", UNKNOWN)
        return _example(self.task, sentences, label, f"{where}, column 'label'")

    def _sentence(self, row: dict[str, object], name: str, where: str) -> bytes:
        if name not in row:
            raise ValueError(f"{where}: there is no column {name!r}; there are {', '.join(map(repr, row))}")
        text = row[name]
        if not isinstance(text, str):
            raise ValueError(f"{where}, column {name!r}: expected a sentence, got {text!r}")
        try:
            return _not_empty(text.encode("utf-8", "surrogateescape"), f"{where}, column {name!r}")
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}, column {name!r}: half of a surrogate pair") from error


class _Tsv:
    """GLUE's own files: tabs between columns, no quoting, a header except in CoLA."""

    def __init__(self, file: Path, task: str, lines: Sequence[bytes]) -> None:
        self.file, self.task = file, TASKS[task]
        if not any(lines):
            raise ValueError(f"{file} is empty: expected rows of {self.task.title}, with tabs between columns")
        header = [name.decode("utf-8", "replace").strip() for name in lines[0].split(b"\t")]
        self.first = 1
        if task == "cola" and header != ["index", "sentence"]:
            self.first = 0
            self.columns = {str(place): place for place in range(4)}
            self.count = 4
        else:
            self.columns = {name: place for place, name in enumerate(header)}
            self.count = len(header)
        named = ("sentence",) if task == "cola" and self.first else self.task.sentences
        self.sentences = [self._place(str(name)) for name in named]
        # GLUE's own test parts have no labels.
        self.label = self.columns.get(str(self.task.label)) if self.first or task == "cola" else None
        if self.label is None and not file.name.startswith("test"):
            self._place(str(self.task.label))

    def _place(self, name: str) -> int:
        if name not in self.columns:
            raise ValueError(
                f"{self.file}, line 1: there is no column {name!r} of {self.task.title}; "
                f"there are {', '.join(map(repr, self.columns))}"
            )
        return self.columns[name]

    def read(self, line: bytes, number: int) -> Example:
        where, cells = f"{self.file}, line {number}", line.split(b"\t")
        if len(cells) != self.count:
            raise ValueError(f"{where}: expected {self.count} columns between tabs, got {len(cells)}")
        names = {place: name for name, place in self.columns.items()}
        at = [f"{where}, column {names[place]!r}" for place in self.sentences]
        sentences = [_not_empty(cells[place], here) for place, here in zip(self.sentences, at, strict=True)]
        if self.label is None:
            return _example(self.task, sentences, UNKNOWN, where)
        answer = cells[self.label].decode("utf-8", "replace").strip()
        return _example(self.task, sentences, answer, f"{where}, column {names[self.label]!r}")


def _example(task: GlueTask, sentences: list[bytes], answer: object, where: str) -> Example:
    return Example(sentences[0], sentences[1] if len(sentences) > 1 else None, _label(task, answer, where))


def _label(task: GlueTask, answer: object, where: str) -> float:
    """An answer as a number: of a class its index, which may be written by its name."""
    if answer == UNKNOWN:
        return UNKNOWN
    if task.labels is None:
        try:
            score = float(str(answer))
        except ValueError:
            score = -1.0
        if not 0 <= score <= 5:
            raise ValueError(f"{where}: {task.title} has scores from 0 to 5, got {answer!r}")
        return score
    if isinstance(answer, str) and answer in task.labels:
        return float(task.labels.index(answer))
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(task.labels):
        classes = ", ".join(
            f"{index} ({name})" if name != str(index) else name for index, name in enumerate(task.labels)
        )
        raise ValueError(f"{where}: {task.title} has the labels {classes}, got {answer!r}")
    return float(answer)


def _not_empty(text: bytes, where: str) -> bytes:
    if not text.strip():
        raise ValueError(f"{where}: the sentence is empty")
    return text


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
