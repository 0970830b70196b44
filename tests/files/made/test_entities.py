"""Generated scenes: the rule, the noise, and what follows from a part and a number."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from anybyte.files.made.entities import NUM_KINDS, SCENES, UNTOLD, EntityScenes, attacked

SMALL = EntityScenes()


def test_the_rule_is_what_it_says() -> None:
    """Written down again, unit by unit."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        count = int(rng.integers(4, 20))
        kinds, places = rng.integers(3, size=count), rng.uniform(-1, 1, (count, 2))
        is_enemy = np.arange(count) % 2 == 0
        enemies = [unit for unit in range(count) if is_enemy[unit]]
        expected = []
        for unit in range(count):
            if is_enemy[unit]:
                continue
            beaten = [other for other in enemies if kinds[other] == (kinds[unit] + 1) % NUM_KINDS]
            nearest = min(beaten or enemies, key=lambda other: float(np.linalg.norm(places[other] - places[unit])))
            expected.append(enemies.index(nearest))
        assert attacked(kinds, places, is_enemy).tolist() == expected


def rule_of(entities: np.ndarray, scenes: EntityScenes) -> np.ndarray:
    """The target that the rule gives each of our units, from the numbers that a model reads."""
    is_enemy = entities[:, 1] == 1
    places = entities[:, 14:16].astype(np.float64)
    carried = entities[is_enemy, -scenes.num_numbers :].argmax(1)
    return carried[attacked(entities[:, 2:5].argmax(1), places, is_enemy)]


@pytest.mark.parametrize("name", sorted(SCENES))
def test_what_a_model_reads_is_enough_for_the_rule(name: str) -> None:
    scenes = dataclasses.replace(SCENES[name], noise=0.0)
    for index in range(20):
        entities, targets = scenes.scene("train", index)
        assert entities.shape == (len(targets), scenes.num_channels)
        assert entities.dtype == np.float32
        assert len(entities) <= scenes.num_slots
        is_ours = entities[:, 0] == 1
        assert (targets[~is_ours] == UNTOLD).all()
        assert targets[is_ours].tolist() == rule_of(entities, scenes).tolist()


def test_the_rule_is_right_as_often_as_can_be() -> None:
    """Of some 13,000 targets 2% are wrong: within four standard deviations of it."""
    right = total = 0
    for index in range(2_000):
        entities, targets = SMALL.scene("test", index)
        told = targets[targets != UNTOLD]
        right += int((told == rule_of(entities, SMALL)).sum())
        total += len(told)
    spread = (SMALL.noise * SMALL.achievable / total) ** 0.5
    assert right / total == pytest.approx(SMALL.achievable, abs=4 * spread)


def test_scenes_follow_from_part_and_number() -> None:
    first = SMALL.scene("val", 3)
    again = SMALL.scene("val", 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    others = [SMALL.scene("test", 3), SMALL.scene("val", 4), SMALL.scene("train", 3)]
    assert not any(np.array_equal(first[0], other) for other, _ in others)


def test_the_papers_size() -> None:
    assert SCENES["entities_512"].num_slots == 512
    assert SCENES["entities_512"].num_channels == 128
