"""A bar on stderr for work that takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds of work after which a bar appears: quick work leaves the terminal as it was."""


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of files done so far, out of `total` (None: nobody knows)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), "files", TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=total)
    start = time.monotonic()

    def advance(done: int) -> None:
        progress.update(task, completed=done)
        if not progress.live.is_started and time.monotonic() - start > PATIENCE:
            progress.start()

    try:
        yield advance
    finally:
        progress.stop()
