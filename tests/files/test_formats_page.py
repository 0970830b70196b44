"""docs/formats.md says what the code does: the names, the lengths, what comes back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.media import (
    AUDIO_FORMATS,
    IMAGE_FORMATS,
    Audio,
    Image,
    decode,
    encode_audio,
    encode_image,
    suffix_of,
)

PAGE = (Path(__file__).parents[2] / "docs/formats.md").read_text()
PIXELS = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
SAMPLES = (0.5 * np.sin(np.arange(16_000) / 7) + 0.1 * np.cos(np.arange(16_000) / 2.3)).astype(np.float32)


def expand(cell: str) -> list[str]:
    """The names in a cell; `a1` to `a9` stands for all between."""
    found: list[str] = []
    for first, last in re.findall(r"`([^`]+)`(?: to `([^`]+)`)?", cell):
        if not last:
            found.append(first)
            continue
        before, low, after = re.fullmatch(r"(\D+)(\d+)(.*)", first).groups()  # type: ignore[union-attr]
        high = re.fullmatch(rf"{before}(\d+){after}", last)
        assert high, f"{first} to {last}"
        found += [f"{before}{number}{after}" for number in range(int(low), int(high[1]) + 1)]
    return found


ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_tables_hold_every_name_once() -> None:
    names = [name for row in ROWS for name in expand(row[0])]
    assert len(names) == len(set(names))
    assert set(names) == {*IMAGE_FORMATS, *AUDIO_FORMATS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:24])
def test_rows_are_true(row: list[str]) -> None:
    names, comes_back, length, suffix, _ = row
    every, pixels = expand(names), PIXELS if length else PIXELS[:40, :40]
    for name in {every[0], every[len(every) // 2], every[-1]}:
        assert suffix_of(name) == suffix
        kbps = int(name[4:-1]) if name.startswith("mp3:") else 0
        rate = 44_100 if kbps > 160 else 16_000
        data = encode_image(pixels, name) if name in IMAGE_FORMATS else encode_audio(SAMPLES, rate, name)
        if length:
            assert f"{len(data):,}" == length
        if comes_back == "not at all":
            with pytest.raises(ValueError, match="neither a picture nor a sound"):
                decode(b"\7" * len(data))
            continue
        medium = decode(data)
        if isinstance(medium, Image):
            assert np.array_equal(medium.pixels, pixels) == (comes_back == "exactly")
        else:
            check_sound(medium, comes_back)


def check_sound(sound: Audio, comes_back: str) -> None:
    if comes_back == "nearly":
        assert len(sound.samples) >= len(SAMPLES)
        return
    error = np.abs(sound.samples - SAMPLES).max()
    assert error == 0 if comes_back == "exactly" else error < 2**-7


def test_what_the_remarks_say() -> None:
    assert len(encode_image(PIXELS, "png:0")) == 150_864
    assert encode_image(PIXELS, "png") == encode_image(PIXELS, "png:6")
    assert encode_image(PIXELS, "jpeg") == encode_image(PIXELS, "jpeg:q75") == encode_image(PIXELS, "jpeg:q75:420")
    assert encode_image(PIXELS, "webp") == encode_image(PIXELS, "webp:q80")
    for short, full in (("wav", "wav:s16"), ("flac", "flac:5"), ("ogg", "ogg:q4")):
        assert encode_audio(SAMPLES, 16_000, short) == encode_audio(SAMPLES, 16_000, full)
