from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image as Pillow

from anybyte.files.images import HEADERLESS, IMAGE_FORMATS, centre_square, decode_image, encode_image, sniff_image
from anybyte.files.media import decode, encode

LOSSLESS = ["tiff", "tiff:lzw", "tiff:deflate", "png", *(f"png:{level}" for level in range(10)), "bmp", "ppm"]
WITHOUT_GREY = ["webp:lossless"]
LOSSY = {"jpeg": 4, "jpeg:q60": 5, "jpeg:q100": 2, "jpeg:q100:444": 1, "jpeg:q90:422": 3, "webp": 5, "webp:q100": 3}
"""The largest mean error of each format over smooth pictures, in levels of 255."""
WITH_HEADER = [*LOSSLESS, *LOSSY, *WITHOUT_GREY, "gif"]

sides = st.integers(1, 12)
pictures = st.one_of(st.tuples(sides, sides), st.tuples(sides, sides, st.just(3))).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape)
)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def save(picture: Pillow.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, **options)
    return file.getvalue()


@given(pixels=pictures, format=st.sampled_from(LOSSLESS))
def test_lossless_formats_give_the_pixels_back(pixels: NDArray[np.uint8], format: str) -> None:
    image = decode_image(encode_image(pixels, format))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == np.uint8


@given(pixels=pictures, format=st.sampled_from(["webp:lossless", "gif"]))
def test_formats_without_grey_give_it_back_in_three_channels(pixels: NDArray[np.uint8], format: str) -> None:
    image = decode_image(encode_image(pixels, format))  # as many as 144 colours: GIF has room for them
    expected = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    np.testing.assert_array_equal(image.pixels, expected)


def smooth(height: int, width: int, slopes: tuple[float, ...]) -> NDArray[np.uint8]:
    """Ramps of another slope in each channel."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([128 + slope * (rows - columns) for slope in slopes], axis=-1).clip(0, 255).astype(np.uint8)


@settings(max_examples=40)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    slopes=st.tuples(*[st.floats(-2, 2)] * 3),
    format=st.sampled_from(sorted(LOSSY)),
    grey=st.booleans(),
)
def test_lossy_formats_give_back_nearly_the_pixels(
    height: int, width: int, slopes: tuple[float, ...], format: str, grey: bool
) -> None:
    pixels = smooth(height, width, slopes)
    pixels = pixels[..., 0] if grey else pixels
    image = decode_image(encode_image(pixels, format))
    given = pixels[..., None] if image.pixels.ndim > pixels.ndim else pixels
    assert np.abs(image.pixels.astype(int) - given).mean() <= LOSSY[format]


def test_gif_has_256_colours() -> None:
    pixels = smooth(64, 64, (2, -1, 0.5))
    image = decode_image(encode_image(pixels, "gif"))
    assert np.abs(image.pixels.astype(int) - pixels).mean() < 3
    assert len(np.unique(decode_image(encode_image(noise(64, 64, 3), "gif")).pixels.reshape(-1, 3), axis=0)) <= 256


@given(pixels=pictures, format=st.sampled_from(WITH_HEADER))
def test_equal_pixels_give_equal_bytes(pixels: NDArray[np.uint8], format: str) -> None:
    assert encode_image(pixels, format) == encode_image(pixels.copy(), format)


def test_every_listed_format_can_be_written() -> None:
    assert len(set(IMAGE_FORMATS)) == len(IMAGE_FORMATS)
    for format in IMAGE_FORMATS:
        assert encode_image(noise(5, 4, 3), format), format


def test_defaults_are_those_of_pillow() -> None:
    picture = Pillow.fromarray(noise(20, 30, 3))
    for format, options in {
        "tiff": {},
        "png": {},
        "jpeg": {},
        "jpeg:q60": {"quality": 60},
        "jpeg:q60:420": {"quality": 60},
        "webp": {},
        "gif": {},
        "bmp": {},
        "ppm": {},
    }.items():
        name = format.partition(":")[0]
        assert encode_image(np.asarray(picture), format) == save(picture, format=name, **options), format


def test_settings_make_smaller_files() -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 64, 3))
    lengths = {format: len(encode_image(ramp, format)) for format in IMAGE_FORMATS}
    assert lengths["tiff:deflate"] < lengths["tiff:lzw"] < lengths["tiff"]
    assert lengths["png:9"] < lengths["png:0"]
    colours = {format: len(encode_image(noise(64, 64, 3), format)) for format in ("jpeg:q60", "jpeg:q60:444")}
    assert colours["jpeg:q60"] < colours["jpeg:q60:444"]
    assert lengths["webp:q10"] <= lengths["webp:q95"]


@pytest.mark.parametrize(
    ("format", "length"), [("fhwc", 150_528), ("fchw", 150_528), ("tiff", 150_668), ("png:0", 150_864)]
)
def test_lengths_are_those_of_the_paper(format: str, length: int) -> None:
    assert len(encode_image(noise(224, 224, 3), format)) == length


def test_jpeg_is_close_to_the_picture_and_closer_at_higher_quality() -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None] * 3, (64, 64, 3))
    errors = [
        np.abs(decode_image(encode_image(ramp, f"jpeg:q{quality}")).pixels.astype(int) - ramp).mean()
        for quality in (20, 100)
    ]
    assert errors[1] < 1 < errors[0] < 10


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (9, 4, 3), (300, 400, 3)])
def test_tiff_is_what_pillow_writes(shape: tuple[int, ...]) -> None:
    pixels = noise(*shape)
    assert encode_image(pixels, "tiff") == save(Pillow.fromarray(pixels), format="tiff")


def test_headerless_formats_are_the_pixels_in_order() -> None:
    pixels = noise(2, 3, 3)
    assert encode_image(pixels, "fhwc") == bytes(pixels[i, j, c] for i in range(2) for j in range(3) for c in range(3))
    assert encode_image(pixels, "fchw") == bytes(pixels[i, j, c] for c in range(3) for i in range(2) for j in range(3))
    grey = noise(2, 3)
    assert encode_image(grey, "fhwc") == encode_image(grey, "fchw") == grey.tobytes()


def test_strided_pixels_are_written_like_any_others() -> None:
    pixels = noise(6, 5, 3)[:, ::-1]
    for format in IMAGE_FORMATS[:6]:
        assert encode_image(pixels, format) == encode_image(np.ascontiguousarray(pixels), format)


@pytest.mark.parametrize(
    "format",
    [
        *("jpeg:q1", "jpeg:q60", "jpeg:q75", "jpeg:q100", "webp", "webp:lossless", "gif"),
        *("tiff", "tiff:lzw", "tiff:deflate", "png:0", "png", "bmp", "ppm"),
    ],
)
@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_a_file_knows_its_own_format(format: str, shape: tuple[int, ...]) -> None:
    data = encode_image(noise(*shape), format)
    image = decode(data)
    assert image.format == format
    assert encode(image) == data or format.startswith(("jpeg", "webp", "gif"))


@pytest.mark.parametrize("sampling", ["444", "422", "420"])
def test_a_jpeg_knows_its_subsampling(sampling: str) -> None:
    image = decode(encode_image(noise(16, 16, 3), f"jpeg:q60:{sampling}"))
    assert image.format == ("jpeg:q60" if sampling == "420" else f"jpeg:q60:{sampling}")
    assert decode(encode_image(noise(16, 16), f"jpeg:q60:{sampling}")).format == "jpeg:q60"  # grey has no colours


def test_a_jpeg_with_foreign_tables_takes_the_nearest_quality() -> None:
    with Pillow.open(io.BytesIO(encode_image(noise(8, 8), "jpeg:q60"))) as picture:
        table = picture.quantization[0]
    table[5] += 1
    data = save(Pillow.fromarray(noise(8, 8)), format="jpeg", qtables=[table])
    assert decode_image(data).format == "jpeg:q60"


def test_modes_beyond_grey_and_rgb_are_converted() -> None:
    rgb = noise(4, 4, 3)
    with_alpha = np.dstack([rgb, noise(4, 4)])
    np.testing.assert_array_equal(decode_image(save(Pillow.fromarray(with_alpha), format="png")).pixels, rgb)
    deep = (noise(4, 4).astype(np.uint16) << 8) + 7
    np.testing.assert_array_equal(decode_image(save(Pillow.fromarray(deep), format="png")).pixels, noise(4, 4))
    bits = noise(4, 4) > 127
    np.testing.assert_array_equal(decode_image(save(Pillow.fromarray(bits), format="png")).pixels, bits * np.uint8(255))


def test_a_palette_with_transparency_is_read_without_a_warning() -> None:
    palette = Pillow.fromarray(noise(4, 4, 3)).quantize(8)
    data = save(palette, format="png", transparency=bytes([0, 128, 255]))
    assert decode_image(data).pixels.shape == (4, 4, 3)


def test_tiffs_of_other_programs_are_read_too() -> None:
    pixels = noise(9, 7, 3)
    for data in (
        save(Pillow.fromarray(pixels), format="tiff", compression="packbits"),
        save(Pillow.fromarray(pixels), format="tiff", big_tiff=False, description="a longer head"),
    ):
        np.testing.assert_array_equal(decode_image(data).pixels, pixels)


@pytest.mark.parametrize("format", WITH_HEADER)
@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 3)])
def test_a_truncated_picture_is_an_error_that_names_it(format: str, shape: tuple[int, ...]) -> None:
    data = encode_image(noise(*shape), format)
    for length in (len(data) - 1, len(data) // 2, 60):
        with pytest.raises(ValueError, match=r"^shots/7\.img: "):
            decode(data[:length], "shots/7.img")


@given(
    data=st.binary(max_size=80),
    magic=st.sampled_from(
        [b"II*\0\x08\0\0\0\x0a\0", b"BM" + bytes(12) + b"(\0\0\0", b"P6 1", b"\xff\xd8\xff", b"GIF89a"]
    ),
)
def test_rubbish_is_an_error_that_names_it(data: bytes, magic: bytes) -> None:
    try:
        image = decode_image(magic + data, "rubbish")
    except ValueError as error:
        assert str(error).startswith("rubbish: ")  # noqa: PT017
    else:
        assert image.pixels.size


def test_a_tiff_that_claims_a_huge_size_costs_nothing() -> None:
    data = bytearray(encode_image(noise(4, 4, 3), "tiff"))
    data[18:22] = data[30:34] = (0xFFFFFFFF).to_bytes(4, "little")
    with pytest.raises(ValueError, match="liar"):
        decode_image(bytes(data), "liar")


@pytest.mark.parametrize("pixels", [noise(4, 4).astype(np.int64), noise(4, 4, 4), noise(4), noise(0, 4, 3)])
def test_an_array_that_is_no_picture_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="picture"):
        encode_image(pixels, "png")


def test_a_picture_too_large_for_a_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[1, 70000\] cannot be written as (jpeg|webp)"):
        encode_image(noise(1, 70_000), "jpeg")
    with pytest.raises(ValueError, match="cannot be written as webp"):
        encode_image(noise(1, 20_000), "webp")


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    for name in ("tif", "png:10", "jpeg:q0", "wav"):
        with pytest.raises(
            ValueError, match=rf"{name}.*fhwc, fchw, tiff, .*png, png:0 to png:9, jpeg, jpeg:q1 to jpeg:q100"
        ):
            encode_image(noise(4, 4), name)


def test_headerless_files_cannot_be_decoded() -> None:
    for format in HEADERLESS:
        with pytest.raises(ValueError, match=r"^raw\.bin: neither a picture nor a sound"):
            decode(encode_image(np.full((4, 4, 3), 7, dtype=np.uint8), format), "raw.bin")


@pytest.mark.parametrize(
    "head", [b"P6\n# by a program\n# in two lines\n2 1\n255\n", b"P6 2 1 255\n", b"P6\t#\n2\n1 255 "]
)
def test_ppm_with_comments_is_read(head: bytes) -> None:
    assert decode_image(head + b"abcdef").pixels.tobytes() == b"abcdef"


@pytest.mark.parametrize("text", [b"P1", b"P3 and more", b"P6# 2 1 255", b"BM", b"BM, and text that goes on for long"])
def test_text_is_not_mistaken_for_a_picture(text: bytes) -> None:
    assert sniff_image(text) is None


@pytest.mark.parametrize("shape", [(300, 400, 3), (411, 300), (256, 256), (20, 31, 3)])
@pytest.mark.parametrize("size", [1, 32, 224])
def test_the_centre_square_is_that_of_resizing_and_cropping(shape: tuple[int, ...], size: int) -> None:
    pixels = smooth(*shape[:2], (0.4, -0.2, 0.1))
    pixels = pixels if len(shape) == 3 else pixels[..., 0]
    short = round(size * 256 / 224)
    height, width = (side * short // min(shape[:2]) for side in shape[:2])
    resized = np.asarray(Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BICUBIC))
    top, left = round((height - size) / 2), round((width - size) / 2)
    expected = resized[top : top + size, left : left + size]
    np.testing.assert_allclose(centre_square(pixels, size).astype(int), expected, atol=1)


def test_a_square_of_the_size_stays_as_it_is_and_a_strip_costs_little() -> None:
    pixels = noise(32, 32, 3)
    assert centre_square(pixels, 32) is pixels
    assert centre_square(noise(1, 30_000, 3), 224).shape == (224, 224, 3)
    with pytest.raises(ValueError, match="image_size is 0"):
        centre_square(pixels, 0)
