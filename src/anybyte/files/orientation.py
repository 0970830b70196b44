"""Pictures as they are to be seen: a camera that was held on its side says so beside the pixels (EXIF)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

UPRIGHT = 1
"""The orientation of a picture that is stored as it is to be seen."""


def orientation_of(data: bytes) -> int:
    """The EXIF orientation of a picture's file, 1 to 8; 1 if it names none, or none that there is."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            found = picture.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return UPRIGHT  # what is wrong with the file is said where it is decoded
    return found if found in range(1, 9) else UPRIGHT


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels [H, W, ...] turned and mirrored as an EXIF orientation asks for; 5 to 8 exchange height and width."""
    if orientation in (2, 4, 5, 7):
        # Mirrored: left and right are exchanged first, and what is left to do is a turn.
        pixels = pixels[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    turned: NDArray[np.uint8] = np.ascontiguousarray(np.rot90(pixels, quarters))
    return turned
