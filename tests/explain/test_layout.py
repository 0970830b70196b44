"""The bytes at a layout's offsets are the values that a decoder finds."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from anybyte.explain.layout import Layout, layout_of
from anybyte.files.media import Audio, decode, encode_audio, encode_image

PLAIN = ("tiff", "bmp", "ppm", "png:0")


def picture(height: int, width: int, colour: bool, seed: int = 0) -> NDArray[np.uint8]:
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def values_at(data: bytes, layout: Layout) -> NDArray[np.uint8]:
    """The bytes at the offsets, after what a PNG's filters ask for."""
    stored = np.frombuffer(data, dtype=np.uint8)[layout.offsets].astype(np.int64)
    if layout.filters is None:
        return stored.astype(np.uint8)
    nothing = np.zeros(stored.shape[2], dtype=np.int64)
    for y, kind in enumerate(layout.filters):
        for x in range(stored.shape[1]):
            left = stored[y, x - 1] if x else nothing
            up = stored[y - 1, x] if y else nothing
            corner = stored[y - 1, x - 1] if x and y else nothing
            distances = [abs(left + up - corner - near) for near in (left, up, corner)]
            nearest = np.choose(np.argmin(distances, axis=0), [left, up, corner])
            stored[y, x] = (stored[y, x] + [nothing, left, up, (left + up) // 2, nearest][kind]) % 256
    return stored.astype(np.uint8)


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("format", PLAIN)
@settings(max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40), colour=st.booleans(), seed=st.integers(0, 99))
def test_pixels(format: str, height: int, width: int, colour: bool, seed: int) -> None:
    pixels = picture(height, width, colour, seed)
    data = encode_image(pixels, format)
    layout = layout_of(data)
    assert layout is not None
    assert layout.kind == "picture"
    assert np.array_equal(values_at(data, layout), pixels.reshape(height, width, -1))
    assert layout.filters is None or format == "png:0"
    assert len(np.unique(layout.offsets)) == layout.offsets.size


def test_a_png_of_several_stored_blocks() -> None:
    pixels = picture(120, 200, True)  # a stored block holds 65,535 bytes at most, and Pillow cuts chunks besides
    data = encode_image(pixels, "png:0")
    assert data.count(b"IDAT") > 1
    layout = layout_of(data)
    assert layout is not None
    assert np.array_equal(values_at(data, layout), pixels)


def test_a_png_with_transparency_and_one_with_a_palette() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    data = saved(Image.fromarray(rgba), format="PNG", compress_level=0)
    layout = layout_of(data)
    assert layout is not None
    assert np.array_equal(values_at(data, layout), rgba)
    indexed = Image.fromarray(picture(5, 40, False)).convert("P")
    data = saved(indexed, format="PNG", compress_level=0, bits=8)
    layout = layout_of(data)
    assert layout is not None
    assert np.array_equal(values_at(data, layout)[..., 0], np.asarray(indexed))


def test_rows_of_a_png_that_hold_differences_are_told() -> None:
    pixels = np.zeros((4, 3), dtype=np.uint8)
    data = bytearray(encode_image(pixels, "png:0"))
    layout = layout_of(bytes(data))
    assert layout is not None
    assert layout.filters is None
    data[int(layout.offsets[2, 0, 0]) - 1] = 1  # the filter byte of row 2; checksums are not looked at
    found = layout_of(bytes(data))
    assert found is not None
    assert found.filters is not None
    assert found.filters.tolist() == [0, 0, 1, 0]
    assert np.array_equal(found.offsets, layout.offsets)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
def test_a_tiff_of_strips_in_either_order(order: str, planar: bool) -> None:
    """Six rows of four pixels of 16 bits in strips of four rows, built by hand."""
    values = np.random.default_rng(0).integers(0, 2**16, (6, 4, 3), dtype=np.uint16)
    planes = [values[..., channel] for channel in range(3)] if planar else [values]
    strips = [plane[rows].astype(f"{order}u2").tobytes() for plane in planes for rows in (slice(0, 4), slice(4, 6))]
    places, pixels = [], b""
    for strip in strips:
        pixels += b"gap"
        places.append(8 + len(pixels))
        pixels += strip
    pixels += b"\0" * (len(pixels) % 2)
    bits, table = 8 + len(pixels), 8 + len(pixels) + 6
    directory = table + 4 * len(places)
    entries = [(256, 3, 1, 4), (257, 3, 1, 6), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, len(places), table), (277, 3, 1, 3), (278, 3, 1, 4), (284, 3, 1, 2 if planar else 1)]
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", directory) + pixels
    data += struct.pack(f"{order}3H", 16, 16, 16) + struct.pack(f"{order}{len(places)}I", *places)
    data += struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        data += struct.pack(f"{order}HHI", tag, kind, count)
        data += struct.pack(f"{order}HH" if short else f"{order}I", *((value, 0) if short else (value,)))
    data += bytes(4)
    layout = layout_of(data)
    assert layout is not None
    assert (layout.width, layout.is_little) == (2, order == "<")
    stored = values_at(data, layout).reshape(6, 4, 3, 2).copy().view(f"{order}u2")[..., 0]
    assert np.array_equal(stored, values)


def test_a_bmp_of_four_channels_and_one_from_the_top() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)
    data = bytearray(saved(Image.fromarray(rgba), format="BMP"))
    layout = layout_of(bytes(data))
    assert layout is not None
    assert np.array_equal(values_at(bytes(data), layout), rgba)
    struct.pack_into("<i", data, 22, -5)
    flipped = layout_of(bytes(data))
    assert flipped is not None
    assert np.array_equal(flipped.offsets, layout.offsets[::-1])


def test_a_ppm_of_two_bytes_with_a_comment() -> None:
    values = np.arange(12, dtype=">u2").reshape(2, 2, 3) * 1000
    values = values.astype(">u2")
    data = b"P6\n# a comment\n2 2\n65535\n" + values.tobytes()
    layout = layout_of(data)
    assert layout is not None
    assert (layout.width, layout.is_little) == (2, False)
    assert np.array_equal(values_at(data, layout).reshape(2, 2, 3, 2).copy().view(">u2")[..., 0], values)


@pytest.mark.parametrize("format", ["wav:u8", "wav:s16", "wav:s24", "wav:s32", "wav:f32", "wav:f64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples(format: str, channels: int) -> None:
    shape = (50,) if channels == 1 else (50, channels)
    samples = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    data = encode_audio(samples, 8000, format)
    layout = layout_of(data)
    assert layout is not None
    assert (layout.kind, layout.rate) == ("waveform", 8000)
    assert layout.offsets.shape == (50, channels, layout.width)
    stored = values_at(data, layout)
    if format in ("wav:f32", "wav:f64"):
        found = stored.copy().view(f"<f{layout.width}")[..., 0]
    elif format == "wav:u8":
        found = (stored[..., 0] - 127.5) / 127.5
    else:
        whole = stored.astype(np.float64) @ 256.0 ** np.arange(layout.width)
        top = 256.0**layout.width
        found = np.where(whole >= top / 2, whole - top, whole) / (top / 2 - 1)
    decoded = decode(data)
    assert isinstance(decoded, Audio)
    np.testing.assert_allclose(found.reshape(shape), decoded.samples, atol=1e-6)


@pytest.mark.parametrize("format", ["tiff:lzw", "tiff:deflate", "png:6", "jpeg", "webp", "gif"])
def test_what_is_compressed_has_no_layout(format: str) -> None:
    smooth = np.arange(20 * 30 * 3).reshape(20, 30, 3) // 16  # what is noise, deflate stores as it is
    assert layout_of(encode_image(smooth.astype(np.uint8), format)) is None


def test_what_is_unusual_has_none() -> None:
    bits = Image.fromarray(picture(8, 8, False)).convert("1")
    assert layout_of(saved(bits, format="PNG", compress_level=0)) is None
    assert layout_of(saved(bits, format="TIFF")) is None
    assert layout_of(saved(bits, format="BMP")) is None
    assert layout_of(b"P3\n1 1\n255\n1 2 3\n") is None
    for data in (b"", b"text", bytes(100), b"RIFF", b"\x89PNG\r\n\x1a\n"):
        assert layout_of(data) is None


@pytest.mark.parametrize("format", [*PLAIN, "wav:s16"])
def test_cut_files_have_none_or_a_shorter_one(format: str) -> None:
    if format.startswith("wav"):
        data = encode_audio(np.linspace(-1, 1, 40, dtype=np.float32), 8000, format)
    else:
        data = encode_image(picture(4, 5, True), format)
    for length in range(len(data)):
        layout = layout_of(data[:length])
        assert layout is None or int(layout.offsets.max()) < length
        assert layout is None or layout.kind == "waveform" or format in ("png:0", "bmp")  # which end in no pixel


def test_a_head_that_announces_too_much_makes_no_array() -> None:
    huge = bytearray(encode_image(picture(2, 2, True), "png:0"))
    struct.pack_into(">II", huge, 16, 2**31 - 1, 2**31 - 1)
    assert layout_of(bytes(huge)) is None
    assert layout_of(b"P6 99999999 99999999 255\n" + bytes(50)) is None


def peak_of(data: bytes) -> tuple[Layout | None, int]:
    """The layout, and the bytes of memory that looking for it took."""
    tracemalloc.start()
    try:
        return layout_of(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("claimed", [2**23, 2**32 - 1])
def test_a_chunk_that_claims_more_than_there_is_takes_no_memory_for_it(claimed: int) -> None:
    head = b"IHDR" + struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    layout, peak = peak_of(data + struct.pack(">I", claimed) + b"IDAT\x78\x01" + bytes(22))
    assert layout is None
    assert peak < 2**20


def tiff(entries: Sequence[tuple[int, int, int, int]], size: int = 100) -> bytes:
    """A little-endian TIFF of at least a size: (tag, type, count, value) each."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<I", 8) + body).ljust(size, b"\0")


GREY = {256: (3, 1, 4), 257: (3, 1, 4), 258: (3, 1, 8), 273: (4, 1, 150), 277: (3, 1, 1), 278: (3, 1, 4)}
"""Four by four pixels in one strip."""


def test_heads_of_nothing_have_no_layout() -> None:
    def grey(changes: dict[int, tuple[int, int, int]]) -> bytes:
        return tiff([(tag, *value) for tag, value in sorted((GREY | changes).items())], 200)

    assert layout_of(grey({})) is not None
    assert layout_of(grey({278: (3, 1, 0)})) is None
    assert layout_of(grey({277: (3, 1, 0), 284: (3, 1, 2)})) is None
    for tag in (256, 257, 277):
        assert layout_of(grey({tag: (3, 1, 0)})) is None
    for tag in GREY:
        assert layout_of(grey({tag: (3, 0, 0)})) is None, "a tag without a value"
    wav = bytearray(encode_audio(np.zeros(9, dtype=np.float32), 8000, "wav:s16"))
    assert layout_of(bytes(wav)) is not None
    struct.pack_into("<HH", wav, 32, 0, 0)  # bytes of a block, bits of a sample
    assert layout_of(bytes(wav)) is None


def test_tags_that_claim_the_whole_file_take_no_memory_for_it() -> None:
    size = 2**20
    entries = [(tag, 3, size // 2, 0) for tag in range(1000, 40_000)] + [(273, 4, size // 4, 0)] * 20_000
    _, peak = peak_of(tiff(entries, size))
    assert peak < size
