"""A recipe for a problem of one's own: a schema and a folder of arrays."""

from __future__ import annotations

import os
from pathlib import Path

from anybyte.config import OptimConfig, Recipe, RunConfig
from anybyte.models.schema import Schema


def declared(path: str | os.PathLike[str]) -> Recipe:
    """What a schema declares, trained on arrays (docs/schemas.md): small batches, 30 epochs.

    Raises:
        ValueError: the file is no schema, or one with a mistake; the message names the place.
        OSError: it cannot be read.
    """
    schema = Schema.from_file(path)
    return Recipe(
        name=Path(path).stem,
        model=schema.config(),
        task=schema.task(),
        optim=OptimConfig(warmup_steps=100, ema_decay=0.998),
        run=RunConfig(out=f"runs/{Path(path).stem}"),
    )
