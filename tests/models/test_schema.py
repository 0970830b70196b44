"""Schemas: what they mean, what they refuse, and that they come back from files and models."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import anybyte
from anybyte.config import (
    ArrayInputConfig,
    ClassOutputConfig,
    EntityOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LearnedPositionsConfig,
)
from anybyte.models.perceiver import Perceiver
from anybyte.models.schema import InputSchema, OutputSchema, Schema, SizeSchema
from anybyte.models.schema_files import parse_schema, read_schema
from anybyte.models.zoo import create_model, load_pretrained

TWO_PICTURES = """\
# two pictures and a series -> a class and the second picture again
inputs:
  first: {kind: image, shape: [8, 8, 3], patch: 4}
  second: {kind: image, shape: [8, 8, 3], patch: [2, 4]}
  series: {kind: series, shape: [24, 2], patch: 8, hide: 0.25}
outputs:
  motion: {classes: [left, right, still]}
  rebuilt: {reconstructs: second, loss: mse, weight: 0.5, rows: 16}
size: {latents: 4, width: 16, layers: 1, heads: 2}
"""

IN_TOML = """\
[inputs]
first = {kind = "image", shape = [8, 8, 3], patch = 4}
second = {kind = "image", shape = [8, 8, 3], patch = [2, 4]}
series = {kind = "series", shape = [24, 2], patch = 8, hide = 0.25}
[outputs.motion]
classes = ["left", "right", "still"]
[outputs.rebuilt]
reconstructs = "second"
loss = "mse"
weight = 0.5
rows = 16
[size]
latents = 4
width = 16
layers = 1
heads = 2
"""

EVERY_KIND = """\
inputs:
  image: {kind: image, shape: [8, 8, 1], positions: none}
  series: {kind: series, shape: [12, 2], positions: learned}
  clip: {kind: video, shape: [2, 4, 4, 3], patch: [1, 2, 2]}
  sound: {kind: audio, shape: 32, patch: 8}
  mels: {kind: mel, shape: [6, 4], patch: [1, 4]}
  volume: {kind: array, shape: [4, 4, 4, 1], patch: 2, bands: 3}
  units: {kind: set, shape: 5}
  cloud: {kind: points, shape: 3}
  words: {kind: tokens, shape: 10, vocabulary: 20}
  label: {kind: label, classes: 4, hide: 1}
  file: {kind: bytes, kernel: 8}
outputs:
  what: {classes: 3, label_smoothing: 0.1}
  tags: {classes: 5, loss: binary_cross_entropy}
  where: {values: 2}
  again: {reconstructs: image, positions: learned}
  sound_again: {reconstructs: sound, peak: 2}
  mels_again: {reconstructs: mels}
  words_again: {reconstructs: words, rows: 4}
  parts: {shape: [4, 4], classes: 3}
  moves: {of: units, classes: 2}
size: {latents: 4, width: 16, layers: 1, heads: 2}
"""


def test_a_schema_becomes_a_model() -> None:
    schema = parse_schema(TWO_PICTURES)
    config, task = schema.config(), schema.task()
    first, second, series = config.inputs
    assert isinstance(first, ImageInputConfig)
    assert first.shape == (8, 8)
    assert first.patch == (4, 4)
    assert first.positions == FourierPositionsConfig(num_bands=8, max_resolution=(2, 2))
    assert second.patch == (2, 4)
    assert isinstance(series, ArrayInputConfig)
    assert series.mask_probability == 0.25
    assert isinstance(config.outputs[0], ClassOutputConfig)
    assert config.outputs[0].num_classes == 3
    assert isinstance(config.outputs[1], GridOutputConfig)
    assert (config.outputs[1].shape, config.outputs[1].num_channels) == ((8, 8), 3)
    motion, rebuilt = task.losses
    assert (motion.loss, motion.labels, motion.weight) == ("cross_entropy", ("left", "right", "still"), 1.0)
    assert (rebuilt.loss, rebuilt.target, rebuilt.weight, rebuilt.rows) == ("mse", "second", 0.5, 16)


def test_the_same_in_yaml_toml_and_python() -> None:
    schema = Schema(
        inputs=(
            InputSchema(name="first", kind="image", shape=(8, 8, 3), patch=4),
            InputSchema(name="second", kind="image", shape=(8, 8, 3), patch=(2, 4)),
            InputSchema(name="series", kind="series", shape=(24, 2), patch=8, hide=0.25),
        ),
        outputs=(
            OutputSchema(name="motion", classes=("left", "right", "still")),
            OutputSchema(name="rebuilt", reconstructs="second", loss="mse", weight=0.5, rows=16),
        ),
        size=SizeSchema(latents=4, width=16, layers=1, heads=2),
    )
    assert parse_schema(TWO_PICTURES) == parse_schema(IN_TOML, is_toml=True) == schema


@pytest.mark.parametrize("text", [TWO_PICTURES, EVERY_KIND], ids=["two pictures", "every kind"])
def test_comes_back_from_a_file_and_from_a_config(text: str, tmp_path: Path) -> None:
    schema = parse_schema(text)
    file = tmp_path / "again.yaml"
    file.write_text(schema.to_yaml())
    assert read_schema(file) == schema
    from_config = Schema.from_config(schema.config(), schema.task())
    assert from_config.config() == schema.config()
    assert from_config.task() == schema.task()
    assert parse_schema(from_config.to_yaml()) == from_config


def test_every_kind_makes_a_model_that_answers() -> None:
    model = Perceiver(parse_schema(EVERY_KIND).config())
    like = {
        "image": (8, 8, 1), "series": (12, 2), "clip": (2, 4, 4, 3), "sound": (32,), "mels": (6, 4),
        "volume": (4, 4, 4, 1), "units": (7, 5), "cloud": (9, 3), "label": (4,),
    }  # fmt: skip
    arrays: dict[str, Any] = {name: torch.rand(2, *shape) for name, shape in like.items()}
    arrays["words"] = torch.randint(20, (2, 10))
    arrays["file"] = anybyte.ByteBatch.from_bytes([b"some bytes", b"more of them, and longer"])
    answers = model(arrays)
    assert {name: tuple(answer.shape[1:]) for name, answer in answers.items()} == {
        "what": (3,), "tags": (5,), "where": (2,), "again": (8, 8, 1), "sound_again": (32,), "mels_again": (6, 4),
        "words_again": (10, 20), "parts": (4, 4, 3), "moves": (7, 2),
    }  # fmt: skip


def test_usual_losses() -> None:
    losses = {loss.output: loss.loss for loss in parse_schema(EVERY_KIND).task().losses}
    assert losses == {
        "what": "cross_entropy", "tags": "binary_cross_entropy", "where": "mse", "again": "l1", "sound_again": "l1",
        "mels_again": "l1", "words_again": "cross_entropy", "parts": "cross_entropy", "moves": "cross_entropy",
    }  # fmt: skip


def test_create_model_takes_a_schema_its_file_and_a_config(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(IN_TOML)
    schema = read_schema(file)
    for given in (schema, file, str(file), schema.config()):
        model = create_model(given)
        assert model.config == schema.config()
        assert model.num_classes == 3
    assert create_model(schema, num_classes=7).num_classes == 7
    assert create_model(file, num_latents=9).config.num_latents == 9


def test_a_model_folder_comes_back_as_its_schema(tmp_path: Path) -> None:
    schema = parse_schema(TWO_PICTURES)
    create_model(schema).save_pretrained(tmp_path / "model")
    model, _ = load_pretrained(tmp_path / "model")
    assert Schema.from_config(model.config, schema.task()).config() == schema.config()


def test_a_model_that_no_schema_makes_is_refused() -> None:
    config = parse_schema(TWO_PICTURES).config()
    with pytest.raises(ValueError, match="num_blocks=3; the nearest has 1"):
        Schema.from_config(dataclasses.replace(config, num_blocks=3))
    flow = anybyte.create_model("perceiver_io_flow_nano").config
    with pytest.raises(ValueError, match=r"kind 'flow', as 'frames' is"):
        Schema.from_config(flow)


def test_positions_follow_the_shape() -> None:
    schema = parse_schema("inputs: {a: {shape: [6, 100, 2], patch: [1, 2]}}\noutputs: {b: {values: 1}}")
    (part,) = schema.config().inputs
    assert isinstance(part, ArrayInputConfig)
    assert part.positions == FourierPositionsConfig(num_bands=50, max_resolution=(6, 50))
    learned = parse_schema("inputs: {a: {shape: [6, 2], positions: learned}}\noutputs: {b: {values: 1}}")
    (part,) = learned.config().inputs
    assert isinstance(part, ArrayInputConfig)
    assert part.positions == LearnedPositionsConfig(num_channels=128)


def test_entities_are_those_of_the_only_input_unless_said() -> None:
    schema = parse_schema("inputs: {units: {kind: set, shape: 4}}\noutputs: {b: {kind: entities, values: 3}}")
    assert schema.config().outputs == (EntityOutputConfig(name="b", num_channels=3),)


def changed(old: str, new: str) -> str:
    assert TWO_PICTURES.count(old) == 1
    return TWO_PICTURES.replace(old, new)


MISTAKES = {
    "misspelt key": (changed("patch: 8", "pach: 8"), "line 5: inputs.series.pach: unknown; did you mean 'patch'?"),
    "misspelt part": (changed("outputs:", "ouputs:"), "line 6: ouputs: unknown; did you mean 'outputs'?"),
    "misspelt size": (changed("latents", "latent"), "line 9: size.latent: unknown; did you mean 'latents'?"),
    "unknown kind": (changed("kind: series", "kind: seris"), "line 5: inputs.series: there is no kind 'seris'"),
    "patch and shape": (
        changed("shape: [8, 8, 3], patch: 4", "shape: [8, 10, 3], patch: 4"),
        r"line 3: inputs.first: .* shape \(8, 10\) cannot be cut into patches of \(4, 4\)",
    ),
    "patch of other axes": (changed("[2, 4]", "[2, 4, 1]"), r"'second' .* has 2 axes .* a patch of \[2, 4, 1\]"),
    "a name twice": (changed("  second:", "  first:"), "line 4: inputs.first is given twice, first on line 3"),
    "a key twice": (changed("patch: 8,", "patch: 8, patch: 4,"), "line 5: inputs.series.patch is given twice"),
    "no such input": (
        changed("reconstructs: second", "reconstructs: secnd"),
        "line 8: outputs.rebuilt: output 'rebuilt' reconstructs 'secnd', which is no input: did you mean 'second'",
    ),
    "loss of another kind": (
        changed("loss: mse", "loss: cross_entropy"),
        "line 8: .*cannot reconstruct input 'second' of kind 'image'",
    ),
    "no such loss": (changed("loss: mse", "loss: msee"), "output 'rebuilt' of kind 'grid' has no loss 'msee': did you"),
    "loss that does not fit": (
        changed("classes: [left, right, still]", "values: 3, label_smoothing: 0.1"),
        "line 7: outputs.motion: output 'motion' of kind 'values' has no label_smoothing",
    ),
    "field of another kind": (changed("patch: 8", "vocabulary: 8"), "'series' of kind 'series' has no vocabulary; it"),
    "more rows than places": (changed("rows: 16", "rows: 65"), "has 64 places: rows must lie in 1 to that, got 65"),
    "heads and width": (changed("heads: 2", "heads: 3"), "line 9: size: width 16 cannot be shared by 3 heads"),
    "wrong rank": (changed("[24, 2]", "[24]"), r"'series' of kind 'series' must have a shape \[steps, channels\], got"),
    "no shape": (changed(", shape: [24, 2]", ""), r"'series' of kind 'series' needs a shape \[steps, channels\]"),
    "wrong type": (changed("patch: 8", "patch: large"), "line 5: inputs.series.patch: must be a whole number"),
    "a number for a word": (changed("loss: mse", "loss: 3"), "line 8: outputs.rebuilt.loss: must be a word, got 3"),
    "no fields": (changed("{classes: [left, right, still]}", "3"), "line 7: outputs.motion: must be a mapping"),
    "taken name": (changed("  motion:", "  values:"), "torch keeps the name 'values' for itself"),
    "odd name": (changed("  motion:", "  mo.tion:"), "named by letters, digits, _ and -, got 'mo.tion'"),
    "negative weight": (changed("weight: 0.5", "weight: -1"), "weight must be at least 0 and finite, got -1.0"),
    "hidden share": (changed("hide: 0.25", "hide: 2"), "line 5: inputs.series: .*hide must lie in 0 to 1, got 2.0"),
    "patch of nothing": (changed("patch: 8", "patch: 0"), "line 5: inputs.series: .* needs patch of at least 1, got 0"),
    "misspelt positions": (
        changed("patch: 8", "positions: fourrier"),
        "line 5: inputs.series: .* has no positions 'fourrier': did you mean 'fourier'",
    ),
    "no bands": (changed("patch: 8", "bands: 0"), "line 5: inputs.series: .* needs bands of at least 1, got 0"),
    "bands of a table": (changed("patch: 8", "positions: learned, bands: 4"), "positions 'learned', which have no b"),
    "no positions of an answer": (changed("loss: mse", "positions: none"), "line 8: .* has no positions 'none'"),
    "odd kernel": ("inputs: {a: {kind: bytes, kernel: 7}}\noutputs: {b: {classes: 2}}", "line 1: inputs.a: .* an even"),
    "no kernel": ("inputs: {a: {kind: bytes, kernel: 0}}\noutputs: {b: {classes: 2}}", "line 1: inputs.a: .*, got 0"),
    "odd width": (
        "inputs: {a: {kind: bytes}}\noutputs: {b: {classes: 2}}\nsize: {width: 33, heads: 1}",
        "line 1: inputs.a: .* need an even width, not size.width 33",
    ),
    "nothing to guess from": (
        "inputs: {a: {shape: [4, 1], hide: 0.5}}\noutputs: {b: {classes: 2}}",
        "line 1: inputs.a: input 'a' is the only one: hide is for",
    ),
    "a table of many axes": (
        "inputs: {a: {shape: [2, 2, 2, 2, 1], positions: learned}}\noutputs: {b: {classes: 2}}",
        "line 1: inputs.a: .* has 4 axes; learned positions are for 1 to 3",
    ),
    "no such entities": (
        "inputs: {units: {kind: set, shape: 3}}\noutputs: {b: {of: unit, values: 2}}",
        "line 2: outputs.b: .* is of 'unit', which is no input: did you mean 'units'",
    ),
    "a class twice": (changed("[left, right, still]", "[left, right, left]"), "line 7: .* two classes named 'left'"),
    "empty": ("", "is not a schema: it has no inputs and outputs"),
    "no outputs": (TWO_PICTURES[: TWO_PICTURES.index("outputs")], "a schema needs outputs; this one has none"),
    "broken YAML": (changed("patch: 4}", "patch: 4"), r"line \d+ is not valid YAML"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_by_their_place(mistake: str) -> None:
    text, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message) as caught:
        parse_schema(text, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml")


def test_mistakes_in_toml_and_of_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine: inputs.series.pach: unknown; did you mean 'patch'"):
        parse_schema(IN_TOML.replace("patch = 8", "pach = 8"), "mine", is_toml=True)
    with pytest.raises(ValueError, match=r"mine is not valid TOML: .*line 2"):
        parse_schema(IN_TOML.replace("patch = 4}", "patch = }", 1), "mine", is_toml=True)
    with pytest.raises(ValueError, match=r"schema.txt is not a schema: expected a file that ends in \.yaml"):
        read_schema("schema.txt")
    with pytest.raises(FileNotFoundError):
        read_schema(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"inputs: \xff")
    with pytest.raises(ValueError, match=r"latin\.yaml is not UTF-8"):
        read_schema(tmp_path / "latin.yaml")


def test_two_entries_of_one_name_are_refused_in_python_too() -> None:
    part = InputSchema(name="a", kind="set", shape=(3,))
    with pytest.raises(ValueError, match="two inputs are named 'a'"):
        Schema(inputs=(part, part), outputs=(OutputSchema(name="b", values=1),)).config()
    with pytest.raises(ValueError, match="two outputs are named 'b'"):
        Schema(inputs=(part,), outputs=(OutputSchema(name="b", values=1),) * 2).config()
