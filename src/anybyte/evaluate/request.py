"""What `anybyte evaluate` asks of the module of each kind of model, and what it is told.

A kind is one function, `evaluate(request) -> Findings`, and one line in the table of `cli/evaluate.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from anybyte.config import Recipe
from anybyte.models.pretrained import Pretrained
from anybyte.models.quantize import Precision
from anybyte.models.zoo import load_pretrained

Progress = Callable[[int, int], None]
"""Is called with the steps done so far and the steps in all."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A model to be measured, and how.

    Attributes:
        name: what the user calls the model.
        folder: of the model; `recipe` is that of the run it came from, None where nobody knows it.
        data: what `--data` names. None: what the recipe names, see `path`.
        split: the part that is asked for. None: the kind's own choice.
        device, precision: where and how to compute; `bf16` computes under autocast.
        options: those of the kind alone, by the name of their option with underscores.
        progress: whom to tell of each step; None: nobody.
    """

    name: str
    folder: Path
    recipe: Recipe | None = None
    data: str | None = None
    split: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None

    @property
    def path(self) -> str:
        """Where the data are.

        Raises:
            ValueError: neither the command line nor the recipe says.
        """
        found = self.data or (self.recipe.data.path if self.recipe else "")
        if not found:
            raise ValueError(f"{self.name} has no recipe.json that names its data: name some with --data")
        return found

    def load(self) -> Pretrained:
        """The model, in evaluation mode, on the device.

        Raises:
            ValueError: its folder is damaged; the message names the file.
        """
        model, _ = load_pretrained(self.folder)
        return model.to(self.device).requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured.

    Attributes:
        about: what was measured on, for the head of the table and the report: `{"part": "test, 872 sentences"}`.
        text: the table, as it is printed.
        numbers: all of it, for `report.json`.
        written: the files that the kind has written itself, for the last line; None: `report.json` is still to be.
    """

    about: Mapping[str, str]
    text: str
    numbers: Mapping[str, Any]
    written: str | None = None


def columns(rows: list[tuple[str, ...]]) -> str:
    """Rows of text as aligned columns, two blanks apart: the first to the left, numbers and the like as they come."""
    count = max(map(len, rows), default=0)
    widths = [max((len(row[place]) for row in rows if place < len(row)), default=0) for place in range(count)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )
