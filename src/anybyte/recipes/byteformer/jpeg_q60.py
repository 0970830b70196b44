"""ImageNet as JPEG of quality 60, at four kernel and two window sizes."""

from __future__ import annotations

from anybyte.config import Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def k4_w128() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 4, window 128."""
    return imagenet("jpeg_q60_k4_w128", "jpeg:q60", kernel_size=4, window=128)


def k4_w32() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 4, window 32."""
    return imagenet("jpeg_q60_k4_w32", "jpeg:q60", kernel_size=4, window=32)


def k8_w128() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 8, window 128."""
    return imagenet("jpeg_q60_k8_w128", "jpeg:q60", kernel_size=8, window=128)


def k8_w32() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 8, window 32."""
    return imagenet("jpeg_q60_k8_w32", "jpeg:q60", kernel_size=8, window=32)


def k16_w128() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 16, window 128."""
    return imagenet("jpeg_q60_k16_w128", "jpeg:q60", kernel_size=16, window=128)


def k16_w32() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 16, window 32."""
    return imagenet("jpeg_q60_k16_w32", "jpeg:q60", kernel_size=16, window=32)


def k32_w128() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 32, window 128."""
    return imagenet("jpeg_q60_k32_w128", "jpeg:q60", kernel_size=32, window=128)


def k32_w32() -> Recipe:
    """ImageNet as JPEG of quality 60 (about 12,000 bytes); kernel 32, window 32."""
    return imagenet("jpeg_q60_k32_w32", "jpeg:q60", kernel_size=32, window=32)


ROWS = (k4_w128, k4_w32, k8_w128, k8_w32, k16_w128, k16_w32, k32_w128, k32_w32)
