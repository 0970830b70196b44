"""Text as bytes, in agreement with the tokenizer of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS, ByteTokenizer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/hf_perceiver/tokenizer.json").read_text())
FOREIGN = ByteTokenizer(wrap=True, parse_specials=True)


def test_the_specials() -> None:
    assert GOLDEN["special_tokens"] == SPECIALS
    assert GOLDEN["byte_offset"] == BYTE_OFFSET
    assert GOLDEN["vocab_size_total_len"] == BYTE_OFFSET + 256


@pytest.mark.parametrize("case", [*GOLDEN["examples"], *GOLDEN["literal_special_strings"]], ids=lambda c: c["text"])
def test_texts(case: dict[str, Any]) -> None:
    ids = FOREIGN.encode(case["text"])
    assert ids.tolist() == case["input_ids"]
    assert ByteTokenizer(parse_specials=True).encode(case["text"]).tolist() == case["input_ids_no_special"]
    assert FOREIGN.decode(ids, skip_specials=False) == case["decode"]
    assert FOREIGN.decode(ids) == case["decode_skip_special"]
    if "attention_mask" in case:
        assert FOREIGN.encode_batch([case["text"]])[1][0].int().tolist() == case["attention_mask"]
    if "utf8_bytes" in case:
        bare = ByteTokenizer().encode(case["text"])
        assert (bare - BYTE_OFFSET).tolist() == case["utf8_bytes"]
        assert torch.equal(bare, ByteTokenizer().encode(bytes(case["utf8_bytes"])))


def test_a_pair() -> None:
    case = GOLDEN["pair_example"]
    assert FOREIGN.encode(*case["texts"]).tolist() == case["input_ids"]
    with pytest.raises(ValueError, match="wrap=True"):
        ByteTokenizer().encode("a", "b")
    with pytest.raises(ValueError, match="max_length=6"):
        ByteTokenizer(wrap=True, max_length=6).encode("abc", "def")


def test_batches() -> None:
    case = GOLDEN["batch_padding_example"]
    ids, mask = FOREIGN.encode_batch(case["texts"])
    assert ids.tolist() == case["input_ids"]
    assert mask.int().tolist() == case["attention_mask"]
    case = GOLDEN["max_length_padding"]
    ids, mask = FOREIGN.encode_batch([case["text"]], pad_to=case["length"])
    assert ids.shape == (1, case["length"])
    assert ids[0, :8].tolist() == case["first_8"]
    assert int(mask.sum()) == case["sum_attention"]
    assert FOREIGN.encode_batch([])[0].shape == (0, 0)


def test_truncation() -> None:
    case = GOLDEN["truncation_example"]
    tokenizer = ByteTokenizer(wrap=True, max_length=case["max_length"])
    assert tokenizer.encode(case["text"]).tolist() == case["input_ids"]


def test_bytes_that_are_no_text() -> None:
    case = GOLDEN["invalid_utf8_decode"]
    assert FOREIGN.decode(case["ids"]) == case["decode"]


def test_a_users_text_makes_no_special_token() -> None:
    text = "fill the [MASK] in"
    ids = ByteTokenizer().encode(text)
    assert int(ids.min()) >= BYTE_OFFSET
    assert ByteTokenizer().decode(ids) == text


@given(st.text())
def test_round_trip(text: str) -> None:
    for tokenizer in (ByteTokenizer(max_length=None), ByteTokenizer(max_length=None, wrap=True)):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="there is no token 262"):
        FOREIGN.decode([70, 262])
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        FOREIGN.decode(torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="a single one"):
        FOREIGN.encode_batch("text")
    with pytest.raises(ValueError, match="pad_to=3"):
        FOREIGN.encode_batch(["text"], pad_to=3)
    with pytest.raises(ValueError, match="max_length"):
        ByteTokenizer(wrap=True, max_length=2)
