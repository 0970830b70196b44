"""Marked files: bytes that are ready for a model, and whose key they were made with.

A sealed file is a magic of 8 bytes, the fingerprint of the permutation (32 bytes), a digest of how the file was read
before (8 bytes), and the bytes themselves. The mark hides nothing and proves nothing: it keeps people from giving a
file to a model that would answer nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"\x89ABSEAL1"
"""The first bytes of a sealed file; the first of them is in no text."""

READING_SIZE = 8
_FINGERPRINT_SIZE = 32
HEAD_SIZE = len(MAGIC) + _FINGERPRINT_SIZE + READING_SIZE


@dataclass(frozen=True)
class Sealed:
    """What a sealed file says and holds.

    Attributes:
        fingerprint: of the permutation, 64 hexadecimal digits.
        reading: digest of the settings by which the payload was read from the original (`reading_digest`), 8 bytes.
        payload: the bytes for the model.
    """

    fingerprint: str
    reading: bytes
    payload: bytes


def is_sealed(data: bytes | memoryview) -> bool:
    """Whether a file begins as a sealed one does."""
    return bytes(data[: len(MAGIC)]) == MAGIC


def seal(payload: bytes, fingerprint: str, reading: bytes) -> bytes:
    """The bytes of a sealed file.

    Raises:
        ValueError: the fingerprint is not 64 hexadecimal digits, or the digest not 8 bytes.
    """
    head = bytes.fromhex(fingerprint)
    if len(head) != _FINGERPRINT_SIZE or len(reading) != READING_SIZE:
        raise ValueError(f"a mark is {_FINGERPRINT_SIZE} and {READING_SIZE} bytes, not {len(head)} and {len(reading)}")
    return MAGIC + head + reading + payload


def unseal(data: bytes, name: str) -> Sealed:
    """What is in a sealed file.

    Raises:
        ValueError: it is not sealed, or cut off; the message names the file.
    """
    if not is_sealed(data):
        raise ValueError(f"{name} is not a sealed file (`anybyte privacy apply` makes them)")
    if len(data) <= HEAD_SIZE:
        raise ValueError(f"{name} is a sealed file with nothing in it: {len(data)} bytes")
    fingerprint = data[len(MAGIC) : len(MAGIC) + _FINGERPRINT_SIZE].hex()
    return Sealed(fingerprint, data[HEAD_SIZE - READING_SIZE : HEAD_SIZE], data[HEAD_SIZE:])
