from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.config import PrivacyConfig
from anybyte.privacy.camera import PixelMask
from anybyte.privacy.keys import create_key
from anybyte.privacy.order import ORDERS, reorder
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.protect import Protection

DATA = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()
KEY = Permutation.random(11)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def values(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


def test_nothing_is_done_unless_asked_for() -> None:
    protect = Protection(PrivacyConfig())
    assert not protect.is_active
    assert protect(DATA, rng()) is DATA


@given(data=st.binary(min_size=1, max_size=3000), order=st.sampled_from(ORDERS), key=st.booleans())
def test_orders_and_permutations_keep_what_they_should(data: bytes, order: Any, key: bool) -> None:
    protect = Protection(PrivacyConfig(order=order, permutation=key))
    changed = protect(data)
    assert changed == protect(data)
    assert len(changed) == len(data)
    assert sorted(Counter(changed).values()) == sorted(Counter(data).values())


def test_the_steps_follow_each_other_as_in_the_paper() -> None:
    config = PrivacyConfig(order="stride", camera_keep=0.3, noise=5, permutation=True, seed=4)
    protected = Protection(config)(DATA, rng(1))
    ordered = PixelMask(0.3, 4).apply(reorder(values(DATA), "stride"))
    undone = values(Permutation.random(4).inverse.apply(protected)).astype(int)
    noise = (undone - ordered + 128) % 256 - 128
    assert (np.unique(noise) == np.arange(-5, 6)).all()


@pytest.mark.parametrize("config", [PrivacyConfig(noise=20), PrivacyConfig(order="random")])
def test_what_is_drawn_for_each_file_follows_from_the_generator_or_the_file(config: PrivacyConfig) -> None:
    protect = Protection(config)
    assert protect(DATA) == protect(DATA) != DATA
    assert protect(DATA, rng(1)) == protect(DATA, rng(1)) != protect(DATA, rng(2))
    generator = rng(1)
    assert protect(DATA, generator) != protect(DATA, generator)
    assert Protection(PrivacyConfig(noise=config.noise, order=config.order, seed=1))(DATA) != protect(DATA)


def test_noise_differs_from_file_to_file() -> None:
    protect = Protection(PrivacyConfig(noise=20))
    first, second = bytes(1000), bytes(999) + b"\1"
    noises = [(values(protect(data)).astype(int) - values(data)) % 256 for data in (first, second)]
    assert (noises[0] == noises[1]).mean() < 0.1


@given(height=st.integers(1, 9), width=st.integers(1, 9), grey=st.booleans())
def test_a_picture_gives_what_its_file_gives(height: int, width: int, grey: bool) -> None:
    pixels = rng().integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8)
    for config in (
        PrivacyConfig(camera_keep=0.3, noise=9, permutation=True),
        PrivacyConfig(camera_keep=0.3, order="reverse"),
        PrivacyConfig(noise=3),
    ):
        protect = Protection(config)
        assert protect.read_picture(pixels) == protect(pixels.tobytes())
        assert protect.read_picture(pixels, rng(1)) == protect(pixels.tobytes(), rng(1))


def test_without_a_key_the_seed_draws_the_permutation() -> None:
    protect = Protection(PrivacyConfig(permutation=True, seed=7))
    assert protect(DATA) == Permutation.random(7).apply(DATA)
    assert protect.fingerprint == Permutation.random(7).fingerprint
    assert not protect.is_keyed
    assert protect.config.fingerprint is None


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    key = create_key(tmp_path / "key")
    protect = Protection(PrivacyConfig(permutation=True, key=str(tmp_path / "key")))
    assert protect(DATA) == key.apply(DATA)
    assert protect.is_keyed
    assert protect.config.fingerprint == key.fingerprint
    copy = pickle.loads(pickle.dumps(protect))
    assert copy(DATA) == protect(DATA)


def test_only_the_key_that_is_meant_is_taken() -> None:
    config = PrivacyConfig(permutation=True, fingerprint=KEY.fingerprint)
    assert Protection(config, KEY)(DATA) == KEY.apply(DATA)
    with pytest.raises(ValueError, match=f"another is meant: {KEY.fingerprint[:16]}"):
        Protection(config, Permutation.random(12))
    locked = Protection(config)
    assert locked.fingerprint == KEY.fingerprint
    with pytest.raises(ValueError, match=f"takes the key {KEY.fingerprint[:16]}.*--key"):
        locked(DATA)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"order": "sideways"}, r"privacy\.order is 'sideways'; known are stored, reverse"),
        ({"camera_keep": 0.0}, r"privacy\.camera_keep is 0\.0"),
        ({"camera_keep": 1.5}, r"privacy\.camera_keep is 1\.5"),
        ({"camera_keep": "half"}, r"privacy\.camera_keep is 'half'"),
        ({"noise": -1}, r"privacy\.noise is -1"),
        ({"noise": 200}, r"privacy\.noise is 200"),
        ({"noise": 2.5}, r"privacy\.noise is 2\.5"),
        ({"permutation": "yes"}, r"privacy\.permutation is 'yes'"),
        ({"seed": -1}, r"privacy\.seed is -1"),
        ({"key": "my.key"}, r"privacy\.key is given, but .*permutation is off"),
        ({"fingerprint": "ab" * 32}, r"privacy\.fingerprint is given, but"),
        ({"fingerprint": "abc", "permutation": True}, r"privacy\.fingerprint is 'abc'"),
        ({"key": 3, "permutation": True}, r"privacy\.key is 3"),
    ],
)
def test_senseless_settings_are_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Protection(PrivacyConfig(**fields))


def test_a_key_without_a_permutation_is_refused() -> None:
    with pytest.raises(ValueError, match="permutation is off"):
        Protection(PrivacyConfig(), KEY)
