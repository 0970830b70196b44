"""Where a model is: a folder, one that ships with the package, or one from the Hugging Face hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from anybyte.models.pretrained import CONFIG

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_BUNDLED = Path(__file__).parents[1] / "bundled"


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a model: that itself, `model/` in a training run's folder, a bundled one, or one from the hub.

    Raises:
        ValueError: there is none.
    """
    name = os.fspath(name_or_path)
    if not name:
        raise ValueError("the model's name is empty: expected a folder, a bundled name, or an id org/name of the hub")
    path = Path(name)
    if path.is_dir():
        inner = path / "model"
        return inner if inner.is_dir() and not (path / CONFIG).exists() else path
    if path.exists():
        raise ValueError(
            f"{name} is a file, but a model is a folder. Pickled checkpoints are never loaded: "
            "`anybyte convert` turns them into folders"
        )
    bundled = sorted(folder.name for folder in _BUNDLED.iterdir()) if _BUNDLED.is_dir() else []
    if name in bundled:
        return _BUNDLED / name
    if _HUB_ID.fullmatch(name):
        return _fetch(name)
    shipped = f"bundled are {', '.join(bundled)}" if bundled else "none is bundled"
    raise ValueError(f"no model {name!r}: there is no such folder, {shipped}, and ids of the hub look like org/name")


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download  # a second of imports that only this needs

    try:
        folder = snapshot_download(hub_id, allow_patterns=["*.json", "*.safetensors", "*.md"])
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"no model {hub_id!r}: there is no such folder, and the Hugging Face hub does not give it ({reason})"
        ) from error
    return Path(folder)
