"""Who may ask: callers that show a token."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterable

_MAX_SIZE = 2**16
_MIN_LENGTH = 16


class Gate:
    """Lets in whoever shows one of the tokens. It keeps their hashes alone.

    Args:
        tokens: that are let in.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    def admits(self, authorization: str | None) -> bool:
        """Whether a request may pass, by its header `Authorization: Bearer TOKEN`.

        All tokens are compared, in a time that tells neither where they differ nor which one fitted.
        """
        scheme, _, token = (authorization or "").partition(" ")
        digest = _digest(token.strip().encode("utf-8", "surrogateescape"))
        fits = [hmac.compare_digest(digest, known) for known in self._digests]
        return scheme.lower() == "bearer" and any(fits)


def read_tokens(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The tokens in a file, one a line; empty lines and those that begin with `#` are left out.

    Raises:
        ValueError: others may read the file, or it holds no token, or a short or strange one. No message shows a token.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(_MAX_SIZE + 1)
    if os.name == "posix" and mode & 0o077:
        raise ValueError(f"{name} may be read by others (mode {mode:04o}): make it yours alone (chmod 600 {name})")
    if len(content) > _MAX_SIZE:
        raise ValueError(f"{name} is longer than a file of tokens may be, {_MAX_SIZE:,} bytes")
    lines = [(number, line.strip()) for number, line in enumerate(content.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(b"#")]
    for number, line in lines:
        if len(line) < _MIN_LENGTH or not all(0x21 <= value <= 0x7E for value in line):
            raise ValueError(
                f"{name}, line {number}: a token is at least {_MIN_LENGTH} printable ASCII characters without spaces "
                "(`openssl rand -hex 24` makes one)"
            )
    if not lines:
        raise ValueError(f"{name} holds no token: write one a line")
    return tuple(line.decode("ascii") for _, line in lines)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
