"""Folders of reference numbers. `--golden DIR` names one of any form, or a folder that holds several of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

OWN = Path(__file__).parents[1] / "golden"


def folder_of(config: pytest.Config, form: str) -> Path:
    """The folder of a form (`hf_perceiver`, ...) that the option leads to: that, inside or beside it; else our own."""
    given = config.getoption("--golden")
    if given is None:
        return OWN / form
    for folder in (Path(given), Path(given) / form, Path(given).parent / form):
        if (folder / "index.json").exists() and form_of(read_index(folder)) == form:
            return folder
    return OWN / form


def form_of(index: dict[str, Any]) -> str:
    """Which form a folder has, by its index."""
    if "cases" not in index:
        return "deepmind_perceiver"
    return "hf_perceiver" if "class" in index["cases"][0] else "corenet_byteformer"


def read_index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "index.json").read_text())
    return index
