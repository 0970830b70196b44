"""The byte n-gram against definitions, and its answers against sums over all strings."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from anybyte.evaluate.ngram import ByteNgram
from anybyte.evaluate.ngram_missing import Automaton, answer

TEXT = b"the cat sat on the mat, and the rat ate the oat that the cat had. " * 3 + b"a cat. the end"


def key(context: bytes) -> np.ndarray:
    return np.array([int.from_bytes(context, "big")], dtype=np.uint64)


def kneser_ney(texts: list[bytes], context: bytes, byte: int, order: int) -> float:
    """By the definition: counts of the highest order, numbers of left neighbours below, and a uniform base."""

    def grams(length: int) -> dict[bytes, float]:
        if length == order:
            found: dict[bytes, float] = {}
            for text in texts:
                for start in range(len(text) - order + 1):
                    gram = text[start : start + order]
                    found[gram] = found.get(gram, 0) + 1
            return found
        below: dict[bytes, float] = {}
        for gram in grams(length + 1):
            below[gram[1:]] = below.get(gram[1:], 0) + 1
        return below

    def chance(context: bytes) -> float:
        counts = grams(len(context) + 1)
        once, twice = (sum(count == number for count in counts.values()) for number in (1, 2))
        discount = once / (once + 2 * twice) if once else 0.5
        lower = 1 / 256 if not context else chance(context[1:])
        followers = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == context}
        if not followers:
            return lower
        total = sum(followers.values())
        own = max(0.0, followers.get(byte, 0.0) - discount) / total if byte in followers else 0.0
        return own + discount * len(followers) / total * lower

    return chance(context)


def test_probabilities_are_those_of_the_definition() -> None:
    texts = [TEXT, b"another cat sat there"]
    model = ByteNgram(texts, 4)
    for context in (b"the", b"cat", b" ca", b"zzz", b"zth", b"at "):
        row = model.rows(key(context))[0]
        for byte in b" aet.z":
            assert float(row[byte]) == pytest.approx(kneser_ney(texts, context, byte, 4), rel=1e-4)
        assert float(row.sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_the_automaton_keeps_all_probability_and_turns_round(order: int) -> None:
    automaton = Automaton(ByteNgram([TEXT], order))
    weights = torch.rand(automaton.num_states, 3)
    moved = automaton.forward(weights)
    # The empty context stands for all bytes never seen by one of them.
    unseen = 256 - len(set(TEXT))
    lost = (unseen - 1) * moved[-1]
    assert torch.allclose(moved.sum(0) + lost, weights.sum(0), rtol=1e-3)
    other = torch.rand(automaton.num_states, 3)
    assert torch.allclose((moved * other).sum(0), (weights * automaton.backward(other)).sum(0), rtol=1e-4)
    assert automaton.by_byte(moved).sum() == pytest.approx(float(moved[:-1].sum()), rel=1e-4)


def test_answers_are_sums_over_all_strings() -> None:
    model = ByteNgram([TEXT], 2)
    letters = sorted(set(TEXT) - set(b" "))
    text = b"the cat sat"
    hidden = np.zeros(len(text), dtype=bool)
    hidden[4:7] = True
    found = answer(model, [text], [hidden])

    def chance(string: bytes) -> float:
        rows = model.rows(np.frombuffer(string[:-1], dtype=np.uint8).astype(np.uint64))
        return float(np.prod(rows[np.arange(len(string) - 1), list(string[1:])].astype(np.float64)))

    both, left = np.zeros((3, 256)), np.zeros((3, 256))
    for middle in product(letters, repeat=3):
        before = chance(b" " + bytes(middle))
        around = before * chance(bytes(middle[2:]) + b" ")
        for place, byte in enumerate(middle):
            both[place, byte] += around
    for length in (1, 2, 3):
        for middle in product(letters, repeat=length):
            left[length - 1, middle[-1]] += chance(b" " + bytes(middle))
    for place in range(3):
        np.testing.assert_allclose(found.both[place, letters], both[place, letters] / both[place].sum(), rtol=1e-3)
        np.testing.assert_allclose(found.left[place, letters], left[place, letters] / left[place].sum(), rtol=1e-3)
    told = model.rows(np.frombuffer(b" ca", dtype=np.uint8).astype(np.uint64))
    told[:, list(b" \t\n\r\v\f")] = 0
    np.testing.assert_allclose(found.told, told / told.sum(1, keepdims=True), rtol=1e-3, atol=1e-6)


def test_answers_do_not_depend_on_the_company_and_sum_to_one() -> None:
    model = ByteNgram([TEXT], 4)
    rng = np.random.default_rng(0)
    texts = [b"the cat", b"\xfe\xff ? mat the oat had a cat, sat", b"a", b"on the rat that the"]
    hidden = [rng.random(len(text)) < 0.5 for text in texts]
    hidden[2][:] = True
    together = answer(model, texts, hidden)
    alone = [answer(model, [text], [one]) for text, one in zip(texts, hidden, strict=True)]
    for name in ("left", "both", "told"):
        rows = np.concatenate([getattr(one, name) for one in alone])
        np.testing.assert_allclose(getattr(together, name), rows, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-4)
        assert (rows[:, 32] == 0).all(), "white space is never masked"


def test_more_is_known_from_both_sides() -> None:
    model = ByteNgram([TEXT], 5)
    text = b"the cat sat on the mat, and the rat"
    hidden = np.zeros(len(text), dtype=bool)
    hidden[19:22] = True
    found = answer(model, [text], [hidden])
    true = list(text[19:22])
    assert bytes(found.both.argmax(1).astype(np.uint8)) == b"mat"
    assert (found.both[range(3), true] > found.left[range(3), true]).all()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="order is 9, expected 2 to 8"):
        ByteNgram([TEXT], 9)
    with pytest.raises(ValueError, match="there is no text of at least 5 bytes"):
        ByteNgram([b"abc"], 5)
