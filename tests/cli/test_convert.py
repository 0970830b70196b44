"""`anybyte convert`: what it recognises, what it refuses, what it writes."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anybyte import create_model, load
from anybyte.cli import convert, main
from anybyte.config import ImageInputConfig, PixelsConfig
from anybyte.files.media import encode_image
from anybyte.models.perceiver import Perceiver
from anybyte.models.pretrained import CARD, read_reading
from anybyte.models.zoo import load_pretrained, model_config
from anybyte.reading import PixelReading
from anybyte.weights import from_transformers
from anybyte.weights.reading import read_arrays
from tests.weights.golden import OWN, read_index
from tests.weights.haiku import tree_of
from tests.weights.test_transformers import Case

NAMES = ["ant", "bee", "cat", "dog", "elk"]


@pytest.fixture(scope="module")
def case() -> Case:
    folder = OWN / "hf_perceiver"
    return Case(
        folder, next(entry for entry in read_index(folder)["cases"] if entry["name"] == "sequence_classification")
    )


@pytest.fixture
def folder(case: Case, tmp_path: Path) -> Path:
    """A folder as transformers writes it."""
    path = tmp_path / "theirs"
    path.mkdir()
    config = {key: value for key, value in case.config.items() if key != "num_labels"}
    config |= {"model_type": "perceiver", "id2label": {str(index): name for index, name in enumerate(NAMES)}}
    (path / "config.json").write_text(json.dumps(config))
    save_file(case.state(), path / "model.safetensors")
    return path


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def split(folder: Path) -> dict[str, str]:
    """The same weights in two parts with an index."""
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    places = {name: f"pytorch_model-0000{index % 2 + 1}.bin" for index, name in enumerate(state)}
    for part in set(places.values()):
        torch.save({name: state[name] for name in state if places[name] == part}, folder / part)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def to_pickle(folder: Path, state: dict[str, torch.Tensor]) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")


@pytest.mark.parametrize("form", ["safetensors", "bin", "parts"])
def test_a_folder_of_transformers(form: str, case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if form != "safetensors":
        to_pickle(folder, case.state())
    if form == "parts":
        split(folder)
    target = folder.parent / "ours"
    assert main(["convert", str(folder), str(target)]) == 0
    assert "Perceiver, 32,365 parameters, 5 labels, semantics transformers" in capsys.readouterr().out
    model, labels = load_pretrained(target)
    assert labels == tuple(NAMES)
    expected = from_transformers(case.state(), case.config)
    assert model.config == expected.config
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), atol=0, rtol=0)
    card = (target / CARD).read_text()
    assert "PerceiverForSequenceClassification of Hugging Face transformers" in card
    assert "semantics transformers" in card


def test_semantics_of_deepmind(folder: Path) -> None:
    assert main(["convert", str(folder), str(folder.parent / "ours"), "--semantics", "deepmind"]) == 0
    config = load_pretrained(folder.parent / "ours")[0].config
    assert (config.gelu, config.masked_rows) == ("tanh", "zero")


def test_names_that_are_only_numbers_are_no_labels(folder: Path) -> None:
    change_config(folder, id2label={str(index): f"LABEL_{index}" for index in range(5)})
    assert main(["convert", str(folder), str(folder.parent / "ours")]) == 0
    assert load_pretrained(folder.parent / "ours")[1] is None


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["convert", *arguments]) == 2
    output = capsys.readouterr()
    assert len(output.err.splitlines()) == 1, output.err
    assert not output.out
    assert not Path(arguments[1]).exists()
    return output.err


class Payload:
    """What a malicious pickle would be."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("echo this must never run",))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder, state: (folder / "config.json").unlink(), "it has no config.json"),
        (lambda folder, state: (folder / "model.safetensors").unlink(), "has neither model.safetensors nor"),
        (lambda folder, state: change_config(folder, architectures=["BertModel"]), "architectures names BertModel"),
        (lambda folder, state: change_config(folder, architecture="Perceiver"), "a model folder of anybyte already"),
        (lambda folder, state: change_config(folder, id2label=dict.fromkeys("01235", "a")), "id2label has no class 4"),
        (lambda folder, state: change_config(folder, layer_norm_eps=0.1), "layer_norm_eps is 0.1"),
        (lambda folder, state: to_pickle(folder, state | {"x": Payload()}), "holds more than tensors"),
        (lambda folder, state: to_pickle(folder, {}), "it lacks latents; lacks"),
        (lambda folder, state: (folder / "config.json").write_text("{"), "is not valid JSON"),
    ],
)
def test_a_folder_that_is_refused(
    spoil: Any, message: str, case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder, case.state())
    assert message in refused([str(folder), str(folder.parent / "ours")], capsys)


def test_three_problems_are_named_and_the_others_counted(
    case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = case.state()
    missing = [name for name in state if "self_attends.1" in name]
    for name in missing:
        del state[name]
    save_file(state | {"stray": torch.zeros(1)}, folder / "model.safetensors")
    error = refused([str(folder), str(folder.parent / "ours")], capsys)
    assert "it has unknown stray; lacks blocks.0.1." in error
    assert error.rstrip().endswith(f"(and {len(missing) + 1 - 3} more)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.update({"x": "../model.bin"}), "names '../model.bin', which is not a file beside it"),
        (lambda places: places.update({"x": "gone.bin"}), "names gone.bin, which is missing"),
        (lambda places: places.update({"x": "pytorch_model-00001.bin"}), "promises x, which pytorch_model-00001.bin"),
        (lambda places: places.clear(), "has no weight_map"),
    ],
)
def test_an_index_that_is_refused(
    change: Any, message: str, case: Case, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to_pickle(folder, case.state())
    places = split(folder)
    change(places)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    assert message in refused([str(folder), str(folder.parent / "ours")], capsys)


def tree(case: Case) -> dict[str, Any]:
    return dict(tree_of(case.state(), case.entry["class"])[0])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_arrays_is_read(protocol: int, tmp_path: Path) -> None:
    given = OrderedDict(
        a={"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "s": np.float32(2)},
        b=[np.zeros(3, "<f2"), (1, "x", None)],
    )
    path = tmp_path / "arrays.pystate"
    path.write_bytes(pickle.dumps(given, protocol))
    read = read_arrays(path)
    assert list(read) == ["a", "b"]
    np.testing.assert_array_equal(read["a"]["w"], given["a"]["w"])
    assert read["a"]["s"] == 2
    assert read["b"][0].dtype == np.float16
    assert read["b"][1] == (1, "x", None)


def test_pickles_name_arrays_as_numpy_1_and_2_do(tmp_path: Path) -> None:
    """And Haiku's mappings, which are read as plain ones."""
    data = pickle.dumps({"w": np.ones(2)}, 2)
    assert b"numpy._core" in data
    for changed in (data.replace(b"numpy._core", b"numpy.core"), data):
        (tmp_path / "a").write_bytes(changed)
        np.testing.assert_array_equal(read_arrays(tmp_path / "a")["w"], np.ones(2))
    # FlatMapping({"w": 1.5}), as protocol 2 spells it
    (tmp_path / "b").write_bytes(
        b"\x80\x02chaiku._src.data_structures\nFlatMapping\n}X\x01\x00\x00\x00wG?\xf8\0\0\0\0\0\0s\x85R."
    )
    assert read_arrays(tmp_path / "b") == {"w": 1.5}


class Persistent(pickle.Pickler):
    def persistent_id(self, thing: Any) -> Any:
        return "elsewhere" if isinstance(thing, complex) else None


def persistent(path: Path) -> None:
    with path.open("wb") as file:
        Persistent(file).dump({"a": 1j})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "holds posix.system, which is no NumPy array; nothing of it is run"),
        ({"w": np.zeros(2), "evil": Payload()}, "holds posix.system"),
        ({"w": np.array([Payload()], dtype=object)}, "holds posix.system"),
        ({"w": Path("x")}, "holds pathlib"),
        ({"w": torch.zeros(2)}, "holds torch._utils._rebuild_tensor_v2"),
        ({"w": print}, "holds builtins.print"),
        ({"w": getattr}, "holds builtins.getattr"),
        ({"w": np.load}, "holds numpy.load"),
        ([np.zeros(2)], "does not hold a tree of arrays, but a list"),
        (b"no pickle", "is not a pickle of arrays, or a damaged one"),
        (b"", "is not a pickle of arrays, or a damaged one"),
        (pickle.dumps({"w": np.zeros(99)})[:-30], "is not a pickle of arrays, or a damaged one"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.", "_codecs.encode to hex"),
        (persistent, "a reference to something outside of it"),
    ],
)
def test_any_other_pickle_is_refused(
    content: Any, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pystate"
    if content is persistent:
        persistent(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    arguments = ["convert", str(path), str(tmp_path / "ours"), "--architecture", "perceiver_io_flow"]
    assert main(arguments) == 2
    output = capfd.readouterr()
    assert message in output.err
    assert str(path) in output.err
    assert "must never run" not in output.out
    assert not (tmp_path / "ours").exists()


def test_a_pickle_of_deepmind(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare parameters, and parameters beside the state of batch norm."""
    from anybyte.models import zoo
    from anybyte.weights.transformers import parse_options

    config = parse_options(case.config, "deepmind")
    monkeypatch.setitem(zoo._ZOO, "perceiver_io_tiny", (Perceiver, config))
    expected = from_transformers(case.state(), config)
    for content in (tree(case), {"params": tree(case), "state": {}}):
        path, target = tmp_path / "a.pystate", tmp_path / "ours"
        path.write_bytes(pickle.dumps(content))
        assert main(["convert", str(path), str(target), "--architecture", "perceiver_io_tiny"]) == 0
        model, labels = load_pretrained(target)
        assert labels is None
        torch.testing.assert_close(model.state_dict(), expected.state_dict(), atol=0, rtol=0)
        assert "parameters that DeepMind released" in (target / CARD).read_text()


def test_labels_from_a_file(folder: Path) -> None:
    (folder.parent / "names.txt").write_text("one\ntwo\nthree\nfour\nfünf\n")
    arguments = ["convert", str(folder), str(folder.parent / "ours"), "--labels", str(folder.parent / "names.txt")]
    assert main(arguments) == 0
    assert load_pretrained(folder.parent / "ours")[1] == ("one", "two", "three", "four", "fünf")


def test_what_a_file_is_has_to_be_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, weights = str(tmp_path / "ours"), str(folder / "model.safetensors")
    assert "say --architecture NAME" in refused([weights, ours], capsys)
    assert "No such file" in refused([str(tmp_path / "gone"), ours], capsys)
    assert "--config does not apply" in refused([str(folder), ours, "--config", "x"], capsys)
    assert "--architecture does not apply" in refused([str(folder), ours, "--architecture", "x"], capsys)
    both = [weights, ours, "--architecture", "perceiver_io_flow", "--config", "x"]
    assert "--config does not apply" in refused(both, capsys)
    config = str(folder / "config.json")
    assert f"is of transformers: convert its folder, {folder}" in refused([weights, ours, "--config", config], capsys)
    empty = tmp_path / "empty.pystate"
    empty.write_bytes(pickle.dumps({}))
    assert "did you mean perceiver_io_flow" in refused([str(empty), ours, "--architecture", "perceiver_io_fow"], capsys)
    assert "as perceiver_io_flow: " in refused([str(empty), ours, "--architecture", "perceiver_io_flow"], capsys)


def test_a_model_of_pictures_is_told_how_to_read_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = PixelsConfig(image_size=16)
    model = create_model(
        dataclasses.replace(
            model_config("perceiver_io_pixels_nano"),
            inputs=(ImageInputConfig(shape=(16, 16), positions=None),),
            num_latents=2,
        ),
        num_classes=3,
    )
    made = convert.Converted(model=model, origin="elsewhere", settings="none", labels=["a", "b", "c"])
    monkeypatch.setattr(convert, "_convert", lambda source, options: made)
    target = tmp_path / "ours"
    assert main(["convert", "theirs", str(target)]) == 0
    assert read_reading(target) == small
    picture = encode_image(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8), "jpeg")
    (answer,) = load(target, device="cpu").classify([picture], top=3)
    with torch.inference_mode():
        read = torch.from_numpy(PixelReading(small)(picture, "a"))
        expected = model.eval()(read[None]).softmax(dim=1)[0]
    assert answer.score == pytest.approx(float(expected.max()), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "reading"),
    [
        ("perceiver_io_pixels", PixelsConfig()),
        ("perceiver_io_conv", PixelsConfig()),
        ("perceiver_io_flow", None),
        ("perceiver_io_language", None),
        ("byteformer_tiny", None),
    ],
)
def test_only_models_of_pictures_read_pixels(name: str, reading: PixelsConfig | None) -> None:
    assert convert._reading(model_config(name)) == reading
