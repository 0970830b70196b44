"""The benchmark of memory, on small models and in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anybyte.config import TokenInputConfig, TokenOutputConfig
from anybyte.files.images import decode_image
from benchmarks import measure, perceiver_memory
from tests.models.perceivers import small
from tests.predictor.builders import picture, save_picture

TEXT = b"The quick brown fox jumps over the lazy dog, and so on. " * 60


def test_the_middle_of_a_picture_is_cut(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png", 370, 500)
    cut = decode_image(perceiver_memory.cut_middle(path, tmp_path / "b.png").read_bytes()).pixels
    assert (cut == picture(370, 500)[1:369, 2:498]).all()
    with pytest.raises(ValueError, match="has 50x40 pixels, less than 496x368"):
        perceiver_memory.cut_middle(save_picture(tmp_path / "c.png", 40, 50), tmp_path / "d.png")


def test_every_eighth_word_is_blank() -> None:
    text = perceiver_memory.with_blanks(TEXT)
    assert len(text) == 2048
    assert text.startswith(b"The quick brown fox jumps over the ____ dog,")


def test_a_run_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "in_fresh_process", lambda function, *args: function(*args))
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow
    model = small(
        "perceiver_io_language",
        inputs=(TokenInputConfig(num_channels=16),),
        outputs=(TokenOutputConfig(query_channels=16),),
    )
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "a.txt").write_bytes(TEXT)
    perceiver_memory.main(
        ["--text", str(tmp_path / "a.txt"), "--model", f"fill={tmp_path / 'model'}", "--results", str(tmp_path)]
    )
    (kept,) = tmp_path.glob("perceiver_memory-*.json")
    document = json.loads(kept.read_text())
    run = document["results"]["fill"]
    assert run["peak_memory_bytes"] >= run["peak_memory_at_start_bytes"] > 10**8
    assert run["claimed_bytes"] is None
    with pytest.raises(SystemExit):
        perceiver_memory.main([])
