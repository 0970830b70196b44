"""Units on a map, and whom each of ours should attack: a set whose answers need all of it (after Vinyals et al. 2019).

The rule: a unit attacks the nearest of those enemies whose kind it beats (each of three kinds beats the next); if there
is none, the nearest enemy of any kind. It is told as the number that the enemy carries, so that the answer does not
depend on any order. With probability `noise` the unit is told another enemy, at random: nobody is right more often than
`1 - noise`, and the rule is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_KINDS = 3
UNTOLD = -1
"""The target of an enemy, which attacks nobody."""

_SEED = 0xE7717
_NUMBERS = {"train": 0, "val": 1, "test": 2}
_LEVELS = 4
"""Bands of hit points."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class EntityScenes:
    """Scenes of up to `num_slots` units.

    Attributes:
        num_slots: units of both sides, at most.
        num_numbers: numbers that enemies carry; there are as many enemies at most, and at least two.
        num_bands: sines and cosines of each coordinate.
        noise: share of our units that are told a wrong target.
    """

    num_slots: int = 16
    num_numbers: int = 5
    num_bands: int = 8
    noise: float = 0.02

    @property
    def num_channels(self) -> int:
        """Numbers that describe a unit: side, kind, hit points, place, and the number it carries."""
        return 2 + NUM_KINDS + 1 + 2 * _LEVELS + 2 + 4 * self.num_bands + self.num_numbers

    @property
    def achievable(self) -> float:
        """The largest share of right targets that can be expected of anybody."""
        return 1 - self.noise

    def scene(self, part: str, index: int) -> tuple[Floats, NDArray[np.int64]]:
        """Scene `index` of a part, see `draw`."""
        return self.draw(np.random.default_rng([_SEED, _NUMBERS[part], index]))

    def draw(self, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        """A scene in random order.

        Returns:
            (float32 [units, num_channels], int64 [units] the number of the enemy to attack, `UNTOLD` for enemies).
        """
        enemies = int(rng.integers(2, self.num_numbers, endpoint=True))
        own = int(rng.integers(2, self.num_slots - self.num_numbers, endpoint=True))
        count = own + enemies
        is_enemy = np.zeros(count, dtype=bool)
        is_enemy[rng.permutation(count)[:enemies]] = True
        kinds, places, health = rng.integers(NUM_KINDS, size=count), rng.uniform(-1, 1, (count, 2)), rng.random(count)
        numbers = rng.permutation(self.num_numbers)[:enemies]
        chosen = attacked(kinds, places, is_enemy)
        wrong = rng.random(own) < self.noise
        chosen = np.where(wrong, (chosen + rng.integers(1, enemies, size=own)) % enemies, chosen)
        targets = np.full(count, UNTOLD, dtype=np.int64)
        targets[~is_enemy] = numbers[chosen]
        carried = np.zeros((count, self.num_numbers))
        carried[np.flatnonzero(is_enemy), numbers] = 1
        return self._describe(is_enemy, kinds, health, places, carried), targets

    def _describe(
        self,
        is_enemy: NDArray[np.bool_],
        kinds: NDArray[np.int64],
        health: NDArray[np.float64],
        places: NDArray[np.float64],
        carried: NDArray[np.float64],
    ) -> Floats:
        columns = [
            np.column_stack([~is_enemy, is_enemy]),
            np.eye(NUM_KINDS)[kinds],
            health[:, None],
            _waves(2 * health[:, None] - 1, _LEVELS),
            places,
            _waves(places, self.num_bands),
            carried,
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)

    def identity(self, part: str, count: int) -> str:
        """A digest that tells these scenes from others."""
        return hashlib.sha256(f"{self}\0{part}\0{count}".encode()).hexdigest()


def attacked(kinds: NDArray[np.int64], places: NDArray[np.float64], is_enemy: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The rule: for each of our units, in their order, which of the enemies, in theirs, it attacks. int64 [own]."""
    gaps = places[~is_enemy][:, None] - places[is_enemy][None]
    distances = (gaps**2).sum(-1)
    beaten = kinds[is_enemy][None] == (kinds[~is_enemy][:, None] + 1) % NUM_KINDS
    anyone = ~beaten.any(axis=1, keepdims=True)
    nearest: NDArray[np.int64] = np.where(beaten | anyone, distances, np.inf).argmin(axis=1)
    return nearest


def _waves(values: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """Sines and cosines of values in [-1, 1], as many half-waves as the band's number."""
    angles = np.pi * (values[..., None] * np.arange(1, bands + 1) / 2).reshape(len(values), -1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


SCENES = {
    "entities": EntityScenes(),
    # Units as the paper counts them: 512 of 128 channels.
    "entities_512": EntityScenes(num_slots=512, num_numbers=64, num_bands=12),
}
"""Name -> the scenes."""
COUNTS = {"train": 100_000, "val": 1_000, "test": 4_000}
"""Scenes of a part, of any kind; those of training are others in each epoch."""
