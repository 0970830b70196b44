"""Masked words: what is hidden, what is asked, and what is counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from anybyte.config import MaskedConfig
from anybyte.files.text import BETWEEN, Document, MemoryStore, Mixture, Texts
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer
from anybyte.tasks import Sample
from anybyte.tasks.masked import (
    IS_SPACE,
    MASK,
    PAD,
    Crops,
    Masked,
    Windows,
    draw_bytes,
    draw_words,
    example_bytes,
    mask_tokens,
)

TEXT = b"  It is a truth\tuniversally acknowledged,\nthat \xff\xc3\xa4 single man "


def as_array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


def sample(data: bytes, seed: int = 0, train: bool = True) -> Sample:
    return Sample(data, train, np.random.default_rng(seed))


def task(**fields: Any) -> Masked:
    return Masked(MaskedConfig(**fields), ByteTokenizer(max_length=None), 512)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 9))
def test_words_are_masked_whole_and_nothing_else(data: bytes, seed: int) -> None:
    hidden = draw_words(as_array(data), 0.3, np.random.default_rng(seed))
    words = data.translate(bytes(32 if space else 65 for space in IS_SPACE)).split()
    masked = bytes(77 if one else byte for byte, one in zip(data, hidden, strict=True))
    assert not hidden[IS_SPACE[as_array(data)]].any()
    lengths = [len(word) for word in masked.translate(bytes(32 if s else i for i, s in enumerate(IS_SPACE))).split()]
    assert lengths == [len(word) for word in words]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]]).astype(int)))
    for edge in edges.tolist():
        inside = 0 < edge < len(data)
        assert not inside or IS_SPACE[data[edge - 1]] or IS_SPACE[data[edge]], "a word is cut in two"
    assert hidden.any() == bool(words), "one at least"


def test_each_word_is_drawn_with_the_probability() -> None:
    data = as_array(b"word " * 20_000)
    assert draw_words(data, 0.15, np.random.default_rng(0))[::5].mean() == pytest.approx(0.15, abs=0.01)
    assert draw_words(data, 1.0, np.random.default_rng(0)).sum() == 80_000


def test_short_masks_hide_single_bytes_in_training_only() -> None:
    data = as_array(b"universally " * 1000)
    hidden = draw_bytes(data, 0.15, np.random.default_rng(0))
    assert hidden.mean() == pytest.approx(0.15 * 11 / 12, abs=0.01)
    assert not hidden[11::12].any()
    short, text = task(short_share=1.0), b"universally " * 40
    in_training, _ = short.collate([sample(text)])
    measured, _ = short.collate([sample(text, train=False)])
    whole = [(row["ids"] == MASK).view(40, 12)[:, :11].float().mean(1) for row in (in_training, measured)]  # type: ignore[union-attr]
    assert ((whole[0] > 0) & (whole[0] < 1)).any()
    assert ((whole[1] == 0) | (whole[1] == 1)).all()


def test_what_is_masked_is_asked_for() -> None:
    inputs, targets = task().collate([sample(TEXT), sample(b"short text", 1)])
    ids, mask, rows = (inputs[name] for name in ("ids", "mask", "rows"))
    assert ids is not None
    assert mask is not None
    assert rows is not None
    for number, data in enumerate((TEXT, b"short text")):
        known = targets["ids"][number] >= 0
        places = rows[number][known]
        true = torch.from_numpy(as_array(data).astype(np.int64)) + BYTE_OFFSET
        assert (ids[number, places] == MASK).all()
        assert (targets["ids"][number][known] == true[places]).all()
        restored = ids[number].clone()
        restored[places] = targets["ids"][number][known]
        assert (restored[: len(data)] == true).all()
        assert (restored[len(data) :] == PAD).all()
        assert mask[number].tolist() == [True] * len(data) + [False] * (len(TEXT) - len(data))
        assert targets["sizes"][number].tolist() == known.long().tolist()


def test_an_example_is_masked_alike_in_any_batch() -> None:
    alone, _ = task().collate([sample(TEXT, 7)])
    together, _ = task().collate([sample(b"other text here", 1), sample(TEXT, 7)])
    assert alone["mask"] is None
    assert (together["ids"][1] == alone["ids"][0]).all()  # type: ignore[index]


class Pairs:
    """Two bytes are a token, numbered from 10; a tokenizer of another kind."""

    def split(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        bounds = np.minimum(np.arange(0, len(data) + 2, 2), len(data))
        return np.arange(10, 10 + len(bounds) - 1), bounds


def test_tokens_miss_the_words_that_bytes_miss() -> None:
    data = b"ab cdef g hij"
    hidden = np.zeros(13, dtype=bool)
    hidden[3:7] = hidden[8] = True
    ids, places, true, sizes = mask_tokens(*Pairs().split(data), hidden)
    assert places.tolist() == [1, 2, 3, 4]
    assert true.tolist() == [11, 12, 13, 14]
    assert sizes.tolist() == [1, 2, 1, 1], "masked bytes, not all of them"
    assert ids.tolist() == [10, MASK, MASK, MASK, MASK, 15, 16]
    _, places, true, sizes = mask_tokens(*Pairs().split(data), hidden, 3)
    assert (places.tolist(), true.tolist(), sizes.tolist()) == ([1, 2], [11, 12], [1, 2]), "what is behind is cut"


class Fixed(nn.Module):
    """Answers with one row of logits at every place."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(*rows.shape, -1)


def test_loss_and_metrics_are_of_masked_tokens() -> None:
    logits = torch.full((262,), -math.inf)
    logits[[BYTE_OFFSET + ord("a"), BYTE_OFFSET + ord("b")]] = torch.tensor([3.0, 1.0]).log()
    masked = task(probability=1.0)
    inputs, targets = masked.collate([sample(b"aab a b"), sample(b"b")])
    loss, count = masked.loss(Fixed(logits), inputs, targets)
    nats = 3 * math.log(4 / 3) + 3 * math.log(4)
    assert count == 6
    assert float(loss.detach()) == pytest.approx(nats, rel=1e-5)
    with torch.no_grad():
        metrics = masked.summarise(masked.measure(Fixed(logits), inputs, targets))
    assert metrics == {
        "loss": pytest.approx(nats / 6, rel=1e-5),
        "accuracy": 0.5,
        "byte_accuracy": 0.5,
        "bits_per_byte": pytest.approx(nats / 6 / math.log(2), rel=1e-5),
    }
    assert masked.score(metrics) > masked.score(metrics | {"bits_per_byte": 9.0})


def test_a_token_counts_its_masked_bytes() -> None:
    masked = Masked(MaskedConfig(probability=1.0), Pairs(), 512)
    logits = torch.zeros(64)
    logits[10] = 5.0
    inputs, targets = masked.collate([sample(b"ab c")])
    with torch.no_grad():
        metrics = masked.summarise(masked.measure(Fixed(logits), inputs, targets))
    assert metrics["accuracy"] == 1 / 2
    assert metrics["byte_accuracy"] == 2 / 3
    assert metrics["bits_per_byte"] == pytest.approx(metrics["loss"] * 2 / 3 / math.log(2))


def test_smoothing_is_for_training() -> None:
    logits = torch.zeros(262)
    logits[BYTE_OFFSET + ord("a")] = 9.0
    plain, smooth = task(probability=1.0), Masked(MaskedConfig(probability=1.0), ByteTokenizer(), 9, 0.1)
    batch = plain.collate([sample(b"aa")])
    assert float(smooth.loss(Fixed(logits), *batch)[0].detach()) > 2 * float(
        plain.loss(Fixed(logits), *batch)[0].detach()
    )
    with torch.no_grad():
        assert smooth.measure(Fixed(logits), *batch) == plain.measure(Fixed(logits), *batch)


def test_white_space_alone_asks_for_nothing() -> None:
    masked = task()
    batch = masked.collate([sample(b" \n ")])
    model = Fixed(torch.zeros(262))
    loss, count = masked.loss(model, *batch)
    loss.backward()
    assert (float(loss.detach()), count) == (0.0, 0)
    with torch.no_grad():
        assert masked.summarise(masked.measure(model, *batch))["bits_per_byte"] == 0


def texts(*data: bytes) -> Texts:
    documents = {str(number): each for number, each in enumerate(data)}
    return Texts("made", tuple(Document(n, 0, len(d)) for n, d in documents.items()), MemoryStore(documents))


def test_crops_and_windows() -> None:
    made = texts(b"abcdefghij" * 10, b"xyz" * 20)
    crops = Crops(Mixture((made,), (1.0,)), 32, 10)
    assert len(crops) == 5, "as many as the text is long"
    assert crops.sizes().tolist() == [32] * 5
    data, is_train = crops.read(0, np.random.default_rng(0))
    assert is_train
    assert len(data) == 32
    assert data == crops.read(3, np.random.default_rng(0))[0]
    assert len(Crops(Mixture((made,), (1.0,)), 32, 10, 7)) == 7
    windows = Windows([made], 32)
    assert b"".join(windows.read(index, None)[0] for index in range(len(windows))) == b"abcdefghij" * 10 + b"xyz" * 20
    assert not windows.read(0, None)[1]
    assert windows.name(4) == "1 (from byte 0)"
    some = Windows([made], 8, 3)
    assert [some.name(index) for index in range(3)] == ["0 (from byte 0)", "0 (from byte 56)", "1 (from byte 8)"]
    assert crops.identity() != Crops(Mixture((made,), (1.0,)), 31, 10).identity()
    assert windows.identity() != some.identity()
    assert BETWEEN not in crops.blank()[0]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"task\.probability is a probability, got 0"):
        task(probability=0)
    with pytest.raises(ValueError, match=r"task\.short_share is a probability, got 1\.5"):
        task(short_share=1.5)
    with pytest.raises(ValueError, match="there is no text to train on"):
        Crops(Mixture((), ()), 8, 10)
    with pytest.raises(ValueError, match=r"task\.length must lie in 1 to 64, what the model reads; got 65"):
        example_bytes(MaskedConfig(length=65), 64)
    assert example_bytes(MaskedConfig(), 64) == 64
    assert example_bytes(MaskedConfig(pieces="x"), 64) == 384
