"""All that is done to the bytes of an encoded file before a model reads them, in the paper's order.

encode -> order -> camera -> noise -> permutation (section 4.3). The permutation comes last: noise of a value is a value
nearby, and only before the permutation are values near each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anybyte.config import PrivacyConfig
from anybyte.privacy.camera import PixelMask
from anybyte.privacy.keys import read_key
from anybyte.privacy.noise import MAX_NOISE, add_noise
from anybyte.privacy.order import ORDERS, reorder
from anybyte.privacy.permutation import Permutation, is_same, short

_FIELD = "reading.privacy"


class Protection:
    """Bytes to the bytes that a model reads. It can be sent to data loading processes.

    Attributes:
        config: what is done; the fingerprint of a key is filled in.
        fingerprint: of the permutation, if there is one; known also where the key is not at hand.
        permutation: the permutation, if there is one and its key is at hand.

    Args:
        config: what to do. A key that it names is read here.
        key: the permutation, in place of a key file.

    Raises:
        ValueError: a setting makes no sense, or the key is not the one meant; the message names the field.
        OSError: the key file cannot be read.
    """

    def __init__(self, config: PrivacyConfig, key: Permutation | None = None) -> None:
        check_privacy(config)
        self.permutation = _find_permutation(config, key)
        self.fingerprint = self.permutation.fingerprint if self.permutation else config.fingerprint
        if config.key is not None or key is not None:
            config = replace(config, fingerprint=self.fingerprint)
        self.config = config
        self.mask = None if config.camera_keep is None else PixelMask(config.camera_keep, config.seed)

    @property
    def is_active(self) -> bool:
        """Whether any byte is changed, moved or left out."""
        config = self.config
        return bool(config.order != "stored" or self.mask or config.noise or config.permutation)

    @property
    def is_keyed(self) -> bool:
        """Whether the permutation is that of a key: a secret, and not what a seed draws."""
        return self.config.fingerprint is not None

    def __call__(self, data: bytes, rng: np.random.Generator | None = None) -> bytes:
        """The bytes that a model reads.

        Args:
            data: an encoded file.
            rng: what is drawn anew for each file (noise, random order) comes from it. None: from the file's own hash,
                so that the same file is always changed in the same way.

        Raises:
            ValueError: the permutation is that of a key, which is not at hand.
        """
        if not self.is_active:
            return data
        config, values = self.config, np.frombuffer(data, dtype=np.uint8)
        if config.order != "stored":
            draw = rng or self._hashed(values, b"order") if config.order == "random" else None
            values = reorder(values, config.order, seed=config.seed, rng=draw)
        if self.mask:
            values = self.mask.apply(values)
        return self._finish(values, rng)

    def read_picture(self, pixels: NDArray[np.uint8], rng: np.random.Generator | None = None) -> bytes:
        """The same for the `fhwc` file of a picture, of which a masked camera reads no more than it keeps.

        Args:
            pixels: uint8 [H, W, 3] or [H, W].
            rng: as in `__call__`.
        """
        if self.mask is None or self.config.order != "stored":
            return self(pixels.tobytes(), rng)
        return self._finish(self.mask.read(pixels), rng)

    def _finish(self, values: NDArray[np.uint8], rng: np.random.Generator | None) -> bytes:
        """Noise, then the permutation."""
        if self.config.noise:
            values = add_noise(values, self.config.noise, rng or self._hashed(values, b"noise"))
        data = values.tobytes()
        if not self.config.permutation:
            return data
        if self.permutation is None:
            fingerprint = short(self.fingerprint or "")
            raise ValueError(f"reading this takes the key {fingerprint}, which is not at hand: name its file (--key)")
        return self.permutation.apply(data)

    def _hashed(self, values: NDArray[np.uint8], purpose: bytes) -> np.random.Generator:
        """A generator that follows from the bytes, the seed and what it is for."""
        digest = hashlib.sha256(b"%s %d\0" % (purpose, self.config.seed))
        digest.update(np.ascontiguousarray(values).data)
        return np.random.default_rng(int.from_bytes(digest.digest(), "little"))


def _find_permutation(config: PrivacyConfig, key: Permutation | None) -> Permutation | None:
    """The permutation itself: a key's, or what the seed draws if no key is meant. None: none, or its key is not
    here."""
    if not config.permutation:
        if key is not None:
            raise ValueError(f"a key is given, but {_FIELD}.permutation is off: this reads no permuted bytes")
        return None
    if key is None and config.key is not None:
        key = read_key(config.key)
    if key is None:
        return Permutation.random(config.seed) if config.fingerprint is None else None
    if config.fingerprint is not None and not is_same(key.fingerprint, config.fingerprint):
        raise ValueError(f"the key is {short(key.fingerprint)}, and another is meant: {short(config.fingerprint)}")
    return key


def check_privacy(config: PrivacyConfig) -> None:
    """Nothing, if the settings make sense.

    Raises:
        ValueError: they do not; the message names the field, its value and what would be right.
    """
    if config.order not in ORDERS:
        raise ValueError(f"{_FIELD}.order is {config.order!r}; known are {', '.join(ORDERS)}")
    keep = config.camera_keep
    if keep is not None and not (_is_number(keep) and 0 < keep <= 1):
        raise ValueError(f"{_FIELD}.camera_keep is {keep!r}; it is a share in (0, 1], or None for all")
    if config.noise is not None and not (_is_whole(config.noise) and 0 <= config.noise <= MAX_NOISE):
        raise ValueError(f"{_FIELD}.noise is {config.noise!r}; it is a whole number in [0, {MAX_NOISE}], or None")
    if not isinstance(config.permutation, bool):
        raise ValueError(f"{_FIELD}.permutation is {config.permutation!r}; it is true or false")
    if not (_is_whole(config.seed) and config.seed >= 0):
        raise ValueError(f"{_FIELD}.seed is {config.seed!r}; it is a whole number, at least 0")
    for name in ("key", "fingerprint"):
        value = getattr(config, name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{_FIELD}.{name} is {value!r}; it is text, or None")
        if value is not None and not config.permutation:
            raise ValueError(f"{_FIELD}.{name} is given, but {_FIELD}.permutation is off: turn it on as well")
    if config.fingerprint is not None and not _is_fingerprint(config.fingerprint):
        raise ValueError(f"{_FIELD}.fingerprint is {config.fingerprint!r}; it is 64 hexadecimal digits")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_fingerprint(text: str) -> bool:
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
