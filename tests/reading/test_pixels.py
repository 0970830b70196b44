"""Pictures as decoded pixels: the paper's crop, normalisation, random changes, mixing, errors."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.config import AugmentConfig, PixelsConfig
from anybyte.files.media import encode_image
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import seal
from anybyte.reading import PixelReading, make_reading
from anybyte.reading.pixels import centre_crop

PLAIN = PixelsConfig(image_size=8, fit="resize", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CHANGES = AugmentConfig(crop_size=8, flip=True, rand_augment=2, erase=0.5)


def picture(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_picture_of_the_right_size_is_read_pixel_by_pixel() -> None:
    pixels = picture(8, 8, 3)
    read = PixelReading(PLAIN)(encode_image(pixels, "png"), "a.png")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(np.rint(read * 255), pixels)


def test_pixels_are_normalised_channel_by_channel() -> None:
    config = PixelsConfig(image_size=4, fit="resize")
    pixels = np.full((4, 4, 3), (124, 0, 255), dtype=np.uint8)
    read = PixelReading(config)(encode_image(pixels, "bmp"), "a")
    expected = (np.array([124, 0, 255]) / 255 - config.mean) / config.std
    np.testing.assert_allclose(read, np.broadcast_to(expected, (4, 4, 3)), atol=1e-6)


@given(height=st.integers(1, 700), width=st.integers(1, 700))
def test_the_crop_is_the_papers_square_in_the_middle(height: int, width: int) -> None:
    rows, columns = np.indices((height, width))
    cut = centre_crop(np.stack([rows, columns], axis=2))
    side = max(1, int(224 / 256 * min(height, width)))
    assert cut.shape == (side, side, 2)
    assert tuple(cut[0, 0]) == ((height - side + 1) // 2, (width - side + 1) // 2)
    assert tuple(cut[-1, -1] - cut[0, 0]) == (side - 1, side - 1)


def test_what_lies_around_the_crop_is_not_seen() -> None:
    pixels = picture(64, 80, 3)
    other = pixels.copy()
    inside = np.zeros((64, 80), dtype=bool)
    inside[4:60, 12:68] = True  # 56 = 224/256 of 64
    other[~inside] = 0
    reading = PixelReading(PixelsConfig(image_size=28))
    np.testing.assert_array_equal(reading(encode_image(pixels, "png"), "a"), reading(encode_image(other, "png"), "a"))
    other[4, 12] = 255 - pixels[4, 12]
    assert (reading(encode_image(other, "png"), "a") != reading(encode_image(pixels, "png"), "a")).any()


def test_a_square_of_the_right_size_is_cut_as_every_other() -> None:
    data = encode_image(picture(32, 32, 3), "png")
    cut, whole = (PixelReading(PixelsConfig(image_size=32, fit=fit))(data, "a") for fit in ("crop", "resize"))
    assert cut.shape == whole.shape
    assert (cut != whole).any()


@pytest.mark.parametrize("fit", ["crop", "resize"])
@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 90, 3), (90, 3), (50, 50)])
def test_pictures_of_every_size_become_one(fit: str, shape: tuple[int, ...]) -> None:
    reading = PixelReading(PixelsConfig(image_size=16, fit=fit))  # type: ignore[arg-type]
    assert reading(encode_image(picture(*shape), "png"), "a").shape == reading.blank().shape == (16, 16, 3)


def test_grey_and_transparent_pictures_are_read_in_colour() -> None:
    reading = PixelReading(PLAIN)
    grey = reading(encode_image(picture(8, 8), "png"), "a")
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    for mode in ("RGBA", "LA", "P", "1"):
        file = io.BytesIO()
        Pillow.fromarray(picture(8, 8, 3)).convert(mode).save(file, "png")
        assert reading(file.getvalue(), mode).shape == (8, 8, 3)


@given(seed=st.integers(0, 10**6), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_equal_randomness_reads_equal_arrays(seed: int, size: tuple[int, int]) -> None:
    data = encode_image(picture(*size, 3), "png")
    reading = PixelReading(PLAIN, CHANGES)
    again = pickle.loads(pickle.dumps(reading))
    np.testing.assert_array_equal(reading(data, "a", rng(seed)), again(data, "a", rng(seed)))
    np.testing.assert_array_equal(reading(data, "a"), PixelReading(PLAIN)(data, "a"))


def test_training_changes_and_only_training() -> None:
    data = encode_image(picture(20, 20, 3), "png")
    reading = PixelReading(PLAIN, CHANGES)
    draws = [reading(data, "a", rng(seed)) for seed in range(4)]
    assert len({draw.tobytes() for draw in draws}) == 4
    plain = reading(data, "a")
    assert all((draw != plain).any() for draw in draws)
    without = reading.altered(max_bytes=None)
    np.testing.assert_array_equal(without(data, "a", rng()), plain)


def test_a_random_crop_takes_the_place_of_the_middle_one() -> None:
    config, whole = PixelsConfig(image_size=8), AugmentConfig(crop_size=8, crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0))
    data = encode_image(picture(16, 16, 3), "png")
    resized = PixelReading(PixelsConfig(image_size=8, fit="resize"))(data, "a")
    np.testing.assert_array_equal(PixelReading(config, whole)(data, "a", rng()), resized)


@given(weight=st.floats(0, 1), seed=st.integers(0, 999))
def test_mixing_up_is_a_weighted_sum(weight: float, seed: int) -> None:
    first, second = encode_image(picture(8, 8, 3), "png"), encode_image(picture(9, 5, seed=1), "jpeg")
    reading = PixelReading(PLAIN)
    mixed = reading.mix(first, "a", second, "b", weight, rng(seed))
    assert mixed is not None
    assert mixed.weight == weight
    expected = weight * reading(first, "a") + (1 - weight) * reading(second, "b")
    np.testing.assert_allclose(mixed.data, expected, atol=1e-6)


@given(weight=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_a_pasted_picture_counts_by_its_area(weight: float, seed: int) -> None:
    black, white = (encode_image(np.full((8, 8, 3), value, dtype=np.uint8), "png") for value in (0, 255))
    mixed = PixelReading(PLAIN).mix(black, "a", white, "b", weight, rng(seed), cut=True)
    assert mixed is not None
    assert isinstance(mixed.data, np.ndarray)
    assert set(np.unique(mixed.data)) <= {0.0, 1.0}
    assert mixed.weight == pytest.approx(float((mixed.data == 0).mean()), abs=1e-6)


def test_a_picture_does_not_mix_with_what_is_none() -> None:
    data, reading = encode_image(picture(8, 8, 3), "png"), PixelReading(PLAIN)
    assert reading.mix(data, "a", b"no picture", "b", 0.5, rng()) is None
    with pytest.raises(ValueError, match=r"^a: not a picture"):
        reading.mix(b"no picture", "a", data, "b", 0.5, rng())


def test_settings_survive_json_and_change_by_name() -> None:
    reading = PixelReading(PLAIN, CHANGES, max_bytes=100)
    assert reading.kept == PLAIN
    assert not reading.is_as_stored
    other = reading.altered(max_bytes=None, image_size=4)
    assert other.blank().shape == (4, 4, 3)
    with pytest.raises(ValueError, match="reads pixels, not bytes: there is no format"):
        reading.altered(max_bytes=None, format="tiff")


SEALED = seal(b"payload", Permutation.random(0).fingerprint, bytes(8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x/1: the file is empty"),
        (bytes(2000), "x/1: 2,000 bytes are more than max_bytes, 1,000"),
        (b"%PDF-1.7 ...", "x/1: not a picture in a known format"),
        (encode_image(picture(9, 9, 3), "png")[:80], "x/1: .*truncated"),
        (SEALED, "x/1 is sealed, but this model reads plain files"),
    ],
    ids=["empty", "long", "none", "cut off", "sealed"],
)
def test_what_cannot_be_read_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelReading(PLAIN, max_bytes=1000)(data, "x/1")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PixelsConfig(image_size=0), r"reading\.image_size is 0; it is a whole number, at least 1"),
        (PixelsConfig(image_size=2.5), r"reading\.image_size is 2\.5"),  # type: ignore[arg-type]
        (PixelsConfig(fit="cover"), r"reading\.fit is 'cover'; it is 'crop' or 'resize'"),  # type: ignore[arg-type]
        (PixelsConfig(mean=(0.5,)), r"reading\.mean is \(0\.5,\); it is three numbers"),  # type: ignore[arg-type]
        (PixelsConfig(std=(1.0, 0.0, 1.0)), r"reading\.std is \(1\.0, 0\.0, 1\.0\); it is three positive numbers"),
    ],
)
def test_senseless_settings_are_refused_at_once(config: PixelsConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_reading(config)


def test_a_key_is_for_bytes() -> None:
    with pytest.raises(ValueError, match="a key permutes bytes, but the model reads pixels"):
        make_reading(PLAIN, key=Permutation.random(0))
