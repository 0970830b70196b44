"""Pictures that say how they are to be turned, against Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from anybyte.files.orientation import orientation_of, upright

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def stored(orientation: int | None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_orientation_is_pillows(orientation: int) -> None:
    data = stored(orientation)
    assert orientation_of(data) == orientation
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(upright(PIXELS, orientation), expected)


def test_what_says_nothing_is_upright() -> None:
    assert orientation_of(stored(None)) == 1
    assert orientation_of(stored(99)) == 1
    assert orientation_of(b"no picture") == 1
    assert np.array_equal(upright(PIXELS[..., 0], 6), np.rot90(PIXELS[..., 0], 3))
