from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.files.rand_augment import OPERATIONS, rand_augment


def picture(*shape: int) -> NDArray[np.uint8]:
    """Smooth, and away from black and white, so that every operation shows."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    planes = [60 + 2 * rows + columns, 200 - 3 * columns, 90 + (rows * columns) % 80]
    return np.stack(planes, axis=-1).clip(20, 220).astype(np.uint8)[..., 0 if len(shape) == 2 else slice(None)]


def apply(name: str, strength: float, *shape: int) -> NDArray[np.uint8]:
    return np.asarray(OPERATIONS[name](Pillow.fromarray(picture(*shape)), strength))


def test_there_are_the_fourteen_operations() -> None:
    assert len(OPERATIONS) == 14


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(24, 30, 3), (24, 30), (1, 1, 3)])
@pytest.mark.parametrize("strength", [-1.0, -0.3, 0.3, 1.0])
def test_operations_keep_shape_and_type(name: str, shape: tuple[int, ...], strength: float) -> None:
    changed = apply(name, strength, *shape)
    assert (changed.shape, changed.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "identity"])
def test_operations_change_a_picture(name: str) -> None:
    assert (apply(name, 0.9, 24, 30, 3) != picture(24, 30, 3)).any()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("autocontrast", "equalize")])
def test_no_strength_is_no_change(name: str) -> None:
    np.testing.assert_array_equal(apply(name, 0.0, 24, 30, 3), picture(24, 30, 3))


def test_ranges_are_the_usual_ones() -> None:
    pixels = picture(40, 331, 3)
    moved = apply("translate_x", 0.3, 40, 331, 3)
    np.testing.assert_array_equal(moved[:, :-45], pixels[:, 45:])
    assert not moved[:, -45:].any()
    np.testing.assert_array_equal(apply("translate_y", -1.0, 331, 40, 3)[150:], picture(331, 40, 3)[:-150])
    np.testing.assert_array_equal(apply("posterize", 0.3, 24, 30, 3), picture(24, 30, 3) & 0xFE)
    np.testing.assert_array_equal(apply("posterize", 1.0, 24, 30, 3), picture(24, 30, 3) & 0xF0)
    pixels = picture(24, 30, 3)
    np.testing.assert_array_equal(apply("solarize", 0.3, 24, 30, 3), np.where(pixels < 178.5, pixels, 255 - pixels))
    np.testing.assert_allclose(apply("brightness", 0.3, 24, 30, 3), np.minimum(pixels * 1.27, 255), atol=1)
    np.testing.assert_allclose(apply("brightness", -1.0, 24, 30, 3), pixels * 0.1, atol=1)


def test_shear_moves_rows_in_proportion_to_their_height() -> None:
    pixels = np.tile(np.arange(100, dtype=np.uint8), (50, 1))
    sheared = np.asarray(OPERATIONS["shear_x"](Pillow.fromarray(pixels), 1.0))
    assert [int(sheared[row, 20]) - 20 for row in (10, 20, 40)] == pytest.approx([3, 6, 12], abs=1)


def test_equal_generators_give_equal_pictures_and_others_give_others() -> None:
    pixels = picture(24, 30, 3)
    results = [rand_augment(pixels, 2, 9, np.random.default_rng(seed)) for seed in (0, 0, *range(1, 30))]
    np.testing.assert_array_equal(results[0], results[1])
    assert len({result.tobytes() for result in results}) > 20
    np.testing.assert_array_equal(rand_augment(pixels, 0, 9, np.random.default_rng(0)), pixels)


def test_every_operation_is_drawn_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    drawn = {rand_augment(picture(8, 8, 3), 1, 30, rng).tobytes() for _ in range(600)}
    assert drawn == {apply(name, strength, 8, 8, 3).tobytes() for name in OPERATIONS for strength in (-1.0, 1.0)}
