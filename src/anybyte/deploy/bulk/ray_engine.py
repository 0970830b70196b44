"""Blocks of files through Ray Data, on one machine or many: tasks read, actors that hold the model classify.

    blocks of the listing -> read (tasks) -> classify, in batches by bytes (actors) -> rows, in order -> parts

It reads files by the library's own sources, not by `ray.data.read_binary_files`: that stops at the first file that
cannot be read, or leaves it out, while here such a file is a row with an error. Machines of a cluster must see the
files under the same names, and have the model and this library; URLs of a store are best.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from anybyte.deploy.bulk.engines import Block, Engine, Results, rounds
from anybyte.deploy.bulk.rows import Job, ReadFile, StoredFile, classify, read_whole
from anybyte.deploy.bulk.sources import Source

# At its usual level Ray's core tells of each actor that restarting it might fail. What fails is raised all the same.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

try:
    import ray
    import ray.data
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the engine `ray` needs Ray: pip install 'anybyte[ray]'") from error

BLOCKS_A_ROUND = 256
"""Blocks that are listed ahead for one pipeline of Ray: what is in memory, however many files there are."""

_CPUS = {"read": 0.25, "classify": 0.75}
"""Of a core for a task that reads, and for an actor: with an actor for each core, there is still room to read."""


def in_ray(workers: int) -> Engine:
    """An engine of `workers` actors. It joins the cluster that RAY_ADDRESS names, or starts Ray on this machine."""

    def engine(job: Job, sources: Sequence[Source], blocks: Iterable[Block]) -> Results:
        ours = not ray.is_initialized()
        if ours:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True  # so that what is written is always a beginning of the listing
        context.enable_progress_bars = False
        try:
            for listed in rounds(blocks, BLOCKS_A_ROUND):
                rows = _pipeline(listed, sources, job, workers).iter_rows()
                for block, row in zip(listed, rows, strict=True):
                    yield block, pickle.loads(row["table"])
        finally:
            if ours:
                ray.shutdown()

    return engine


def _pipeline(blocks: Sequence[Block], sources: Sequence[Source], job: Job, workers: int) -> Any:
    """The data set whose rows are the tables of some blocks."""
    data = ray.data.from_items([{"block": pickle.dumps(block)} for block in blocks], override_num_blocks=len(blocks))
    read = data.map(_read, fn_args=(pickle.dumps((list(sources), job.max_bytes)),), num_cpus=_CPUS["read"])
    return read.map(
        _Classifier,
        fn_constructor_args=(job, max(1, (os.cpu_count() or 1) // workers)),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=_CPUS["classify"],
        num_gpus=1 if job.device is not None and job.device.startswith("cuda") else 0,
    )


def _read(row: Mapping[str, bytes], settings: bytes) -> dict[str, Any]:
    """The files of a block: their bytes, or why there are none."""
    sources, max_bytes = pickle.loads(settings)
    files = [StoredFile(sources, entry, max_bytes) for entry in pickle.loads(row["block"])]
    found = [(file.name, read_whole(file, max_bytes)) for file in files]
    for source in sources:
        source.close()
    return {"files": pickle.dumps(found)}


class _Classifier:
    """An actor: the model, and what is asked of it."""

    def __init__(self, job: Job, threads: int) -> None:
        torch.set_num_threads(threads)
        self._predictor, self._job = job.load(), job

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, Any]:
        """The table of a block whose files were read."""
        found = pickle.loads(row["files"])
        files = (ReadFile(name, data) for name, data in found)
        return {"table": pickle.dumps(classify(self._predictor, self._job, [name for name, _ in found], files))}
