"""A bar on stderr for work that takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds of work after which a bar appears: quick work leaves the terminal as it was."""


@contextmanager
def progress_bar(total: int | None, unit: str = "files") -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of files done so far, out of `total` (None: nobody knows)."""
    with _bar(total, unit) as advance:
        yield lambda done: advance(done, total)


@contextmanager
def step_bar(unit: str = "steps") -> Iterator[Callable[[int, int], None] | None]:
    """A function to be called with the numbers of steps done and in all; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with _bar(None, unit) as advance:
        yield advance


@contextmanager
def _bar(total: int | None, unit: str) -> Iterator[Callable[[int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=total)
    start = time.monotonic()

    def advance(done: int, total: int | None) -> None:
        progress.update(task, completed=done, total=total)
        if not progress.live.is_started and time.monotonic() - start > PATIENCE:
            progress.start()

    try:
        yield advance
    finally:
        progress.stop()
