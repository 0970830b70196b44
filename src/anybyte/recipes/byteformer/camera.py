"""ImageNet from a camera that forms a part of its pixel channels only, at fixed places; window 128."""

from __future__ import annotations

from anybyte.config import PrivacyConfig, Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def keep_03() -> Recipe:
    """ImageNet with 3% of the pixel channels (4,516 bytes); kernel 4."""
    return imagenet("camera_keep_03", "fhwc", kernel_size=4, privacy=PrivacyConfig(camera_keep=0.03))


def keep_05() -> Recipe:
    """ImageNet with 5% of the pixel channels (7,526 bytes); kernel 4."""
    return imagenet("camera_keep_05", "fhwc", kernel_size=4, privacy=PrivacyConfig(camera_keep=0.05))


def keep_10() -> Recipe:
    """ImageNet with 10% of the pixel channels (15,053 bytes); kernel 4."""
    return imagenet("camera_keep_10", "fhwc", kernel_size=4, privacy=PrivacyConfig(camera_keep=0.1))


def keep_25() -> Recipe:
    """ImageNet with 25% of the pixel channels (37,632 bytes); kernel 8."""
    return imagenet("camera_keep_25", "fhwc", kernel_size=8, privacy=PrivacyConfig(camera_keep=0.25))


def keep_50() -> Recipe:
    """ImageNet with 50% of the pixel channels (75,264 bytes); kernel 16."""
    return imagenet("camera_keep_50", "fhwc", kernel_size=16, privacy=PrivacyConfig(camera_keep=0.5))


def keep_75() -> Recipe:
    """ImageNet with 75% of the pixel channels (112,896 bytes); kernel 32."""
    return imagenet("camera_keep_75", "fhwc", kernel_size=32, privacy=PrivacyConfig(camera_keep=0.75))


ROWS = (keep_03, keep_05, keep_10, keep_25, keep_50, keep_75)
