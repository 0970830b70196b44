from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.privacy.permutation import Permutation, is_same

PERMUTATIONS = st.permutations(range(256)).map(lambda values: Permutation(bytes(values)))
IDENTITY = Permutation(bytes(range(256)))


@given(key=PERMUTATIONS, data=st.binary(max_size=300))
def test_the_inverse_undoes_it(key: Permutation, data: bytes) -> None:
    assert key.inverse.apply(key.apply(data)) == data
    assert key.inverse.compose(key) == IDENTITY == key.compose(key.inverse)
    assert key.inverse.inverse == key


@given(first=PERMUTATIONS, second=PERMUTATIONS, data=st.binary(max_size=300))
def test_a_composition_does_one_after_the_other(first: Permutation, second: Permutation, data: bytes) -> None:
    assert second.compose(first).apply(data) == second.apply(first.apply(data))
    assert second.compose(first).inverse == first.inverse.compose(second.inverse)


@given(key=PERMUTATIONS)
def test_equal_bytes_become_equal_bytes_and_others_others(key: Permutation) -> None:
    assert sorted(key.apply(bytes(range(256)))) == list(range(256))
    assert key.apply(bytes(5)) == bytes([key.table[0]] * 5)


def test_seeds_draw_the_same_again_and_secrets_differ() -> None:
    assert Permutation.random(1) == Permutation.random(1) != Permutation.random(2)
    assert Permutation.secret() != Permutation.secret()


def test_a_drawn_permutation_is_the_same_on_every_machine() -> None:
    # Models trained under a drawn permutation would be lost if this changed.
    assert Permutation.random(0).fingerprint.startswith("77a614ae51aee9b3")


def test_fingerprints_tell_permutations_apart() -> None:
    key, other = Permutation.random(1), Permutation.random(2)
    assert len(key.fingerprint) == 64
    assert is_same(key.fingerprint, Permutation(key.table).fingerprint)
    assert not is_same(key.fingerprint, other.fingerprint)


def test_nothing_shown_tells_the_secret() -> None:
    key = Permutation.secret()
    assert repr(key) == str(key) == f"Permutation({key.fingerprint[:16]}...)"
    assert pickle.loads(pickle.dumps(key)) == key  # a data loading process needs the whole of it


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "256 entries, this has 0"),
        (bytes(range(255)), "this has 255"),
        (bytes(range(256)) + b"\0", "this has 257"),
        (bytes(256), "not a permutation: 255 of the 256"),
        (bytes(range(255)) + b"\0", "not a permutation: 1 of the 256"),
    ],
)
def test_what_is_no_bijection_is_refused(table: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Permutation(table)
