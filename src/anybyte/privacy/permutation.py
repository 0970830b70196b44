"""Secret permutations of the 256 byte values (paper, section 4.3: an obfuscation that costs no accuracy)."""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from typing import Self

import numpy as np

NUM_VALUES = 256

_FINGERPRINT_DOMAIN = b"anybyte byte permutation 1\0"
_PERMUTATION_STREAM = 3
"""Keeps a permutation drawn by a seed apart from what else is drawn by it."""


class Permutation:
    """A bijection of the byte values 0 to 255. It is a secret: its `repr` shows no more than the fingerprint.

    Args:
        table: 256 bytes, `table[value]` being what becomes of `value`.

    Raises:
        ValueError: not 256 bytes, or a value stands for two. The message does not show the table.
    """

    def __init__(self, table: bytes) -> None:
        table = bytes(table)
        if len(table) != NUM_VALUES:
            raise ValueError(f"a permutation of the byte values has {NUM_VALUES} entries, this has {len(table)}")
        if len(set(table)) != NUM_VALUES:
            missing = NUM_VALUES - len(set(table))
            raise ValueError(f"not a permutation: {missing} of the {NUM_VALUES} byte values do not occur")
        self._table = table

    @classmethod
    def random(cls, seed: int) -> Self:
        """The permutation that a seed draws: always the same, so it is no secret to those who know the seed."""
        rng = np.random.default_rng([seed, _PERMUTATION_STREAM])
        return cls(rng.permutation(NUM_VALUES).astype(np.uint8).tobytes())

    @classmethod
    def secret(cls) -> Self:
        """A permutation that nobody can guess, from the operating system's randomness."""
        values = list(range(NUM_VALUES))
        secrets.SystemRandom().shuffle(values)
        return cls(bytes(values))

    @property
    def table(self) -> bytes:
        """The 256 values: the secret itself."""
        return self._table

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the table behind a fixed prefix, in 64 hexadecimal digits: tells permutations apart, and gives
        away none that was drawn in secret."""
        return hashlib.sha256(_FINGERPRINT_DOMAIN + self._table).hexdigest()

    def apply(self, data: bytes) -> bytes:
        """The data with each byte replaced by what it stands for."""
        return data.translate(self._table)

    @functools.cached_property
    def inverse(self) -> Permutation:
        """The permutation that undoes this one."""
        table = bytearray(NUM_VALUES)
        for value, image in enumerate(self._table):
            table[image] = value
        return Permutation(bytes(table))

    def compose(self, first: Permutation) -> Permutation:
        """The permutation that does `first` and then this one."""
        return Permutation(first._table.translate(self._table))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Permutation) and hmac.compare_digest(self._table, other._table)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Permutation({short(self.fingerprint)})"


def short(fingerprint: str) -> str:
    """A fingerprint in messages: its first 16 digits."""
    return f"{fingerprint[:16]}..."


def is_same(fingerprint: str, other: str) -> bool:
    """Whether two fingerprints are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(fingerprint.encode(), other.encode())
