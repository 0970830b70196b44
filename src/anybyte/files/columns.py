"""Which columns of a table hold the files, their labels and their split."""

from __future__ import annotations

from collections.abc import Sequence

BYTES_NAMES = ("bytes", "content", "data", "file", "image", "img", "audio", "sound", "video")
LABEL_NAMES = ("label", "labels", "class", "cls", "category", "target")
SPLIT_NAME = "split"


def pick_column(where: str, what: str, candidates: Sequence[str], usual: Sequence[str], present: Sequence[str]) -> str:
    """The only candidate, or the only one with a usual name.

    Args:
        where: What to call the table in an error.
        what: What is looked for, for the error.
        candidates: Columns of a type that would do.
        usual: Names that tell. The first of them tells more than the others together.
        present: All columns, for the error.

    Raises:
        ValueError: there is none, or it is not clear which.
    """
    named = [name for name in candidates if name.lower() in usual]
    if first := [name for name in named if name.lower() == usual[0]]:
        return first[0]
    if len(named) == 1:
        return named[0]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise ValueError(f"{where}: no column with {what}; there are: {', '.join(present) or 'none'}")
    raise ValueError(
        f"{where}: several columns may hold {what}: {', '.join(named or candidates)}; "
        f"keep one, or name one of them {usual[0]!r}"
    )


def label_text(where: str, value: str | int | None, names: Sequence[str] | None) -> str | None:
    """A label as a class name. None: not labelled (null, or the hub's -1).

    Raises:
        ValueError: a number without a name.
    """
    if value is None or (names is not None and value == -1):
        return None
    if names is None or isinstance(value, str):
        return str(value)
    if not 0 <= value < len(names):
        raise ValueError(f"{where}: label {value}, but there are names for 0 to {len(names) - 1}")
    return names[value]
