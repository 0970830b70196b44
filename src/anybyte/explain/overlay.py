"""Scores over what a file shows: over the picture, along the waveform, or on a map of its bytes. All as PNG.

Red is for the label, blue against it; what says little is left as it is. The strongest colour stands for the 99th
percentile of what is drawn, so that one byte does not outshine the rest.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy.typing import NDArray
from PIL import Image

from anybyte.explain.layout import Layout, layout_of
from anybyte.files.media import Image as Picture
from anybyte.files.media import decode

_SIDE = 448
"""Pixels along the longer side of what is drawn, about; small pictures are enlarged by a whole number."""
_LONGEST = 2048
"""Pixels along a side, at most: what is longer is made smaller."""
_WAVE = (1024, 320)
"""Width and height of a waveform."""
_BINS = 192
"""Stretches of a sound that have a colour each: narrower ones would flicker with the sign of its samples."""
FOR, AGAINST = (214, 39, 40), (31, 119, 180)
"""The colours of what speaks for the label, and against it."""


@dataclass(frozen=True)
class Overlay:
    """Scores drawn.

    Attributes:
        kind: what they are drawn over: the `picture` or the `waveform` that the file holds, or a `map` of its bytes,
            which runs line by line.
        png: the drawing, a PNG file.
        width, height: its size in pixels.
        about: what it shows, in a sentence.
    """

    kind: Literal["picture", "waveform", "map"]
    png: bytes
    width: int
    height: int
    about: str


def overlay(data: bytes, scores: Float32[np.ndarray, "bytes"]) -> Overlay:
    """Scores of a file over what it shows.

    Args:
        data: what the scores are of: `Explanation.data`.
        scores: one a byte.

    Raises:
        ValueError: they are not as many as there are bytes, or none.
    """
    if len(data) != len(scores) or not len(data):
        raise ValueError(f"{len(scores)} scores do not fit {len(data)} bytes: give the data that the model read")
    layout = layout_of(data)
    if layout is not None and layout.kind == "waveform":
        return _waveform(data, layout, scores)
    if layout is not None:
        drawn = _picture(data, layout, scores)
        if drawn is not None:
            return drawn
    return _map(data, scores)


def _picture(data: bytes, layout: Layout, scores: NDArray[np.float32]) -> Overlay | None:
    """Over the picture in grey; None if it cannot be decoded after all."""
    try:
        found = decode(data)
    except ValueError:
        return None
    height, width = layout.offsets.shape[:2]
    if not isinstance(found, Picture) or found.pixels.shape[:2] != (height, width):
        return None
    heat = scores[layout.offsets].sum(axis=2, dtype=np.float64)
    pixels = found.pixels if found.pixels.ndim == 2 else np.asarray(Image.fromarray(found.pixels).convert("L"))
    about = f"The picture of {width} x {height} pixels: the score of a pixel is the sum over its bytes."
    if layout.filters is not None:
        count = np.count_nonzero(layout.filters)
        about += (
            f" {count} of its rows are stored as differences, so that a byte there moves the pixels behind it, too."
        )
    return _drawn("picture", pixels, heat, about)


def _map(data: bytes, scores: NDArray[np.float32]) -> Overlay:
    """Over the values of the bytes, in lines as long as there are lines, about."""
    width = 2 ** math.ceil(math.log2(max(1, len(data))) / 2)
    height = math.ceil(len(data) / width)
    values, heat = np.full(height * width, 255, dtype=np.uint8), np.zeros(height * width)
    values[: len(data)], heat[: len(data)] = np.frombuffer(data, dtype=np.uint8), scores
    about = f"A map of the bytes: {width} in a line, from left to right and from top to bottom."
    return _drawn("map", values.reshape(height, width), heat.reshape(height, width), about)


def _drawn(
    kind: Literal["picture", "map"],
    grey: UInt8[np.ndarray, "height width"],
    heat: Float[np.ndarray, "height width"],
    about: str,
) -> Overlay:
    longest = max(grey.shape)
    if longest > _LONGEST:
        factor = math.ceil(longest / _LONGEST)
        grey, heat = (_shrunk(x.astype(np.float64), factor) for x in (grey, heat))
        grey = grey.astype(np.uint8)
        about += f" One pixel of this drawing is the mean of {factor} x {factor}."
    scale = max(1, _SIDE // max(grey.shape))
    colours = blend(grey, heat).repeat(scale, axis=0).repeat(scale, axis=1)
    return Overlay(kind, _png(colours), colours.shape[1], colours.shape[0], about)


def _shrunk(x: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Means over squares; what does not fill one at the edges is filled by repetition."""
    height, width = (-(-side // factor) * factor for side in x.shape)
    x = np.pad(x, ((0, height - x.shape[0]), (0, width - x.shape[1])), mode="edge")
    means: NDArray[np.float64] = x.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
    return means


def strengths(heat: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Scores in [-1, 1]: 1 is the 99th percentile of their sizes, or the largest where fewer than that are not zero."""
    sizes = np.abs(heat)
    top = float(np.percentile(sizes, 99)) or float(sizes.max(initial=0.0))
    return np.clip(heat / top, -1, 1) if top else np.zeros_like(heat)


def blend(grey: UInt8[np.ndarray, "*shape"], heat: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape 3"]:
    """Grey values, paled, under the colours of their scores."""
    strength = strengths(heat)[..., None]
    base = (grey[..., None].astype(np.float64) * 0.7 + 60).repeat(3, axis=-1)
    colour = np.where(strength > 0, np.array(FOR, dtype=np.float64), np.array(AGAINST, dtype=np.float64))
    weight = 0.85 * np.abs(strength) ** 0.7  # weaker scores are still to be seen
    mixed: NDArray[np.uint8] = np.round(base * (1 - weight) + colour * weight).clip(0, 255).astype(np.uint8)
    return mixed


def _waveform(data: bytes, layout: Layout, scores: NDArray[np.float32]) -> Overlay:
    """The first channel's range in each column, on the colour of all scores in it."""
    width, height = _WAVE
    count = len(layout.offsets)
    width = min(width, max(count, 1))
    scale = max(1, _WAVE[0] // width)
    edges = np.linspace(0, count, width + 1).astype(np.int64)
    bins = min(_BINS, width)
    starts = np.arange(bins + 1) * count // bins
    heat = np.add.reduceat(scores[layout.offsets].sum(axis=(1, 2), dtype=np.float64), starts[:-1])
    columns = np.searchsorted(starts, edges[:-1], side="right") - 1
    samples = _samples(data, layout)
    low, high = np.minimum.reduceat(samples, edges[:-1]), np.maximum.reduceat(samples, edges[:-1])
    middle = (height - 1) / 2
    rows = np.arange(height)[:, None]
    inside = (rows >= np.floor(middle - high * middle)) & (rows <= np.ceil(middle - low * middle))
    canvas = blend(np.full((height, width), 255, dtype=np.uint8), np.tile(heat[columns], (height, 1)))
    canvas[inside] = (25, 25, 25)
    canvas = canvas.repeat(scale, axis=1)
    seconds = "" if not layout.rate else f" of {count / layout.rate:.2f} s"
    about = f"The waveform{seconds}, from left to right: each stretch has the colour of the sum over its bytes."
    return Overlay("waveform", _png(canvas), canvas.shape[1], canvas.shape[0], about)


def _samples(data: bytes, layout: Layout) -> NDArray[np.float64]:
    """The first channel, in [-1, 1] as far as its loudest sample: only its shape is drawn."""
    stored = np.frombuffer(data, dtype=np.uint8)[layout.offsets[:, 0]]
    if _is_float(data) and layout.width in (4, 8):
        samples = np.nan_to_num(stored.copy().view(f"<f{layout.width}")[:, 0].astype(np.float64))
    elif layout.width == 1:
        samples = stored[:, 0].astype(np.float64) - 127.5
    else:
        powers = 256.0 ** np.arange(layout.width)
        samples = stored.astype(np.float64) @ powers
        samples = np.where(stored[:, -1] >= 128, samples - 256.0**layout.width, samples)
    loudest = float(np.abs(samples).max(initial=0.0)) or 1.0
    scaled: NDArray[np.float64] = samples / loudest
    return scaled


def _is_float(data: bytes) -> bool:
    """Whether a WAV file says that its samples are floating-point numbers."""
    at = data.find(b"fmt ") + 8
    tag = int.from_bytes(data[at : at + 2], "little")
    return tag == 3 or (tag == 0xFFFE and int.from_bytes(data[at + 24 : at + 26], "little") == 3)


def _png(pixels: UInt8[np.ndarray, "height width 3"]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", optimize=True)
    return file.getvalue()
