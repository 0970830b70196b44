from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anybyte.explain.layout import layout_of
from anybyte.explain.overlay import Overlay, blend, overlay, strengths
from anybyte.files.media import encode_audio, encode_image


def drawn(found: Overlay) -> NDArray[np.int64]:
    pixels = np.asarray(Image.open(io.BytesIO(found.png))).astype(np.int64)
    assert pixels.shape == (found.height, found.width, 3)
    return pixels


def redness(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    return pixels[..., 0] - pixels[..., 2]


@pytest.mark.parametrize("format", ["tiff", "bmp", "ppm", "png:0"])
def test_a_pixel_has_the_colour_of_its_bytes(format: str) -> None:
    pixels = np.full((6, 7, 3), 128, dtype=np.uint8)
    data = encode_image(pixels, format)
    layout = layout_of(data)
    assert layout is not None
    scores = np.zeros(len(data), dtype=np.float32)
    scores[layout.offsets[1, 2]] = 1
    scores[layout.offsets[4, 5, 0]] = -3
    found = overlay(data, scores)
    assert (found.kind, found.width % 7, found.height % 6) == ("picture", 0, 0)
    scale = found.width // 7
    red = redness(drawn(found))[scale // 2 :: scale, scale // 2 :: scale]
    assert red.shape == (6, 7)
    assert red[1, 2] > 50
    assert red[4, 5] < -50
    assert np.count_nonzero(red) == 2


def test_bytes_that_hold_no_pixel_are_not_drawn() -> None:
    data = encode_image(np.zeros((4, 4), dtype=np.uint8), "tiff")
    scores = np.zeros(len(data), dtype=np.float32)
    scores[:8] = 1
    assert not redness(drawn(overlay(data, scores))).any()


def test_a_compressed_picture_becomes_a_map_of_its_bytes() -> None:
    data = encode_image(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8), "jpeg")
    scores = np.zeros(len(data), dtype=np.float32)
    scores[100] = 1
    found = overlay(data, scores)
    assert found.kind == "map"
    width = 2 ** int(np.ceil(np.log2(len(data)) / 2))
    scale = found.width // width
    red = redness(drawn(found))[scale // 2 :: scale, scale // 2 :: scale]
    assert np.argwhere(red != 0).tolist() == [[100 // width, 100 % width]]
    assert f"{width} in a line" in found.about


def test_a_waveform_has_its_colours_in_time() -> None:
    samples = 0.3 * np.sin(np.arange(4000) / 9).astype(np.float32)
    samples[2000] = 1
    data = encode_audio(samples, 8000, "wav:s16")
    scores = np.zeros(len(data), dtype=np.float32)
    scores[44:2044] = 0.5  # the first quarter, all of it at once
    scores[6044:] = -0.5
    found = overlay(data, scores)
    assert found.kind == "waveform"
    assert "0.50 s" in found.about
    red = redness(drawn(found))
    quarter = found.width // 4
    corner = red[0]  # above the wave
    assert (corner[: quarter - 8] > 50).all()
    assert (corner[3 * quarter + 8 :] < -50).all()
    assert not corner[quarter + 8 : 3 * quarter - 8].any()


@pytest.mark.parametrize("format", ["wav:u8", "wav:s24", "wav:s32", "wav:f32", "wav:f64"])
def test_a_wave_is_drawn_from_any_samples(format: str) -> None:
    """Silence in the middle, the same loudness at both sides, whatever the samples are."""
    samples = np.concatenate([np.tile([0.8, -0.8], 500), np.zeros(1000), np.tile([0.8, -0.8], 500)])
    data = encode_audio(samples.astype(np.float32), 8000, format)
    dark = (drawn(overlay(data, np.zeros(len(data), dtype=np.float32))).sum(axis=2) < 100).sum(axis=0)
    width = len(dark)
    height = drawn(overlay(data, np.zeros(len(data), dtype=np.float32))).shape[0]
    assert (dark[: width // 4] > 0.9 * height).all()
    assert (dark[-width // 4 :] > 0.9 * height).all()
    assert dark[width // 3 + 3 : 2 * width // 3 - 3].max() < 8


@pytest.mark.parametrize("length", [1, 2, 44, 100_000])
def test_any_bytes_can_be_drawn(length: int) -> None:
    drawn(overlay(bytes(length), np.ones(length, dtype=np.float32)))


def test_one_sample_and_none() -> None:
    data = encode_audio(np.zeros(1, dtype=np.float32), 8000, "wav:s16")
    assert overlay(data, np.ones(len(data), dtype=np.float32)).kind == "waveform"
    assert overlay(data[:44], np.ones(44, dtype=np.float32)).kind == "map"


def test_what_is_too_large_is_made_smaller() -> None:
    data = encode_image(np.zeros((3, 5000), dtype=np.uint8), "tiff")
    found = overlay(data, np.ones(len(data), dtype=np.float32))
    assert found.width <= 2048
    assert "the mean of 3 x 3" in found.about
    drawn(found)


def test_scores_of_another_file() -> None:
    with pytest.raises(ValueError, match="2 scores do not fit 3 bytes"):
        overlay(b"abc", np.zeros(2, dtype=np.float32))
    with pytest.raises(ValueError, match="0 scores do not fit 0 bytes"):
        overlay(b"", np.zeros(0, dtype=np.float32))


def test_strengths() -> None:
    assert strengths(np.zeros(3)).tolist() == [0, 0, 0]
    assert strengths(np.array([2.0, -1.0, 0.0])) == pytest.approx([1, -0.505, 0], abs=0.01)
    few = np.zeros(1000)
    few[3] = -5
    assert strengths(few)[3] == -1


def test_no_score_leaves_the_grey() -> None:
    assert np.ptp(blend(np.array([0, 128, 255], dtype=np.uint8), np.zeros(3)), axis=-1).tolist() == [0, 0, 0]
