from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import anybyte
from anybyte.batch import ByteBatch
from anybyte.evaluate.runner import Evaluation, Mistake, SourceScore, evaluate
from anybyte.files.joined import Origin, join
from tests.tiny_model import SHAPE

from .sources import Files, FirstByte

LABELS = ("x", "cat", "dog")
"""In another order than the data's classes, and with one class more."""
CLASSES = ("dog", "cat")
CAT, DOG = b"\x01", b"\x02"

SOURCE = Files.of(
    CLASSES,
    (0, DOG + b"\x09" + bytes(70)),  # a dog, 0.9
    (1, CAT + b"\x06"),  # a cat, 0.6
    (1, DOG + b"\x07" + bytes(30)),  # a cat taken for a dog, 0.7
    (0, CAT + b"\x08"),  # a dog taken for a cat, 0.8
)


def without_times(evaluation: Evaluation) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(evaluation).items() if name != "seconds"}


def test_a_case_done_by_hand() -> None:
    result = evaluate(FirstByte(3), SOURCE, LABELS)
    assert (result.files, result.top1, result.labels) == (4, 0.5, LABELS)
    assert result.confusion == ((0, 0, 0), (0, 1, 1), (0, 1, 1))
    assert result.absent == ("x",)
    assert result.loss == pytest.approx(-np.log([0.9, 0.6, 0.15, 0.1]).mean())
    assert result.bytes == sum(map(len, SOURCE.contents))
    assert result.seconds > 0
    assert result.files_per_second == 4 / result.seconds
    assert result.bytes_per_second == result.bytes / result.seconds
    assert result.mistakes == (
        Mistake("3.bin", "dog", "cat", pytest.approx(0.8)),
        Mistake("2.bin", "cat", "dog", pytest.approx(0.7)),
    )


def test_batches_by_bytes_change_nothing() -> None:
    model = FirstByte(3)
    small = evaluate(model, SOURCE, LABELS, batch_bytes=40)
    assert model.batches == [[2, 2, 32], [72]]
    assert without_times(small) == without_times(evaluate(model, SOURCE, LABELS))


def test_the_originals_numerics_give_each_file_the_answer_it_has_alone() -> None:
    model = anybyte.create_model("byteformer_nano", **SHAPE, kernel_size=8, numerics="corenet")
    contents = [bytes(range(length)) for length in (20, 90, 20, 200, 9, 90)]
    together = evaluate(model, Files.of(CLASSES, *((0, data) for data in contents)), (*CLASSES, *"abcd"))
    alone = [evaluate(model, Files.of(CLASSES, (0, data)), (*CLASSES, *"abcd")) for data in contents]
    assert together.loss == pytest.approx(np.mean([one.loss for one in alone]), abs=1e-6)
    with pytest.raises(ValueError, match=r"refuses a file of 1.bin: numerics='corenet' needs .* kernel_size=8 bytes"):
        evaluate(model, Files.of(CLASSES, (0, bytes(50)), (1, bytes(7))), (*CLASSES, *"abcd"))


def test_a_transform_is_called_without_augmentation() -> None:
    def transform(data: bytes, name: str, rng: np.random.Generator | None) -> bytes:
        assert rng is None
        return CAT + data[1:2] if name == "2.bin" else data

    result = evaluate(FirstByte(3), SOURCE, LABELS, transform)
    assert result.top1 == 0.75
    assert result.bytes == sum(map(len, SOURCE.contents)) - 30


def test_the_model_is_left_in_its_mode() -> None:
    model = FirstByte(3)
    assert evaluate(model.train(), SOURCE, LABELS).files == 4
    assert model.training
    evaluate(model.eval(), SOURCE, LABELS)
    assert not model.training


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybyte.evaluate.packing.WINDOW_FILES", 3)
    done: list[int] = []
    evaluate(FirstByte(3), SOURCE, LABELS, on_progress=done.append)
    assert done == [3, 4]


def test_classes_that_the_model_does_not_know_are_named() -> None:
    with pytest.raises(ValueError, match=r"the model does not know: dog \(it knows x, cat\)"):
        evaluate(FirstByte(2), SOURCE, ("x", "cat"))
    only_cats = Files.of(("cat", "zebra"), (0, CAT + b"\x09"))
    assert evaluate(FirstByte(3), only_cats, LABELS).top1 == 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (Files.of(CLASSES), ValueError, "there are no files to evaluate"),
        (Files.of(CLASSES, (0, DOG + b"\x09"), (-1, b"xx")), ValueError, "files without a class .*: 1.bin"),
        (Files.of(CLASSES, (0, DOG + b"\x09"), (0, b"")), ValueError, "1.bin is empty"),
        (Files.of(CLASSES, (0, DOG + b"\x09"), (0, b"broken")), OSError, "1.bin: cannot be read"),
        (Files.of(CLASSES, (0, DOG + b"\x09"), (0, DOG + b"\xff")), ValueError, "not finite numbers for 1.bin"),
    ],
)
def test_bad_files_are_named(source: Files, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(FirstByte(3), source, LABELS)


def test_bad_files_can_be_left_out() -> None:
    source = Files.of(CLASSES, (0, b""), (0, DOG + b"\x09"), (1, b"broken"))
    result = evaluate(FirstByte(3), source, LABELS, on_error="skip")
    assert (result.files, result.top1) == (1, 1)
    assert result.skipped == (
        ("0.bin", "0.bin is empty: there is nothing to evaluate"),
        ("2.bin", "2.bin: cannot be read"),
    )
    with pytest.raises(ValueError, match="there are no files to evaluate"):
        evaluate(FirstByte(3), Files.of(CLASSES, (0, b"")), LABELS, on_error="skip")


def test_a_batch_that_the_model_refuses_is_named() -> None:
    class Refusing(FirstByte):
        def forward(self, batch: ByteBatch) -> torch.Tensor:
            raise ValueError("too long")

    with pytest.raises(ValueError, match=r"refuses a file of 1.bin, 3.bin, 2.bin, 0.bin: too long"):
        evaluate(Refusing(3), SOURCE, LABELS)


def test_twice_the_same() -> None:
    first, second = (without_times(evaluate(FirstByte(3), SOURCE, LABELS)) for _ in range(2))
    assert first == second


def test_bf16() -> None:
    assert evaluate(FirstByte(3), SOURCE, LABELS, precision="bf16", device=torch.device("cpu")).top1 == 0.5


def test_joined_data_sets_are_scored_one_by_one() -> None:
    other = Files.of(("x", "cat"), (0, b"\x00\x05"), (1, CAT + b"\x09"), (1, CAT + b"\x08"))
    joined = join([Origin("a", "first", None), Origin("b", "second", None)], [SOURCE, other])
    result = evaluate(FirstByte(3), joined, LABELS)
    assert result.sources == (SourceScore("first", 4, 0.5), SourceScore("second", 3, 1.0))
    assert result.top1 == pytest.approx(5 / 7)
    assert evaluate(FirstByte(3), SOURCE, LABELS).sources == ()
