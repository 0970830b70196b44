"""ImageNet as JPEG of quality 100 with its bytes in other orders; kernel 32, window 128."""

from __future__ import annotations

from anybyte.config import PrivacyConfig, Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def reverse() -> Recipe:
    """ImageNet as JPEG of quality 100, bytes from the last to the first."""
    return imagenet("order_reverse", "jpeg:q100", kernel_size=32, privacy=PrivacyConfig(order="reverse"))


def random() -> Recipe:
    """ImageNet as JPEG of quality 100, bytes shuffled anew for each file."""
    return imagenet("order_random", "jpeg:q100", kernel_size=32, privacy=PrivacyConfig(order="random"))


def roll() -> Recipe:
    """ImageNet as JPEG of quality 100, the second half of its bytes before the first."""
    return imagenet("order_roll", "jpeg:q100", kernel_size=32, privacy=PrivacyConfig(order="roll"))


def stride() -> Recipe:
    """ImageNet as JPEG of quality 100, every 1,024th byte from the first on, from the second on, ..."""
    return imagenet("order_stride", "jpeg:q100", kernel_size=32, privacy=PrivacyConfig(order="stride"))


def window() -> Recipe:
    """ImageNet as JPEG of quality 100, each 1,024 bytes shuffled in one fixed way."""
    return imagenet("order_window", "jpeg:q100", kernel_size=32, privacy=PrivacyConfig(order="window"))


ROWS = (reverse, random, roll, stride, window)
