"""Folders of small Perceivers, and what they read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anybyte.config import FlowInputConfig, FourierPositionsConfig
from anybyte.files.images import encode_image
from anybyte.files.video import Clip, write_clip
from tests.models.perceivers import small

TILE = (24, 32)
LABELS = ("walk", "run", "sing", "cook", "sleep", "read", "swim")
FLOW_INPUT = FlowInputConfig(positions=FourierPositionsConfig(num_bands=3, max_resolution=TILE))


def save_flow_model(folder: Path) -> Path:
    """One for tiles of 24x32."""
    small("perceiver_io_flow", inputs=(FLOW_INPUT,)).save_pretrained(folder)
    return folder


def save_clip_model(folder: Path, labels: tuple[str, ...] | None = LABELS) -> Path:
    """One for 2 frames of 8x8 and 64 samples."""
    small("perceiver_io_multimodal").save_pretrained(folder, labels=labels)
    return folder


def save_text_model(folder: Path) -> Path:
    """One for 20 bytes."""
    small("perceiver_io_language").save_pretrained(folder)
    return folder


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise, uint8 [H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save_picture(path: Path, height: int, width: int, seed: int = 0) -> Path:
    path.write_bytes(encode_image(picture(height, width, seed), "png"))
    return path


def save_video(path: Path, frames: int = 5, height: int = 16, width: int = 20, sound: bool = True) -> Path:
    """A video of noise at 25 frames a second."""
    pixels = np.stack([picture(height, width, seed) for seed in range(frames)])
    samples = np.sin(np.arange(frames * 1920) / 20).astype(np.float32) / 2
    write_clip(path, Clip(pixels, samples if sound else samples[:0]))
    return path
