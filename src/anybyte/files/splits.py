"""Which files a model learns from, and which it is tested on."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from anybyte.files.listing import PARTS, Part, Record


def divide(records: Sequence[Record], val_fraction: float, test_fraction: float, seed: int) -> dict[Part, list[Record]]:
    """Train, val and test. Parts that the data set has are taken as they are; the others are drawn.

    A missing test part is drawn from everything, a missing val part from train, each a fixed share of every class. A
    class of three files or more has at least one in each part. A share of 0 makes no val part.

    The draw goes by a hash of seed and file name. It is therefore the same on every machine, whatever the order of the
    files; and a file that is added or removed moves few others between the parts.

    Raises:
        ValueError: a share that is needed is not between 0 and 1, or there is nothing to train on.
    """
    parts: dict[Part, list[Record]] = {
        part: [record for record in records if (record.part or "train") == part] for part in PARTS
    }
    if not parts["train"]:
        found = ", ".join(part for part in PARTS if parts[part]) or "none"
        raise ValueError(f"there is no train part; parts found: {found}")
    if not parts["test"]:
        everything = parts["train"] + parts["val"]
        left = 1 if parts["val"] else 2
        parts["test"] = _draw(everything, _checked("test", test_fraction), f"{seed}:test", left)
        drawn = {record.name for record in parts["test"]}
        parts["train"] = [record for record in parts["train"] if record.name not in drawn]
        parts["val"] = [record for record in parts["val"] if record.name not in drawn]
    if not parts["val"] and val_fraction != 0:
        parts["val"] = _draw(parts["train"], _checked("val", val_fraction), f"{seed}:val", 1)
        drawn = {record.name for record in parts["val"]}
        parts["train"] = [record for record in parts["train"] if record.name not in drawn]
    return parts


def _checked(part: str, fraction: float) -> float:
    if not 0 < fraction < 1:
        raise ValueError(f"data.{part}_fraction is {fraction}; it must be between 0 and 1, as there is no {part} part")
    return fraction


def _draw(records: Iterable[Record], fraction: float, salt: str, left: int) -> list[Record]:
    """A share of each class, at least one file of it, leaving at least `left` of it in each part it is drawn from."""

    def lot(record: Record) -> bytes:
        return hashlib.sha256(f"{salt}:{record.name}".encode("utf-8", "surrogateescape")).digest()

    classes: dict[str | None, list[Record]] = defaultdict(list)
    for record in records:
        classes[record.label].append(record)
    drawn: list[Record] = []
    for files in classes.values():
        wanted = max(1, round(len(files) * fraction))
        remaining = Counter(record.part for record in files)
        for record in sorted(files, key=lot):
            if wanted and remaining[record.part] > left:
                drawn.append(record)
                remaining[record.part] -= 1
                wanted -= 1
    return sorted(drawn, key=lambda record: record.name)


def missing_classes(
    parts: dict[Part, list[Record]], classes: Iterable[str], separator: str | None = None
) -> list[tuple[str, Part]]:
    """Every class that has no file in a part, with the part. A val part without any files is meant to be so.

    Args:
        parts: the files.
        classes: their labels.
        separator: what stands between the classes of a label; the parts that are measured on may then lack some. None:
            a label is a class.
    """
    if separator is not None:
        named = {part: {name for record in parts[part] for name in _named(record, separator)} for part in PARTS}
        return [(name, "train") for name in sorted(named["val"] | named["test"]) if name not in named["train"]]
    held = {part: {record.label for record in parts[part]} for part in PARTS if parts[part] or part != "val"}
    return [(name, part) for name in classes for part in held if name not in held[part]]


def _named(record: Record, separator: str) -> list[str]:
    return [name.strip() for name in (record.label or "").split(separator)]
