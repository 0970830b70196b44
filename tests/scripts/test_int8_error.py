"""Differences between precisions, measured on a run of made files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from anybyte.config import ByteFormerConfig, DataConfig
from anybyte.models import quantize
from anybyte.models.byteformer import ByteFormer
from anybyte.recipes.small.fsdd import wav
from anybyte.train.settings import recipe_json
from scripts import int8_error

needs_vnni = pytest.mark.skipif(not quantize._has_vnni(), reason="this processor has no AVX-512 VNNI")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    data, run = tmp_path / "data", tmp_path / "run"
    for label, name in enumerate(("a", "b")):
        (data / name).mkdir(parents=True)
        for number in range(20):
            content = bytes((label * 64 + place * number) % 256 for place in range(300 + number))
            (data / name / f"{number}.bin").write_bytes(content)
    torch.manual_seed(0)
    config = ByteFormerConfig(num_classes=2, dim=64, num_heads=2, depth=2, kernel_size=8, merge_after=(0,))
    ByteFormer(dataclasses.replace(config, initialisation="smooth")).save_pretrained(run / "model", labels=["a", "b"])
    recipe = dataclasses.replace(wav(), data=DataConfig(path=str(data), test_fraction=0.5))
    (run / "recipe.json").write_text(recipe_json(recipe))
    return run


@needs_vnni
def test_differences_are_measured_and_written(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    page.write_text(f"before\n{int8_error.BEGIN}\n{int8_error.END}\nafter\n")
    out = tmp_path / "int8.json"
    int8_error.main([str(run), "--files", "8", "--write", "--page", str(page), "--json", str(out)])
    rows = json.loads(out.read_text())["run"]
    assert rows["fp32"]["rms"] == 0
    assert rows["fp32"]["agree"] == 1
    assert 0 < rows["bf16"]["rms"] < 0.2
    assert 0 < rows["int8"]["rms"] < 0.3
    assert rows["int8"]["files"] == 8
    assert "| run | 8 | int8 |" in page.read_text()


def test_a_model_that_reads_something_else_is_named(run: Path) -> None:
    (run / "model" / "reading.json").write_text("{}")
    with pytest.raises(ValueError, match="does not read files as they are stored"):
        int8_error.differences(run, 8)
