from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import HEAD_SIZE, MAGIC, is_sealed, seal, unseal

FINGERPRINT = Permutation.random(0).fingerprint


@given(payload=st.binary(min_size=1, max_size=100), reading=st.binary(min_size=8, max_size=8))
def test_what_was_sealed_comes_out(payload: bytes, reading: bytes) -> None:
    data = seal(payload, FINGERPRINT, reading)
    sealed = unseal(data, "a")
    assert (sealed.payload, sealed.fingerprint, sealed.reading) == (payload, FINGERPRINT, reading)
    assert len(data) == HEAD_SIZE + len(payload)
    assert is_sealed(data)
    assert is_sealed(memoryview(data))


@pytest.mark.parametrize("data", [b"", MAGIC[:-1], b"RIFF" * 20])
def test_other_files_are_not_sealed(data: bytes) -> None:
    assert not is_sealed(data)
    with pytest.raises(ValueError, match=r"a\.bin is not a sealed file"):
        unseal(data, "a.bin")


@pytest.mark.parametrize("length", [len(MAGIC), HEAD_SIZE - 1, HEAD_SIZE])
def test_a_cut_file_is_named(length: int) -> None:
    with pytest.raises(ValueError, match=f"a.bin is a sealed file with nothing in it: {length} bytes"):
        unseal(seal(b"payload", FINGERPRINT, bytes(8))[:length], "a.bin")


def test_a_mark_has_one_size() -> None:
    with pytest.raises(ValueError, match="32 and 8 bytes, not 2 and 8"):
        seal(b"x", "abcd", bytes(8))
