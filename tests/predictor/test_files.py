from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import anybyte
from anybyte.batch import ByteBatch
from anybyte.predictor import Failure, Prediction, Predictor
from tests.tiny_model import LABELS, SHAPE, save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return anybyte.load(folder, device="cpu")


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model's folder, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "broken"))


def some_files(count: int, longest: int = 3000) -> list[bytes]:
    rng = random.Random(0)
    return [rng.randbytes(rng.randint(1, longest)) for _ in range(count)]


def test_paths_bytes_and_open_files_give_the_same_answer(predictor: Predictor, tmp_path: Path) -> None:
    data = bytes(range(200))
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    spaced = memoryview(b"".join(bytes([value, 0]) for value in data))[::2]
    with open(path, "rb") as file:
        items = [str(path), path, data, bytearray(data), memoryview(data), spaced, file, io.BytesIO(data)]
        answers = predictor.classify(items)
    assert len({(answer.label, answer.score) for answer in answers}) == 1
    assert [answer.path for answer in answers] == [str(path), str(path), None, None, None, None, str(path), None]


def test_an_answer_is_the_softmax_of_the_models_logits(predictor: Predictor) -> None:
    data = b"some bytes"
    [answer] = predictor.classify([data], top=6)
    with torch.inference_mode():
        expected = predictor.model(ByteBatch.from_bytes([data])).softmax(dim=1)[0]
    assert [label for label, _ in answer.top] == [LABELS[i] for i in expected.argsort(descending=True)]
    assert sum(score for _, score in answer.top) == pytest.approx(1)
    assert (answer.label, answer.score) == answer.top[0]
    assert answer.score == pytest.approx(float(expected.max()))


def test_answers_come_in_order_and_do_not_depend_on_company(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = some_files(60)
    together = predictor.classify(files)
    alone = [predictor.classify([data])[0] for data in files]
    assert len({answer.label for answer in alone}) > 1
    assert [answer.label for answer in together] == [answer.label for answer in alone]
    assert [answer.score for answer in together] == pytest.approx([answer.score for answer in alone], abs=1e-6)
    monkeypatch.setattr("anybyte.evaluate.packing.WINDOW_FILES", 7)
    monkeypatch.setattr(predictor, "batch_bytes", 2000)
    assert [answer.label for answer in predictor.classify(files)] == [answer.label for answer in alone]


def test_the_originals_numerics_give_each_file_the_answer_it_has_alone() -> None:
    model = anybyte.create_model("byteformer_nano", **SHAPE, kernel_size=8, numerics="corenet")
    predictor = Predictor(model, LABELS)
    rng = random.Random(0)
    files = [rng.randbytes(length) for length in (500, 8, 30, 9, 30, 500, 77, 8)]
    alone = [predictor.classify([data])[0].score for data in files]
    assert [answer.score for answer in predictor.classify(files)] == pytest.approx(alone, abs=1e-6)
    short = list(predictor.stream([bytes(50), bytes(7)]))[1]
    assert isinstance(short, Failure)
    assert re.match("item 1: numerics='corenet' needs .* kernel_size=8 bytes", str(short.error))


def test_top_is_at_most_the_number_of_labels(predictor: Predictor) -> None:
    assert [len(predictor.classify([b"x"], top=top)[0].top) for top in (1, 3, 100)] == [1, 3, len(LABELS)]


def test_below_the_threshold_the_label_is_unknown(predictor: Predictor) -> None:
    [sure] = predictor.classify([b"x"])
    [unsure] = predictor.classify([b"x"], threshold=min(1.0, sure.score + 1e-6))
    assert (unsure.label, unsure.score, unsure.top, unsure.unknown) == ("unknown", sure.score, sure.top, True)
    assert predictor.classify([b"x"], threshold=sure.score) == [sure]


def test_no_items_no_answers(predictor: Predictor) -> None:
    assert predictor.classify([]) == []


@pytest.mark.parametrize("single", ["a.bin", Path("a.bin"), b"data", bytearray(b"data"), io.BytesIO(b"data")])
def test_a_single_item_is_refused(predictor: Predictor, single: Any) -> None:
    with pytest.raises(ValueError, match="expected a list of items"):
        predictor.classify(single)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_options_out_of_range_are_named(predictor: Predictor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predictor.classify([b"x"], **options)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (b"", "item 1 is empty"),
        (io.BytesIO(), "item 1 is empty"),
        (io.StringIO("text"), "item 1 is a file opened as text"),
        (12, "item 1 is int, expected a path, bytes or an open binary file"),
        (None, "item 1 is NoneType"),
    ],
)
def test_items_without_a_path_are_named_by_their_number(predictor: Predictor, item: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        predictor.classify([b"good", item])


def test_bad_paths_are_named(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    for name, error, message in (
        ("empty", ValueError, "empty is empty: there is nothing to classify"),
        ("fifo", ValueError, "fifo is not a regular file"),
        ("", ValueError, "is a directory"),
        ("missing", FileNotFoundError, "missing"),
    ):
        with pytest.raises(error, match=message):
            predictor.classify([tmp_path / name])
    with pytest.raises(ValueError, match="/dev/null is not a regular file"):
        predictor.classify(["/dev/null"])


def test_a_long_file_is_refused_unread(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(2 * 2**30)
    with pytest.raises(ValueError, match=r"sparse holds 2,147,483,648 bytes, the limit is 1,073,741,824 .*max_bytes"):
        predictor.classify([path])
    with pytest.raises(ValueError, match="the limit is 10 bytes"):
        predictor.classify([io.BytesIO(bytes(11))], max_bytes=10)
    assert predictor.classify([io.BytesIO(bytes(10))], max_bytes=10)


def test_a_stream_goes_on_after_a_bad_item(predictor: Predictor) -> None:
    answers = list(predictor.stream([b"a", "/no/such/file", b"b"]))
    assert [type(answer) for answer in answers] == [Prediction, Failure, Prediction]
    assert answers[1].path == "/no/such/file"


def test_a_stream_is_drawn_as_needed(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybyte.evaluate.packing.WINDOW_FILES", 4)
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        while True:
            drawn += 1
            yield b"data"

    answers = predictor.stream(endless())
    next(answers)
    assert drawn == 4


def test_files_that_the_model_refuses_are_named(tmp_path: Path) -> None:
    model = anybyte.create_model("byteformer_nano", **SHAPE, positions="learned", max_num_tokens=10)
    answers = list(Predictor(model, LABELS).stream([b"short", bytes(1000), b"brief"]))
    assert [type(answer) for answer in answers] == [Prediction, Failure, Prediction]
    assert str(answers[1].error).startswith("item 1: ")


@pytest.mark.parametrize("device", ["cuda:99", "toaster"])
def test_a_device_that_is_not_there_is_named(folder: Path, device: str) -> None:
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used"):
        anybyte.load(folder, device=device)


def test_scores_that_are_not_finite_are_an_error(folder: Path) -> None:
    predictor = anybyte.load(folder, device="cpu")
    with torch.no_grad():
        predictor.model.classifier.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="item 0: the model's scores are not finite"):
        predictor.classify([b"x"])


def test_bf16_gives_nearly_the_same(folder: Path, predictor: Predictor) -> None:
    low = anybyte.load(folder, device="cpu", precision="bf16").classify([b"some bytes"], top=6)
    full = predictor.classify([b"some bytes"], top=6)
    assert dict(low[0].top) == pytest.approx(dict(full[0].top), abs=0.05)
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        anybyte.load(folder, precision="fp8")


def test_load_takes_the_folder_of_a_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run/model")
    (tmp_path / "run/recipe.json").write_text("{}")
    assert anybyte.load(tmp_path / "run").labels == LABELS


def test_load_takes_a_bundled_name(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "animals")
    monkeypatch.setattr("anybyte.models.find._BUNDLED", tmp_path)
    assert anybyte.load("animals").labels == LABELS
    with pytest.raises(ValueError, match="no model 'plants': there is no such folder, bundled are animals"):
        anybyte.load("plants")


def test_load_without_labels_numbers_them(tmp_path: Path) -> None:
    assert anybyte.load(save_tiny_model(tmp_path / "model", labels=None)).labels == ("0", "1", "2", "3", "4", "5")


def test_load_fetches_only_harmless_files_from_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked[name] = allow_patterns
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert anybyte.load("org/name").labels == LABELS
    assert asked == {"org/name": ["*.json", "*.safetensors", "*.md"]}


def test_load_says_when_the_hub_does_not_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, allow_patterns: list[str]) -> str:
        raise FileNotFoundError("404: no such repository\nand many more lines")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(
        ValueError, match=r"no model 'runs/lst': there is no such folder, .* \(404: no such repository\)"
    ):
        anybyte.load("runs/lst")


def test_load_refuses_a_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match=r"weights.pt is a file, .* never loaded: `anybyte convert`"):
        anybyte.load(path)


def edit_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


DAMAGES: dict[str, tuple[Any, str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json"),
    "config is not JSON": (
        lambda folder: (folder / "config.json").write_text("{'dim'"),
        "config.json is not valid JSON",
    ),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "config.json"),
    "unknown field": (lambda folder: edit_config(folder, width=3), "config.json has unknown fields width"),
    "field of a wrong kind": (lambda folder: edit_config(folder, dim="wide"), "config.json"),
    "unknown architecture": (lambda folder: edit_config(folder, architecture="Oracle"), "Oracle"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
    "truncated weights": (lambda folder: truncate(folder / "model.safetensors"), "model.safetensors is not a readable"),
    "empty weights": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "other shapes": (lambda folder: edit_config(folder, dim=32), "model.safetensors does not fit"),
    "other depth": (lambda folder: edit_config(folder, depth=3), "model.safetensors does not fit"),
    "too few labels": (lambda folder: (folder / "labels.json").write_text('["cat"]'), "1 labels"),
    "labels are not JSON": (lambda folder: (folder / "labels.json").write_text("cat, dog"), "labels.json is not valid"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_named(broken: Path, damage: str) -> None:
    inflict, message = DAMAGES[damage]
    inflict(broken)
    with pytest.raises(ValueError, match=message) as caught:
        anybyte.load(broken)
    assert str(broken) in str(caught.value)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors"])
def test_a_pickle_is_never_loaded(broken: Path, tmp_path: Path, name: str) -> None:
    (broken / "model.safetensors").unlink()
    (broken / name).write_bytes(pickle.dumps({"weight": Bomb(tmp_path / "exploded")}))
    with pytest.raises(ValueError, match=name):
        anybyte.load(broken)
    assert not (tmp_path / "exploded").exists()
