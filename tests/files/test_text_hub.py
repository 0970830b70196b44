"""Text of the hub, streamed by the hub's own library from data sets that lie on this disk."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from anybyte.files import text_hub
from anybyte.files.text import Texts, open_texts
from anybyte.files.text_hub import TextStream, open_text_stream

datasets = pytest.importorskip("datasets")


def write(path: Path, texts: list[str], **columns: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({**columns, "text": text}) + "\n" for text in texts))


@pytest.fixture
def wiki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(text_hub, "_HELD_OUT", 3)
    write(tmp_path / "wiki/train.jsonl", [f"article {index} ä" for index in range(20)], url="http://x")
    return tmp_path / "wiki"


def test_the_first_documents_are_held_out_if_there_is_one_split(wiki: Path) -> None:
    found = open_text_stream(f"hf:{wiki}")
    assert list(found.val.values()) == [f"article {index} ä".encode() for index in range(3)]
    assert found.test == {}
    crop = found.train.crop(10_000, 17, np.random.default_rng(0)).decode()
    assert sorted(crop.split("\n")) == sorted(f"article {index} ä" for index in range(3, 20))


def test_a_stream_goes_on_and_begins_again_in_another_order(wiki: Path) -> None:
    stream = open_text_stream(f"hf:{wiki}").train
    rng = np.random.default_rng(0)
    rounds = [[stream.crop(100, 1, rng) for _ in range(17)] for _ in range(2)]
    assert sorted(rounds[0]) == sorted(rounds[1])
    assert len(set(rounds[0])) == 17
    assert rounds[0] != rounds[1]
    assert len(pickle.loads(pickle.dumps(stream)).crop(7, 2, rng)) == 7


def test_own_splits_and_shares(wiki: Path, tmp_path: Path) -> None:
    write(wiki / "validation.jsonl", ["held"], url="http://x")
    book = tmp_path / "book.txt"
    book.write_bytes(b"b" * 100)
    splits = open_texts(f"0.7*hf:{wiki}+0.3*{book}", held_out=0)
    first, second = splits.train.sources
    assert isinstance(first, TextStream)
    assert first.skip == 0
    assert isinstance(second, Texts)
    assert splits.train.size is None
    assert splits.train.shares == (0.7, 0.3)
    assert [text.size for text in splits.val] == [4]
    with pytest.raises(ValueError, match="no known length: give each a share"):
        open_texts(f"hf:{wiki}+{book}")


def test_mistakes_are_named(wiki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there is no column 'body'; there are"):
        open_text_stream(f"hf:{wiki}::body")
    with pytest.raises(ValueError, match="expected hf:name, hf:name:config or hf:name:config:column"):
        open_text_stream("hf:a:b:c:d")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[hub\]'"):
        open_text_stream(f"hf:{wiki}")


def test_a_data_set_without_text(tmp_path: Path, wiki: Path) -> None:
    write(tmp_path / "void/train.jsonl", [""] * 5)
    stream = open_text_stream(f"hf:{tmp_path / 'void'}").train
    with pytest.raises(ValueError, match="the split 'train' has no text in its column 'text'"):
        stream.crop(10, 1, np.random.default_rng(0))
