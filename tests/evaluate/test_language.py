"""Masked language models and n-grams, asked for the same words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from anybyte.config import MaskedConfig
from anybyte.evaluate.language import Answered, Missing, answer_model, answer_ngram, evaluate
from anybyte.evaluate.ngram import ByteNgram
from anybyte.evaluate.request import Request
from anybyte.models.perceiver import Perceiver
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer
from anybyte.tasks.masked import MASK
from anybyte.train.loop import train
from anybyte.train.settings import read_recipe
from tests.train.test_language import tiny_recipe, with_data, write_text

TEXTS = (b"the cat sat on the mat", b" \n", b"an apple a day keeps the doctor away\n", b"")


def test_words_are_drawn_by_seed_and_numbered_over_all_texts() -> None:
    missing = Missing.of(TEXTS, 0.5)
    assert all((a == b).all() for a, b in zip(missing.hidden, Missing.of(TEXTS, 0.5).hidden, strict=True))
    assert any((a != b).any() for a, b in zip(missing.hidden, Missing.of(TEXTS, 0.5, seed=1).hidden, strict=True))
    words = missing.words()
    assert [one[0] for one in words[:1]] == [1]
    numbers = [set(one[[byte not in b" \n" for byte in text]].tolist()) for one, text in zip(words, TEXTS, strict=True)]
    assert [len(found) for found in numbers] == [6, 0, 8, 0]
    assert not numbers[0] & numbers[2]


def test_numbers() -> None:
    answered = Answered(
        np.array([0.5, 0.25, 1.0]), np.array([True, False, True]), np.array([2, 1, 1]), np.array([4, 4, 7]), 4
    )
    numbers = answered.numbers()
    assert numbers["bytes"] == 4
    assert numbers["words"] == 2
    assert numbers["byte_accuracy"] == 0.75
    assert numbers["word_accuracy"] == 0.5
    assert numbers["bits_per_byte"] == pytest.approx(3 / 4)
    assert answered.bits_per_byte(0.1) == pytest.approx(-np.log2([0.475, 0.25, 0.925]).sum() / 4)


class Reader(nn.Module):
    """Knows a text by heart: looks up what is masked by the letters on both sides. Reads 16 bytes."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.text = text
        model = Perceiver(tiny_recipe(Path("x")).model)  # type: ignore[arg-type]
        self.config = model.config

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*rows.shape, 262)
        for number, row in enumerate(ids.tolist()):
            length = len(row) if mask is None else int(mask[number].sum())
            start = next(
                place
                for place in range(len(self.text) - length + 1)
                if all(
                    i in (MASK, byte + BYTE_OFFSET) for i, byte in zip(row[:length], self.text[place:], strict=False)
                )
            )
            for each, place in enumerate(rows[number].tolist()):
                logits[number, each, self.text[start + place] + BYTE_OFFSET] = 30.0
        return logits


def test_a_model_is_asked_for_every_masked_byte_once() -> None:
    text = b" ".join(f"w{number:03d}".encode() for number in range(100))
    missing = Missing.of([text], 0.3)
    answered = answer_model(Reader(text), ByteTokenizer(max_length=None), missing)  # type: ignore[arg-type]
    assert answered.right.all()
    assert answered.sizes.sum() == len(answered.sizes) == missing.hidden[0].sum()
    assert answered.numbers()["words"] == missing.hidden[0].sum() // 4
    assert answered.bits_per_byte() == pytest.approx(0, abs=1e-6)


def test_an_ngram_is_asked_for_the_same_bytes() -> None:
    missing = Missing.of(TEXTS, 0.5)
    rows = answer_ngram(ByteNgram([b"the cat sat on the mat. an apple a day keeps"], 3), missing)
    count = sum(int(hidden.sum()) for hidden in missing.hidden)
    assert {name: len(row.chances) for name, row in rows.items()} == dict.fromkeys(("left", "both", "told"), count)
    assert rows["both"].numbers()["words"] == rows["told"].numbers()["words"]
    assert rows["both"].bits_per_byte() < math.log2(256)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "texts").mkdir()
    write_text(folder / "texts/a.txt", 60)
    recipe = with_data(tiny_recipe(folder, crops=64), folder)
    train(recipe)
    return folder


def request(run: Path, **fields: object) -> Request:
    options = {"baseline": None, "limit": None} | fields.pop("options", {})  # type: ignore[operator]
    recipe = read_recipe(run / "run/recipe.json")
    return Request(name="run", folder=run / "run/model", recipe=recipe, options=options, **fields)  # type: ignore[arg-type]


def test_evaluate_prints_both(run: Path) -> None:
    write_text(run / "test.txt", 10)
    told: list[tuple[int, int]] = []
    findings = evaluate(
        request(
            run,
            data=str(run / "test.txt"),
            options={"baseline": True, "limit": 300},
            progress=lambda *step: told.append(step),
        )
    )
    assert list(findings.numbers["rows"])[:2] == ["this model", "byte 5-gram, from the left"]
    assert findings.about["part"] == "the first bytes of all of it, 300 bytes"
    lines = findings.text.splitlines()
    assert lines[0].split() == ["bytes", "right", "words", "right", "bits", "a", "byte"]
    assert len(lines) == 5
    model, both = (findings.numbers["rows"][name] for name in ("this model", "byte 5-gram, from both sides"))
    assert model["bytes"] == both["bytes"] > 0
    assert model["words"] == both["words"]
    assert told[-1][0] == told[-1][1]


def test_parts_and_mistakes(run: Path) -> None:
    assert evaluate(request(run, split="val")).about["part"].startswith("val, ")
    with pytest.raises(ValueError, match="has no text for test: name some with --data, or take --split val"):
        evaluate(request(run))
    with pytest.raises(ValueError, match="measured on val, test or all of a text, not on 'train'"):
        evaluate(request(run, split="train"))


def test_a_tokenizer_must_fit(run: Path) -> None:
    pytest.importorskip("sentencepiece")
    from anybyte.models.pieces import PieceTokenizer
    from tests.models.test_pieces import MODEL

    model = request(run).load()
    assert isinstance(model, Perceiver)
    with pytest.raises(ValueError, match="the model's vocabulary is 262, its tokenizer's 326"):
        answer_model(model, PieceTokenizer(MODEL), Missing.of(TEXTS, MaskedConfig().probability))
