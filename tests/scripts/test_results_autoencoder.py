"""The page of the autoencoder, from made numbers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.evaluate.clips import AUDIO, VIDEO
from scripts.results_autoencoder import SPLIT, START, link_data, page, strip


def row(seen: bool, video: float, audio: float) -> dict[str, Any]:
    return {
        "seen": seen,
        "clips": 8,
        "video": dict(zip((*VIDEO, START), (video, 15.0, 27.0, 28.0, 26.5), strict=True)),
        "audio": dict(zip((*AUDIO, START), (audio, 40.0, 55.0, 41.5), strict=True)),
    }


RESULTS: dict[str, Any] = {
    "recipe": "small/autoencoder",
    "seed": 0,
    "steps": 1234,
    "clips_a_step": 4,
    "minutes": 21.4,
    "hardware": "a machine",
    "commit": "abc1234",
    "remark": "Grey is all theory.",
    "parameters": 1_500_000,
    "latents": [288, 128],
    "numbers": {"video": 32_768, "audio": 4_096, "clip": [10_240, 196_608]},
    "validation": {
        "first": {"step": 400, "image_psnr": 26.0, "audio_psnr": 41.0},
        "kept": {"step": 1200, "image_psnr": 29.0, "audio_psnr": 43.0},
    },
    "files": {"test/new.webm": row(False, 29.25, 44.0), "train/old.webm": row(True, 27.5, 39.0)},
}


def test_the_page_says_what_was_measured() -> None:
    text = page(RESULTS)
    assert "1,234 steps of 4 clips, 21 minutes, seed 0, on a machine" in text.replace("\n", " ")
    assert "| new.webm | 29.2 | 15.0 | 27.0 | 28.0 | 26.5 | 44.0 | 40.0 | 55.0 | 41.5 |" in text
    assert text.index("new.webm") < text.index("### Later in recordings") < text.index("old.webm")
    assert "bicubic on 2 of 2 files (+1.4 dB on average)" in text
    assert "bicubic, half the frames on 1 of 2 files (+0.4 dB on average)" in text
    assert "silence on 1 of 2 files (+1.5 dB on average)" in text
    assert "band limit on 0 of 2 files (-13.5 dB on average)" in text
    assert "--run.max_steps 1234" in text
    assert "Trained with the code of commit abc1234" in text
    assert "Grey is all theory." in text


def test_other_numbers_make_another_page() -> None:
    other = copy.deepcopy(RESULTS)
    other["files"]["test/new.webm"]["video"]["model"] = 20.0
    assert "bicubic on 1 of 2 files" in page(other)


def test_frames_are_laid_side_by_side() -> None:
    frames = np.linspace(0, 1, 16, dtype=np.float32)[:, None, None, None] * np.ones((16, 8, 8, 3), np.float32)
    picture = strip([("a", frames, frames, 1 - frames), ("b", frames, frames, frames)])
    pixels = np.asarray(picture)
    assert pixels[21, 91].tolist() == [0, 0, 0], "frame 1 as it is"
    assert pixels[21 + 32, 91].tolist() == [255, 255, 255], "the third row"
    assert pixels[21, 90 + 4 * 16 - 1].tolist() == [255, 255, 255], "the last column is frame 16"


def test_data_are_links_to_a_collection(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        link_data(tmp_path, tmp_path / "out")
    for names in SPLIT.values():
        for name in names:
            (tmp_path / name).write_bytes(b"x")
    link_data(tmp_path, tmp_path / "out")
    link_data(tmp_path, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/test").iterdir()) == sorted(SPLIT["test"])
    assert (tmp_path / "out/train/mdn_elf.webm").read_bytes() == b"x"
