"""SentencePiece pieces: nothing is lost, whatever the bytes."""

from __future__ import annotations

import io
import pickle
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.models.pieces import PIECES, PieceTokenizer, has_pieces, read_pieces, train_pieces
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer

sentencepiece = pytest.importorskip("sentencepiece")

WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "seven",
    "small",
    "boats",
    "sail",
    "across",
    "a",
    "wide",
    "grey",
    "river",
)


def some_text() -> bytes:
    rng = np.random.default_rng(0)
    return "\n".join(" ".join(rng.choice(WORDS, 12)) for _ in range(300)).encode()


MODEL = train_pieces([some_text()], 320)
TOKENIZER = PieceTokenizer(MODEL)


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(lambda text: text.encode())))
def test_nothing_is_lost(data: bytes) -> None:
    ids, bounds = TOKENIZER.split(data)
    assert TOKENIZER.decode(ids) == data
    assert [TOKENIZER.decode(ids[i : i + 1]) for i in range(len(ids))] == [
        data[start:stop] for start, stop in pairwise(bounds)
    ]


@pytest.mark.parametrize("text", ["", " ", "  two  spaces ", "\n\r\t", "a▁b", "<unk> <s> </s> <0x41> [MASK]", "\0"])
def test_nothing_that_looks_special_is(text: str) -> None:
    ids, _ = TOKENIZER.split(text.encode())
    assert TOKENIZER.decode(ids) == text.encode()
    assert (ids >= BYTE_OFFSET + 3).all(), "neither special tokens nor SentencePiece's own"


def test_words_are_pieces() -> None:
    ids, bounds = TOKENIZER.split(b"quick brown fox")
    assert len(ids) < 8
    assert bounds[-1] == 15
    starts = {len("quick"), len("quick brown")}
    assert starts <= set(bounds.tolist()), "no piece spans two words"
    assert torch.equal(TOKENIZER.encode("quick brown fox"), torch.from_numpy(ids))


def test_equal_texts_give_equal_models_and_copies_are_alike() -> None:
    assert train_pieces([some_text()], 320) == MODEL
    assert TOKENIZER.vocabulary == 320 + BYTE_OFFSET
    copy = pickle.loads(pickle.dumps(TOKENIZER))
    assert (copy.split(b"a wide river")[0] == TOKENIZER.split(b"a wide river")[0]).all()


def test_a_folder_may_hold_a_tokenizer(tmp_path: Path) -> None:
    assert not has_pieces(tmp_path)
    with pytest.raises(OSError, match="no such SentencePiece model; make one: anybyte tokenizer train"):
        read_pieces(tmp_path / "spm.model")
    (tmp_path / PIECES).write_bytes(MODEL)
    assert has_pieces(tmp_path)
    assert read_pieces(tmp_path).decode(TOKENIZER.encode("lazy")) == b"lazy"


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"junk\.model is not a SentencePiece model"):
        PieceTokenizer(b"junk", "junk.model")
    with pytest.raises(ValueError, match="vocabulary is 100, expected at least 300"):
        train_pieces([some_text()], 100)
    with pytest.raises(ValueError, match=r"no 8000 pieces can be learnt from this text: Vocabulary size too high"):
        train_pieces([some_text()], 8000)
    with pytest.raises(ValueError, match="there is no text to learn pieces from"):
        train_pieces([b"", b"\xff \n"], 320)
    with pytest.raises(ValueError, match="there is no token 999; ids run from 0 to 325"):
        TOKENIZER.decode([999])


def test_a_model_that_loses_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(**options: object) -> bytes:
        model = io.BytesIO()
        sentences = iter(some_text().decode().splitlines())
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences, model_writer=model, vocab_size=300, minloglevel=2, **options
        )
        return model.getvalue()

    with pytest.raises(ValueError, match="cannot write every byte: train it with byte_fallback"):
        PieceTokenizer(trained(hard_vocab_limit=False))
    with pytest.raises(ValueError, match="changes the text that it cuts"):
        PieceTokenizer(trained(byte_fallback=True))
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[text\]'"):
        PieceTokenizer(MODEL)


def test_bytes_are_cut_in_the_same_form() -> None:
    ids, bounds = ByteTokenizer(max_length=3).split(b"abcdef")
    assert ids.tolist() == [byte + BYTE_OFFSET for byte in b"abcdef"], "however long"
    assert bounds.tolist() == list(range(7))
