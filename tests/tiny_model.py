"""A model folder for tests of what stands around models: random weights, computed in no time."""

from __future__ import annotations

from pathlib import Path

import torch

from anybyte import create_model

LABELS = ("cat", "dog", "owl", "fox", "bee", "ant")
SHAPE = {"dim": 16, "num_heads": 2, "depth": 2, "merge_after": (0,), "window_sizes": 8, "num_classes": len(LABELS)}


def save_tiny_model(folder: Path, labels: tuple[str, ...] | None = LABELS) -> Path:
    """Writes the folder; equal weights each time. Their scale makes answers differ from file to file."""
    torch.manual_seed(0)
    model = create_model("byteformer_nano", **SHAPE)
    with torch.no_grad():
        model.classifier.weight.mul_(20)
    model.save_pretrained(folder, labels=labels)
    return folder
