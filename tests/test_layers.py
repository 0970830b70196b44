"""Stages import from left to right only, in the order that docs/design.md gives."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import anybyte

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/anybyte"
FOR_ALL = ("config", "batch")
"""Stages that every other may import: the settings and the form of the data."""
BESIDE = {"demo": "recipes"}
"""Stages the order does not name, and the one whose place they share."""


def read_order(text: str) -> dict[str, int]:
    """The stages' ranks from the line `a -> b | c -> d`: those between two arrows share a rank."""
    line = re.search(r"^ +config \|.*->.*$", text, flags=re.MULTILINE)
    assert line, "docs/design.md has no line of the form 'config | files -> ... -> cli'"
    ranks = {stage: rank for rank, place in enumerate(line[0].split("->")) for stage in place.replace("|", " ").split()}
    return ranks | {stage: ranks[neighbour] for stage, neighbour in BESIDE.items()}


ORDER = read_order((ROOT / "docs/design.md").read_text())
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py" and path != PACKAGE / "__init__.py"
)


def stage_of(path: Path) -> str:
    """`files` for files/media.py, `batch` for batch.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_stages(tree: ast.AST, package: str) -> dict[str, int]:
    """The stages that a module imports and the line of the first import of each.

    Imports inside functions and under TYPE_CHECKING count as well: a dependency is one wherever it is written.
    """
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            # `from anybyte import load` is an import of the module that the public name lives in.
            homes = [anybyte._HOME.get(alias.name, f"anybyte.{alias.name}") for alias in node.names]
            names = homes if module == "anybyte" else [module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "anybyte" and len(parts) > 1 and parts[1] != "__version__":
                found.setdefault(parts[1], node.lineno)
    return found


def test_every_stage_has_a_place() -> None:
    assert {stage_of(path) for path in MODULES} <= set(ORDER), "name the new stage in docs/design.md"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_from_the_left(path: Path) -> None:
    stage = stage_of(path)
    package = ".".join(("anybyte", *path.relative_to(PACKAGE).parts[:-1]))
    for other, line in imported_stages(ast.parse(path.read_text()), package).items():
        allowed = other == stage or ORDER[other] < ORDER[stage] or (other in FOR_ALL and stage not in FOR_ALL)
        assert allowed, f"{path.relative_to(ROOT)}:{line}: {stage} imports {other}, which is not to its left"


def test_the_check_sees_every_form_of_import() -> None:
    tree = ast.parse(
        "import anybyte.train.loop\n"
        "from anybyte import load, __version__\n"
        "from anybyte.tasks import classify\n"
        "def f():\n    from ..cli import main\n"
        "from . import metrics\n"
        "import torch\n"
    )
    assert imported_stages(tree, "anybyte.evaluate") == {
        "train": 1, "predictor": 2, "tasks": 3, "cli": 5, "evaluate": 6,
    }  # fmt: skip
