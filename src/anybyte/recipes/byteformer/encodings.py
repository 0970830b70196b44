"""ImageNet in four file formats (the paper's table of encodings)."""

from __future__ import annotations

from anybyte.config import Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def fhwc() -> Recipe:
    """ImageNet as bare pixels, row by row (fHWC, 150,528 bytes); kernel 32, window 128."""
    return imagenet("fhwc", "fhwc", kernel_size=32)


def fchw() -> Recipe:
    """ImageNet as bare pixels, one channel after the other (fCHW, 150,528 bytes); kernel 32, window 128."""
    return imagenet("fchw", "fchw", kernel_size=32)


def tiff() -> Recipe:
    """ImageNet as TIFF without compression (150,668 bytes); kernel 32, window 128."""
    return imagenet("tiff", "tiff", kernel_size=32)


def png() -> Recipe:
    """ImageNet as PNG without compression (150,864 bytes); kernel 32, window 128."""
    return imagenet("png", "png:0", kernel_size=32)


ROWS = (fhwc, fchw, tiff, png)
