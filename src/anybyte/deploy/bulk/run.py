"""`run_bulk`: every file of some sources -> one parquet table, also in several goes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from anybyte.deploy.bulk.engines import blocks_of, engine_of, place_of
from anybyte.deploy.bulk.parts import Folder, Parts, begin_anew, finished
from anybyte.deploy.bulk.rows import Job
from anybyte.deploy.bulk.sources import is_url, list_entries, open_sources
from anybyte.models.find import find_model
from anybyte.models.pretrained import CONFIG, LABELS, READING, WEIGHTS


@dataclass(frozen=True)
class Done:
    """What a run has done.

    Attributes:
        rows: of the table: one a file.
        errors: how many of the rows that this run has written hold an error.
        earlier: rows that earlier runs had written.
    """

    rows: int
    errors: int
    earlier: int


def run_bulk(
    names: Sequence[str],
    out: str,
    job: Job,
    engine: str = "local",
    workers: int = 1,
    restart: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Done:
    """Classifies every file of some sources into a parquet table, one row a file.

    Rows are written in parts beside the table, `OUT.parts`. A run that ends early, however it ends, is taken up by the
    next one with the same settings, by any engine. Once all is done, the parts are put together.

    Args:
        names: folders, files, .zip and .tar archives, and URLs of fsspec to any of these.
        out: the table, a path or URL.
        job: what to do with each file.
        engine: `local` or `ray`.
        workers: processes, or actors of Ray, that each hold the model.
        restart: whether to begin anew: table and parts of earlier runs are removed first.
        progress: is called with the number of rows written.

    Raises:
        ValueError: a setting makes no sense, or what is there was done with other settings; the message says which.
        OSError: a source does not exist, or something cannot be written.
    """
    job.check()
    work = engine_of(engine, workers)
    folder = Folder(out)
    sources = open_sources(names, folder.hidden)
    run = settings(names, job)
    with folder.locked(), ExitStack() as stack:
        for source in sources:
            stack.callback(source.close)
        if restart:
            begin_anew(folder)
        elif (rows := finished(folder, run)) is not None:
            folder.remove_parts()  # of a run that was killed after its last step but this
            return Done(rows, 0, rows)
        parts = Parts(folder, run)
        earlier, errors = parts.num_rows, 0
        blocks = blocks_of(list_entries(sources, parts.place))
        with closing(work(job, sources, blocks)) as results:
            for block, table in results:
                parts.append(table, place_of(block))
                errors += table.num_rows - table["error"].null_count
                if progress is not None:
                    progress(parts.num_rows)
        parts.put_together()
    return Done(parts.num_rows, errors, earlier)


def settings(names: Sequence[str], job: Job) -> dict[str, Any]:
    """What decides about the rows of a run. Who computes, and how much at once, does not."""
    return {
        "sources": [name if is_url(name) else os.path.abspath(name) for name in names],
        "model": digest(job.model),
        "top": job.top,
        "threshold": job.threshold,
        "max_bytes": job.max_bytes,
        "precision": job.precision or "fp32",
    }


def digest(model: str) -> str:
    """16 digits that tell models apart, wherever their folder lies."""
    folder, found = find_model(model), hashlib.sha256()
    for name in (CONFIG, LABELS, READING, WEIGHTS):
        path = folder / name
        if path.exists():
            with open(path, "rb") as file:
                found.update(f"{name} ".encode() + hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]
