"""ImageNet as bare pixels under a secret permutation of byte values, with noise before it; kernel 32, window 128."""

from __future__ import annotations

from anybyte.config import PrivacyConfig, Recipe
from anybyte.recipes.byteformer.pieces import imagenet


def noise_0() -> Recipe:
    """ImageNet as permuted bytes of bare pixels, without noise."""
    return imagenet("noise_0", "fhwc", kernel_size=32, privacy=PrivacyConfig(noise=0, permutation=True))


def noise_5() -> Recipe:
    """ImageNet as permuted bytes of bare pixels, with noise of up to 5 levels either way."""
    return imagenet("noise_5", "fhwc", kernel_size=32, privacy=PrivacyConfig(noise=5, permutation=True))


def noise_10() -> Recipe:
    """ImageNet as permuted bytes of bare pixels, with noise of up to 10 levels either way."""
    return imagenet("noise_10", "fhwc", kernel_size=32, privacy=PrivacyConfig(noise=10, permutation=True))


def noise_20() -> Recipe:
    """ImageNet as permuted bytes of bare pixels, with noise of up to 20 levels either way."""
    return imagenet("noise_20", "fhwc", kernel_size=32, privacy=PrivacyConfig(noise=20, permutation=True))


ROWS = (noise_0, noise_5, noise_10, noise_20)
