"""CutMix: a rectangle of one picture over another, which counts by its area."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.config import AugmentConfig
from anybyte.files.augment import check_augment, cut_box, cut_mix_images

SIDES = st.integers(1, 60)


@given(height=SIDES, width=SIDES, weight=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_the_share_is_the_area_outside_of_the_box(height: int, width: int, weight: float, seed: int) -> None:
    box, share = cut_box(height, width, weight, np.random.default_rng(seed))
    outside = np.ones((height, width))
    outside[box] = 0
    assert share == pytest.approx(outside.mean())
    assert 0 <= share <= 1
    # The rectangle is no larger than asked for, but for rounding its sides to whole pixels.
    slack = (height + width + 1) / (height * width)
    assert share >= weight - slack


@pytest.mark.parametrize(("weight", "share"), [(1.0, 1.0), (0.75, 0.75)])
def test_a_box_inside_the_picture_has_the_area_that_was_drawn(weight: float, share: float) -> None:
    shares = [cut_box(100, 100, weight, np.random.default_rng(seed))[1] for seed in range(50)]
    assert min(shares) == pytest.approx(share)
    assert max(shares) <= 1


def test_boxes_lie_everywhere() -> None:
    covered = np.zeros((20, 30))
    for seed in range(300):
        box, _ = cut_box(20, 30, 0.8, np.random.default_rng(seed))
        covered[box] += 1
    assert covered.min() > 0
    assert covered[8:12, 12:18].mean() < 300 * 0.4


@given(seed=st.integers(0, 999), weight=st.floats(0, 1))
def test_each_pixel_is_of_one_of_the_two(seed: int, weight: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = np.zeros((9, 7, 3), np.uint8), np.full((9, 7), 200, np.uint8)
    pasted, share = cut_mix_images(first, second, weight, rng)
    assert pasted.shape == (9, 7, 3)
    assert set(np.unique(pasted)) <= {0, 200}
    assert share == pytest.approx(float((pasted[..., 0] == 0).mean()))
    assert not first.any(), "the argument is left as it is"


def test_pictures_must_be_of_one_size() -> None:
    with pytest.raises(ValueError, match=r"augment\.cutmix needs pictures of one size, not 3 x 2 and 4 x 2"):
        cut_mix_images(np.zeros((2, 3), np.uint8), np.zeros((2, 4), np.uint8), 0.5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AugmentConfig(cutmix=1.5), r"augment\.cutmix is 1\.5; it must be a probability"),
        (AugmentConfig(cutmix_alpha=0.0), r"augment\.cutmix_alpha is 0\.0; it must be positive"),
        (AugmentConfig(mixup=0.7, cutmix=0.5), r"mixup is 0\.7 and augment\.cutmix 0\.5; they add up to at most 1"),
    ],
)
def test_settings_that_make_no_sense(config: AugmentConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_augment(config)
    check_augment(AugmentConfig(mixup=0.5, cutmix=0.5))
