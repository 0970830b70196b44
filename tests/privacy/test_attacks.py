from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.files.media import encode_audio, encode_image
from anybyte.privacy.attacks.assignment import assign
from anybyte.privacy.attacks.embedding import match_relations, match_rows
from anybyte.privacy.attacks.guesses import UNKNOWN, complete, read_with, score_guess
from anybyte.privacy.attacks.layout import picture_layout, sound_layout
from anybyte.privacy.attacks.matching import Evidence, climb
from anybyte.privacy.attacks.similarity import psnr, ssim
from anybyte.privacy.attacks.statistics import (
    count_neighbours,
    count_pairs,
    count_values,
    log_frequencies,
    with_noise,
)
from anybyte.privacy.attacks.substitution import (
    combine,
    header_clues,
    match_bigrams,
    match_ranks,
    no_clues,
    order_by_smoothness,
    read_headers,
)
from tests.privacy.pictures import smooth_pictures

RNG = np.random.default_rng(0)
KEY = RNG.permutation(256).astype(np.uint8)
TRUTH = np.argsort(KEY).astype(np.uint8)
VICTIMS, PUBLIC = smooth_pictures(40, seed=1), smooth_pictures(100, seed=2)


def evidence(sent: NDArray[np.uint8], noise: int = 0, clues: NDArray[np.float64] | None = None) -> Evidence:
    expected = log_frequencies(with_noise(count_neighbours(PUBLIC), noise))
    return Evidence(count_neighbours(sent), expected, no_clues() if clues is None else clues)


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_no_pairing_costs_less(size: int) -> None:
    rng = np.random.default_rng(size)
    for cost in (rng.random((size, size)), -(rng.random((size, size)) ** 4), rng.integers(0, 3, (size, size)) * 1.0):
        rows = np.arange(size)
        best = min(cost[rows, list(columns)].sum() for columns in itertools.permutations(range(size)))
        assert cost[rows, assign(cost)].sum() == pytest.approx(best)


def test_pairing_wants_finite_squares() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        assign(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        assign(np.array([[0.0, np.nan], [0.0, 1.0]]))


@pytest.mark.parametrize("format", ["tiff", "fhwc", "fchw", "bmp", "ppm"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (17, 16, 3)])
def test_a_layout_finds_every_pixel(format: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    data = np.frombuffer(encode_image(pixels, format), np.uint8)
    layout = picture_layout(format, *shape)
    assert np.array_equal(layout.body(data), pixels)
    assert np.array_equal(data[layout.header], layout.values)
    with pytest.raises(ValueError, match=f"{len(data):,} bytes"):
        layout.body(data[:-1])


def test_compressed_files_have_a_header_and_no_places() -> None:
    layout = picture_layout("jpeg:q60", 16, 16)
    data = np.frombuffer(encode_image(VICTIMS[0, :16, :16], "jpeg:q60"), np.uint8)
    assert layout.places is None
    assert len(layout.header) > 300
    assert np.array_equal(data[layout.header], layout.values)
    with pytest.raises(ValueError, match="compressed"):
        layout.body(data)


def test_a_layout_finds_every_sample() -> None:
    samples = np.linspace(-1, 1, 100, dtype=np.float32)
    data = np.frombuffer(encode_audio(samples, 8000, "wav:s16"), np.uint8)
    layout = sound_layout("wav:s16", 100, 8000)
    body = layout.body(data)
    assert np.array_equal(body.reshape(-1).view("<i2"), np.frombuffer(data[44:].tobytes(), "<i2"))
    assert np.array_equal(data[layout.header], layout.values)


def test_pairs_are_counted() -> None:
    counts = count_pairs(np.array([1, 1, 2], np.uint8), np.array([3, 3, 1], np.uint8))
    assert (counts[1, 3], counts[2, 1], counts.sum()) == (2, 1, 3)
    with pytest.raises(ValueError, match="no files"):
        count_neighbours([])
    with pytest.raises(ValueError, match=r"\(4,\)"):
        count_neighbours([np.zeros(4, np.uint8)])


def test_noise_spreads_pairs_as_it_does_when_drawn() -> None:
    rng = np.random.default_rng(4)
    plain = np.full((400, 400, 1), 250, np.uint8)
    noisy = plain + rng.integers(-10, 11, plain.shape).astype(np.uint8)
    expected, drawn = with_noise(count_neighbours([plain]), 10), count_neighbours([noisy])
    assert np.abs(expected - drawn).max() < 0.2 * expected.max()
    assert expected[0, 4, 4] == pytest.approx(expected[0, 250, 250])
    assert expected[0, 5, 5] == pytest.approx(0, abs=1e-6)


def test_gains_of_exchanges_are_exact() -> None:
    from anybyte.privacy.attacks.matching import _exchange_gains

    rng = np.random.default_rng(5)
    tables = rng.random((2, 2, 12, 12))
    seen, expected = tables + tables.swapaxes(2, 3)
    scene = Evidence(seen, expected, rng.random((12, 12)))
    renaming = rng.permutation(12)
    gains = _exchange_gains(scene, renaming)
    for a, b in itertools.combinations(range(12), 2):
        other = renaming.copy()
        other[[a, b]] = renaming[[b, a]]
        assert gains[a, b] == pytest.approx(scene.agreement(other) - scene.agreement(renaming))


def test_climbing_ends_where_no_exchange_helps() -> None:
    scene = evidence(KEY[VICTIMS])
    start = np.arange(256)
    end = climb(scene, start)
    assert sorted(end.tolist()) == list(range(256))
    assert scene.agreement(end) > scene.agreement(start)
    assert np.array_equal(climb(scene, end), end)


def test_ranks_break_a_key_where_frequencies_differ() -> None:
    frequencies = np.arange(256.0) ** 2
    guess = match_ranks(frequencies[TRUTH], frequencies)
    assert np.array_equal(guess, TRUTH)


def test_known_headers_give_their_values_and_no_others() -> None:
    layout = picture_layout("tiff", 24, 24)
    data = np.frombuffer(encode_image(VICTIMS[0], "tiff"), np.uint8)
    guess = read_headers(header_clues(KEY[data][layout.header][None], layout.values))
    known = guess != UNKNOWN
    assert known.sum() == len(set(layout.values.tolist())) > 10
    assert np.array_equal(guess[known], TRUTH[known])
    assert (read_headers(no_clues()) == UNKNOWN).all()


def test_noise_hides_what_a_header_says_but_not_where_about() -> None:
    rng = np.random.default_rng(6)
    header = np.zeros(40, np.uint8)
    sent = KEY[(header + rng.integers(-20, 21, (500, 40))).astype(np.uint8)]
    clues = header_clues(sent, header, noise=20)
    assert (read_headers(clues) == UNKNOWN).all()
    near_zero = KEY[np.arange(-20, 21) % 256]
    assert (clues[near_zero, 0] > clues[near_zero, 128] + 100).all()


def test_smoothness_gives_the_picture_without_any_public_file() -> None:
    sent = KEY[VICTIMS]
    clues = no_clues()
    clues[KEY[[0, 1, 250]], [0, 1, 250]] = 20.0  # what a header would tell: which end is dark
    guess = order_by_smoothness(count_neighbours(sent), clues)
    score = score_guess(guess, TRUTH, count_values([sent]))
    assert score.error < 8
    assert psnr(VICTIMS, read_with(guess, sent)) > 25


def test_everything_together_is_best() -> None:
    sent = KEY[VICTIMS]
    counts = count_values([sent])
    scene = evidence(sent)
    scores = {
        "ranks": score_guess(match_ranks(counts, count_values([PUBLIC])), TRUTH, counts),
        "bigrams": score_guess(match_bigrams(counts, count_values([PUBLIC]), scene), TRUTH, counts),
        "combined": score_guess(combine(scene), TRUTH, counts),
    }
    assert scores["combined"].bytes > 0.5 > scores["ranks"].bytes
    assert scores["combined"].error < 1 < scores["ranks"].error
    assert scores["combined"].error <= scores["bigrams"].error


def test_noise_does_not_hide_the_order() -> None:
    rng = np.random.default_rng(7)
    sent = KEY[(VICTIMS + rng.integers(-10, 11, VICTIMS.shape)).astype(np.uint8)]
    guess = combine(evidence(sent, noise=10), circle=True)
    assert score_guess(guess, TRUTH, count_values([sent])).error < 6


def test_scores_count_what_is_right() -> None:
    truth = np.arange(256, dtype=np.uint8)
    guess = truth.astype(np.int16)
    guess[:64] = UNKNOWN
    counts = np.zeros(256)
    counts[[0, 100]] = 1, 3
    score = score_guess(guess, truth, counts)
    assert (score.values, score.occurring, score.bytes, score.error) == (0.75, 0.5, 0.75, 32.0)


def test_completing_keeps_what_is_known() -> None:
    counts = np.arange(256.0)
    guess = np.full(256, UNKNOWN, np.int16)
    guess[7] = 200
    whole = complete(guess, counts[TRUTH], counts)
    assert whole[7] == 200
    assert sorted(whole.tolist()) == list(range(256))


def test_rows_of_a_rekeyed_embedding_match_also_after_training() -> None:
    rng = np.random.default_rng(8)
    public = rng.normal(size=(256, 16)).astype(np.float32)
    assert np.array_equal(match_rows(public[TRUTH], public), TRUTH)
    moved = public[TRUTH] + rng.normal(scale=0.2, size=public.shape).astype(np.float32)
    assert (match_rows(moved, public) == TRUTH).mean() > 0.9
    with pytest.raises(ValueError, match="one shape"):
        match_rows(public, public[:, :8])
    with pytest.raises(ValueError, match="256"):
        match_rows(public[:9], public[:9])


def test_angles_between_rows_survive_a_change_of_basis() -> None:
    rng = np.random.default_rng(9)
    place = np.arange(256)[:, None] / 256
    public = np.concatenate([np.exp(-((place - centre) ** 2) / 0.02) for centre in rng.random(24)], axis=1)
    basis = np.linalg.qr(rng.normal(size=(24, 24)))[0]
    guess = match_relations((public @ basis)[TRUTH], public)
    assert np.abs(guess - TRUTH.astype(int)).mean() < 3


def test_likeness_of_pictures() -> None:
    a, b = VICTIMS[0], VICTIMS[1]
    assert psnr(a, a) == float("inf")
    assert ssim(a, a) == pytest.approx(1)
    assert psnr(np.zeros_like(a), np.full_like(a, 255)) == pytest.approx(0)
    assert ssim(a, b) < 0.9
    with pytest.raises(ValueError, match="at least 11"):
        ssim(a[:8], a[:8])


def test_ssim_is_that_of_its_definition() -> None:
    a = VICTIMS[0, :11, :11, :1]
    b = np.clip(a + RNG.normal(0, 20, a.shape), 0, 255).astype(np.uint8)
    weights = np.array([[np.exp(-((i - 5) ** 2 + (j - 5) ** 2) / 4.5) for j in range(11)] for i in range(11)])
    weights /= weights.sum()
    x, y = a[..., 0].astype(float), b[..., 0].astype(float)
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    likeness = (2 * mean_x * mean_y + 2.55**2) * (2 * covariance + 7.65**2)
    assert ssim(a, b) == pytest.approx(likeness / ((mean_x**2 + mean_y**2 + 2.55**2) * (var_x + var_y + 7.65**2)))
