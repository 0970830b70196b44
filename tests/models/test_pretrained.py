"""A model is a folder: written whole or not at all, read without running anything."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch

from anybyte.batch import ByteBatch
from anybyte.models.byteformer import ByteFormer
from anybyte.models.zoo import create_model, list_models, load_pretrained
from tests.models.test_byteformer import SMALL, build

FILES = ["README.md", "config.json", "labels.json", "model.safetensors"]
LABELS = ["a", "b", "c", "d", "é"]


def save(folder: Path, seed: int = 0) -> ByteFormer:
    model = build(SMALL, seed)
    model.save_pretrained(folder, labels=LABELS, card="# A model\n")
    return model


def test_round_trip(tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == FILES
    loaded, labels = load_pretrained(tmp_path / "model")
    assert labels == tuple(LABELS)
    assert loaded.config == model.config
    assert not loaded.training
    batch = ByteBatch.from_bytes([b"abc" * 50])
    with torch.inference_mode():
        assert torch.equal(loaded(batch), model(batch))


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "model")
    before = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device, while writing a model: .*/model"):
        save(tmp_path / "model", seed=1)
    assert {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not valid JSON"),
        (lambda folder: (folder / "config.json").write_text("{}"), "does not name an architecture"),
        (lambda folder: (folder / "config.json").write_text('{"architecture": "Resnet"}'), "holds a Resnet"),
        (lambda folder: edit(folder, depths=4), "unknown fields depths"),
        (lambda folder: edit(folder, dim=48), r"of shape .* instead of"),
        (lambda folder: edit(folder, depth=3), "has unknown blocks.3"),
        (lambda folder: edit(folder, dim="wide"), "config.json.*dim must be a whole number.*'wide'"),
        (lambda folder: edit(folder, dim=100), "config.json.*dim 100 is not divisible by num_heads 3"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "model.bin"), "model.bin is a pickle"),
        (lambda folder: truncate(folder / "model.safetensors"), "not a readable safetensors file"),
        (lambda folder: (folder / "labels.json").write_text('["a"]'), "1 labels for a model with num_classes=5"),
        (lambda folder: (folder / "labels.json").write_text('{"a": 1}'), "labels.json is not a list of strings"),
    ],
)
def test_a_broken_folder_is_named(damage: object, message: str, tmp_path: Path) -> None:
    save(tmp_path / "model")
    damage(tmp_path / "model")  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        load_pretrained(tmp_path / "model")


def edit(folder: Path, **fields: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a model folder"):
        load_pretrained(tmp_path / "nowhere")


def test_labels_and_card_of_the_model_before_do_not_stay(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine")
    build(SMALL).save_pretrained(tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
        "notes.txt",
    ]


def test_the_number_of_labels_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 labels for a model with num_classes=5"):
        build(SMALL).save_pretrained(tmp_path / "model", labels=["a", "b"])
    assert not (tmp_path / "model").exists()


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match="byteformer_tiny"):
        create_model("byteformer_tny")
    with pytest.raises(ValueError, match="num_classes"):
        create_model("byteformer_nano", num_class=3)
    assert "byteformer_tiny" in list_models("byteformer*")
