"""Key files: a secret permutation of the byte values, readable by its owner only."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from anybyte.privacy.permutation import NUM_VALUES, Permutation

_KIND = "anybyte byte permutation"
_MAX_SIZE = 2**16
_OWNER_ONLY = 0o600


def create_key(path: str | os.PathLike[str]) -> Permutation:
    """Draws a secret permutation and writes it to a new file that only its owner may read.

    Raises:
        FileExistsError: there is a file already: keys are never overwritten.
        OSError: the file cannot be written.
    """
    key = Permutation.secret()
    text = json.dumps({"kind": _KIND, "permutation": key.table.hex()}, indent=2) + "\n"
    # The mode is given at creation: there is no moment at which others could open the file.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(path).unlink(missing_ok=True)  # half a key would be taken for a damaged one
        raise
    return key


def read_key(path: str | os.PathLike[str]) -> Permutation:
    """The permutation in a key file.

    Raises:
        ValueError: others may read the file, or it holds no key, or a broken one. No message shows what is in it.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        raise ValueError(f"{name} is a folder, and a key is a file (`anybyte privacy keygen` makes one)")
    with open(name, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(_MAX_SIZE)
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):  # the latter for brackets in brackets in brackets
        content = None
    table = content.get("permutation") if isinstance(content, dict) and content.get("kind") == _KIND else None
    if not isinstance(table, str):
        raise ValueError(f"{name} is not a key file (`anybyte privacy keygen` makes one)")
    _check_mode(name, mode)
    try:
        values = bytes.fromhex(table)
    except ValueError:
        # Without its cause, which would quote the place.
        raise ValueError(
            f"{name} is a damaged key: its permutation is not {2 * NUM_VALUES} hexadecimal digits"
        ) from None
    try:
        return Permutation(values)
    except ValueError as error:
        raise ValueError(f"{name} is a damaged key: {error}") from error


def _check_mode(name: str, mode: int) -> None:
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ValueError(
            f"{name} may be read by others (mode {stat.S_IMODE(mode):04o}), so it is no secret: make it yours alone "
            f"(chmod 600 {name}), and draw another key if somebody could have read it"
        )
