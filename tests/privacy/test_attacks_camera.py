from __future__ import annotations

import numpy as np
import pytest

from anybyte.privacy.attacks.camera import fill_smoothly, fit_linear, nearest_kept, scatter
from anybyte.privacy.attacks.decoder import train_decoder
from anybyte.privacy.attacks.mask import find_places, score_places
from anybyte.privacy.attacks.similarity import psnr
from anybyte.privacy.camera import PixelMask
from tests.privacy.pictures import smooth_pictures

SHAPE = (12, 12, 3)
VICTIMS, PUBLIC = smooth_pictures(300, 12, seed=1), smooth_pictures(800, 12, seed=2)
PLACES = PixelMask(0.2, seed=3).positions(12 * 12 * 3)
SENT = VICTIMS.reshape(len(VICTIMS), -1)[:, PLACES]


def quality(pictures: np.ndarray) -> float:
    return psnr(VICTIMS[: len(pictures)], np.rint(pictures).astype(np.uint8))


def test_what_was_kept_stays_where_it_was() -> None:
    pictures = scatter(SENT, PLACES, SHAPE, background=7)
    flat = pictures.reshape(len(SENT), -1)
    assert np.array_equal(flat[:, PLACES], SENT)
    assert (np.delete(flat, PLACES, axis=1) == 7).all()
    for filled in (fill_smoothly(SENT[:4], PLACES, SHAPE), fit_linear(PUBLIC, PLACES)(SENT[:4])):
        assert np.array_equal(filled.reshape(4, -1)[:, PLACES], SENT[:4].astype(np.float32))


def test_nearest_is_nearest_of_the_same_channel() -> None:
    numbers = nearest_kept(PLACES, SHAPE)
    kept = np.stack(np.unravel_index(PLACES, SHAPE), axis=1)
    for row, column, channel in [(0, 0, 0), (11, 11, 2), (5, 6, 1), (3, 9, 0)]:
        own = kept[kept[:, 2] == channel]
        chosen = kept[numbers[row, column, channel]]
        assert chosen[2] == channel
        distance = np.hypot(own[:, 0] - row, own[:, 1] - column).min()
        assert np.hypot(chosen[0] - row, chosen[1] - column) == pytest.approx(distance)


def test_a_channel_without_any_value_takes_another() -> None:
    assert (nearest_kept(np.array([0]), (4, 5, 3)) == 0).all()
    with pytest.raises(ValueError, match="keeps nothing"):
        nearest_kept(np.array([], dtype=np.int64), SHAPE)


def test_smooth_filling_is_exact_where_brightness_is_linear() -> None:
    y, x = np.mgrid[:12, :12]
    ramp = np.stack([5 * x + 3 * y] * 3, axis=-1).astype(np.uint8)[None]
    border = np.ones(SHAPE, bool)
    border[1:-1, 1:-1] = False
    places = np.flatnonzero(border)
    filled = fill_smoothly(ramp.reshape(1, -1)[:, places], places, SHAPE)
    assert np.abs(filled - ramp).max() < 0.05


def test_each_attack_beats_the_simpler_one() -> None:
    nearest = quality(SENT[:, nearest_kept(PLACES, SHAPE)])
    alone = quality(fill_smoothly(SENT, PLACES, SHAPE))
    coupled = quality(fill_smoothly(SENT, PLACES, SHAPE, coupling=8))
    linear = quality(fit_linear(PUBLIC, PLACES)(SENT))
    assert nearest < alone < coupled < linear


def test_the_decoder_learns_and_keeps_what_was_measured() -> None:
    public = PUBLIC[:200]
    fill = nearest_kept(PLACES, SHAPE)
    filled = public.reshape(200, -1)[:, PLACES][:, fill].astype(np.float32)
    ours = SENT[:50, fill].astype(np.float32)
    better = train_decoder(public, filled, PLACES, seconds=60, max_steps=30)(ours)
    assert quality(better) > quality(ours) + 0.2
    assert np.array_equal(better.reshape(50, -1)[:, PLACES], SENT[:50].astype(np.float32))
    with pytest.raises(ValueError, match="even"):
        train_decoder(public[:, :11], filled[:, :11], PLACES)


def test_a_secret_mask_is_learnt_from_many_pictures() -> None:
    found = find_places(SENT, PUBLIC)
    assert (np.diff(found) > 0).all()
    assert len(found) == len(PLACES)
    score = score_places(found, PLACES, SHAPE)
    chance = score_places(PixelMask(0.2, seed=4).positions(12 * 12 * 3), PLACES, SHAPE)
    assert score.near > 0.7 > chance.near
    assert score.distance < chance.distance / 2
    recovered = fit_linear(PUBLIC, found)(SENT)
    assert quality(recovered) > quality(scatter(SENT, PLACES, SHAPE)) + 5


def test_a_secret_mask_needs_enough_pictures_of_a_size() -> None:
    with pytest.raises(ValueError, match="8 pictures"):
        find_places(SENT[:3], PUBLIC)
    with pytest.raises(ValueError, match="4,096"):
        find_places(SENT[:8], np.zeros((8, 64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match="432"):
        find_places(np.zeros((8, 500), np.uint8), PUBLIC[:8])


def test_places_are_scored() -> None:
    true = np.array([0, 3, 40])
    score = score_places(np.array([0, 4, 100]), true, SHAPE)
    assert score.exact == pytest.approx(1 / 3)
    assert score.near == pytest.approx(2 / 3)
