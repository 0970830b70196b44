from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.files.images import encode_image
from anybyte.privacy.camera import PixelMask

KEEP = st.floats(0.01, 1)


@given(length=st.integers(1, 5000), keep=KEEP, seed=st.integers(0, 3))
def test_places_are_distinct_in_order_and_as_many_as_asked_for(length: int, keep: float, seed: int) -> None:
    positions = PixelMask(keep, seed).positions(length)
    assert len(positions) == max(1, round(keep * length))
    assert (np.diff(positions) > 0).all()
    assert positions[0] >= 0
    assert positions[-1] < length
    assert (PixelMask(keep, seed).positions(length) == positions).all()


@given(height=st.integers(1, 20), width=st.integers(1, 20), grey=st.booleans(), keep=KEEP)
def test_what_a_camera_reads_of_a_picture_is_what_is_kept_of_its_file(
    height: int, width: int, grey: bool, keep: float
) -> None:
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(height).integers(0, 256, shape, dtype=np.uint8)
    mask = PixelMask(keep)
    file = np.frombuffer(encode_image(pixels, "fhwc"), dtype=np.uint8)
    assert mask.read(pixels).tolist() == mask.apply(file).tolist()
    assert mask.read(pixels[:, ::-1]).tolist() == mask.read(pixels[:, ::-1].copy()).tolist()


def test_the_rest_of_a_picture_does_not_matter() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    mask = PixelMask(0.1, seed=3)
    other = 255 - pixels
    other.reshape(-1)[mask.positions(pixels.size)] = pixels.reshape(-1)[mask.positions(pixels.size)]
    assert mask.read(other).tolist() == mask.read(pixels).tolist()


def test_seeds_choose_other_places() -> None:
    assert PixelMask(0.5, 1).positions(100).tolist() != PixelMask(0.5, 2).positions(100).tolist()


@pytest.mark.parametrize("keep", [0, -0.1, 1.1, float("nan")])
def test_impossible_shares_are_refused(keep: float) -> None:
    with pytest.raises(ValueError, match=r"share in \(0, 1\]"):
        PixelMask(keep)
