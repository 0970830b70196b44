"""ImageNet as JPEG of quality 100, at three kernel sizes."""

from __future__ import annotations

from anybyte.config import Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def k8() -> Recipe:
    """ImageNet as JPEG of quality 100 (48,564 bytes on average); kernel 8, window 128."""
    return imagenet("jpeg_q100_k8", "jpeg:q100", kernel_size=8)


def k16() -> Recipe:
    """ImageNet as JPEG of quality 100 (48,564 bytes on average); kernel 16, window 128."""
    return imagenet("jpeg_q100_k16", "jpeg:q100", kernel_size=16)


def k32() -> Recipe:
    """ImageNet as JPEG of quality 100 (48,564 bytes on average); kernel 32, window 128."""
    return imagenet("jpeg_q100_k32", "jpeg:q100", kernel_size=32)


ROWS = (k8, k16, k32)
