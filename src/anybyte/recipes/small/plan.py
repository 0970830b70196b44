"""What `anybyte reproduce small` runs, in what order: first what a reader would miss most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from anybyte.config import Recipe
from anybyte.recipes.small import joint
from anybyte.recipes.small.twins import TWINS

HEADLINES = ("encodings/tiff", "jpeg_q100/k32", "camera/keep_10", "obfuscation/noise_20", "wav/int16_k16")
"""Rows that are repeated, to see how much a result owes to its seed."""


@dataclass(frozen=True)
class _Joint:
    """One of the runs that show what joining costs: its recipe, and its archives by the name that their classes get."""

    recipe: Callable[[], Recipe]
    sources: tuple[tuple[str, str], ...]


JOINT = {
    "joint/both": _Joint(joint.both, (("clothes", joint.CLOTHES), ("digits", joint.DIGITS))),
    "joint/clothes": _Joint(joint.clothes, (("clothes", joint.CLOTHES),)),
    "joint/digits": _Joint(joint.digits, (("digits", joint.DIGITS),)),
}
"""Row -> the joint model and the two that it is compared with."""

_TWINS = {twin.name.removeprefix("small/"): twin for twin in TWINS}


@dataclass(frozen=True)
class Experiment:
    """One training, to be measured on the test files.

    Attributes:
        row: such as `camera/keep_10`; the recipe is `small/` and this.
        seed: of training.
        paper: the paper's recipe of which it is the small twin, or None.
        sources: the archives that it reads, by the name that their classes get; "" if they keep their own.
        max_steps: where to cut the training short. None: where the recipe ends.
    """

    row: str
    seed: int
    paper: str | None
    sources: tuple[tuple[str, str], ...]
    max_steps: int | None = None

    @property
    def recipe(self) -> str:
        return f"small/{self.row}"

    @property
    def key(self) -> str:
        """The name of its files: `camera.keep_10.seed0`."""
        return f"{self.row.replace('/', '.')}.seed{self.seed}"

    @property
    def archives(self) -> tuple[str, ...]:
        return tuple(archive for _, archive in self.sources)

    def settings(self) -> Recipe:
        """Its recipe with its seed, and as short as it is to be."""
        recipe = JOINT[self.row].recipe() if self.row in JOINT else _TWINS[self.row].recipe()
        run = replace(recipe.run, seed=self.seed, max_steps=self.max_steps or recipe.run.max_steps)
        return replace(recipe, run=run)

    def data_path(self, folder: Path) -> str:
        """`data.path` of its recipe, the archives being in `folder`."""
        return "+".join(
            f"{name}={folder / archive}" if name else str(folder / archive) for name, archive in self.sources
        )


def plan(seeds: tuple[int, ...] | None = None) -> list[Experiment]:
    """All experiments: the headline rows, the joint model, the other rows, then the further seeds of the headline rows.

    Args:
        seeds: of every row. None: 0, and also 1 and 2 for the headline rows.
    """
    rows: dict[str, tuple[str | None, tuple[tuple[str, str], ...]]] = {
        row: (twin.paper, (("", twin.scale.data),)) for row, twin in _TWINS.items()
    }
    rows |= {row: (None, each.sources) for row, each in JOINT.items()}
    order = [*HEADLINES, *JOINT, *(row for row in rows if row not in HEADLINES and row not in JOINT)]
    wanted = [(row, seed) for seed in seeds for row in order] if seeds else [(row, 0) for row in order]
    if seeds is None:
        wanted += [(row, seed) for seed in (1, 2) for row in HEADLINES]
    return [Experiment(row, seed, *rows[row]) for row, seed in wanted]
