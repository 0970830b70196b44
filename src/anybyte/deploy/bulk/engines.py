"""Who computes: this process, several of this machine, or Ray's. An engine turns blocks of files into tables, in order.

However a block is computed, its rows are the same; so a run may be begun by one engine and finished by another.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeAlias

import pyarrow as pa
import torch

from anybyte.deploy.bulk.rows import Job, classify_entries
from anybyte.deploy.bulk.sources import Entry, Source
from anybyte.predictor import Predictor

Block: TypeAlias = list[Entry]
Results: TypeAlias = Generator[tuple[Block, pa.Table], None, None]
"""Blocks and their rows, in order. Closing it stops what it has started."""
Engine: TypeAlias = Callable[[Job, Sequence[Source], Iterable[Block]], Results]

BLOCK_FILES = 512
BLOCK_BYTES = 2**25
"""What a block holds, at most: what a killed run has to do again, and what Ray sends from process to process."""


def blocks_of(entries: Iterable[Entry], files: int = BLOCK_FILES, size: int = BLOCK_BYTES) -> Iterator[Block]:
    """Entries in lists, in their order: each is full at `files` files, or at `size` bytes as far as they are known."""
    block: Block = []
    held = 0
    for entry in entries:
        block.append(entry)
        held += entry.size or 0
        if len(block) == files or held >= size:
            yield block
            block, held = [], 0
    if block:
        yield block


def in_this_process(job: Job, sources: Sequence[Source], blocks: Iterable[Block]) -> Results:
    """One block after the other."""
    predictor = job.load()
    for block in blocks:
        yield block, classify_entries(predictor, job, sources, block)


def in_processes(workers: int) -> Engine:
    """An engine of several processes on this machine, which share its processor cores."""

    def engine(job: Job, sources: Sequence[Source], blocks: Iterable[Block]) -> Results:
        threads = max(1, (os.cpu_count() or 1) // workers)
        waiting: deque[tuple[Block, Future[pa.Table]]] = deque()
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),  # a fork would inherit torch's threads, which hang
            initializer=_prepare,
            initargs=(job, sources, threads),
        )
        try:
            for block in blocks:
                waiting.append((block, pool.submit(_work, block)))
                if len(waiting) > 2 * workers:  # each has one to do and one to go on with; the listing waits
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    return engine


_prepared: tuple[Predictor, Job, Sequence[Source]] | None = None
"""What a worker process has loaded."""


def _prepare(job: Job, sources: Sequence[Source], threads: int) -> None:
    global _prepared
    torch.set_num_threads(threads)
    _prepared = job.load(), job, sources


def _work(block: Block) -> pa.Table:
    assert _prepared is not None
    return classify_entries(*_prepared, block)


def rounds(blocks: Iterable[Block], number: int) -> Iterator[list[Block]]:
    """Blocks in lists of `number`."""
    blocks = iter(blocks)
    while found := list(itertools.islice(blocks, number)):
        yield found


def engine_of(name: str, workers: int) -> Engine:
    """The engine `local` or `ray`.

    Raises:
        ValueError: there is none of that name, or the number of workers is not positive.
        ModuleNotFoundError: Ray is not installed; the message names the extra.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    if name == "local":
        return in_this_process if workers == 1 else in_processes(workers)
    if name == "ray":
        from anybyte.deploy.bulk.ray_engine import in_ray

        return in_ray(workers)
    raise ValueError(f"engine is {name!r}, expected 'local' or 'ray'")


def place_of(block: Block) -> tuple[int, Any]:
    """Where a run goes on once the rows of a block are written."""
    return block[-1].source, block[-1].key
