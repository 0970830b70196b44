"""Made pairs: the flow is exact, what it hides is marked, and equal seeds make equal pairs."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.config import MadeFlowConfig
from anybyte.files.flow_made import STILL, Layer, MadePair, Motion, Shape, make_pair, render, sample, strength
from anybyte.files.images import encode_image
from anybyte.files.textures import Textures, open_textures

SIZE = (40, 56)
CONFIG = MadeFlowConfig(
    size=SIZE, layers=(1, 4), texture_side=96, shift=(0.5, 5.0), bend=2.0, bend_length=(20.0, 60.0), noise=0.02
)


def smooth(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """A picture without detail smaller than a few pixels, float32 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [
        np.sin(2 * np.pi * (x / rng.uniform(12, 40) + y / rng.uniform(12, 40)) + rng.uniform(0, 6)) for _ in range(3)
    ]
    return (0.5 + 0.25 * np.stack(waves, axis=-1)).astype(np.float32)


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Textures:
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        (folder / f"{seed}.png").write_bytes(encode_image((smooth(80, 96, seed) * 255).astype(np.uint8), "png"))
    return open_textures(folder, 96)


def grid(size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([x, y], axis=-1)


def away_from_edges(pair: MadePair, flow: NDArray[np.float32], margin: int = 2) -> NDArray[np.bool_]:
    """Pixels whose flow is like that of all pixels around: not at the edge of a shape, where colours mix."""
    calm = np.ones(flow.shape[:2], dtype=bool)
    for dy in range(-margin, margin + 1):
        for dx in range(-margin, margin + 1):
            calm &= np.abs(np.roll(flow, (dy, dx), (0, 1)) - flow).max(axis=-1) < 0.5
    return calm


def test_the_second_frame_shows_at_the_flow_what_the_first_one_shows(textures: Textures) -> None:
    compared = 0
    for seed in range(6):
        pair = make_pair(CONFIG, textures, np.random.default_rng(seed), progress=0.0)
        for one, two, flow, hidden in (
            (pair.frames[0], pair.frames[1], pair.forward, pair.hidden),
            (pair.frames[1], pair.frames[0], pair.backward, pair.hidden_backward),
        ):
            found = sample(two, grid() + flow)
            seen = ~hidden & away_from_edges(pair, flow)
            assert np.abs(found - one)[seen].mean() < 0.01
            assert np.quantile(np.abs(found - one)[seen], 0.95) < 0.05
            compared += int(seen.sum())
    assert compared > 0.5 * 12 * SIZE[0] * SIZE[1]


def test_there_and_back_again_is_where_it_began(textures: Textures) -> None:
    """Where both frames show a pixel and flows are smooth, the two undo each other to a hundredth of a pixel."""
    pair = make_pair(CONFIG, textures, np.random.default_rng(3))
    there = grid() + pair.forward
    back = sample(pair.backward, there)
    calm = ~pair.hidden & away_from_edges(pair, pair.forward) & away_from_edges(pair, pair.backward)
    error = np.linalg.norm(pair.forward + back, axis=-1)[calm]
    assert calm.sum() > 300
    assert np.median(error) < 0.01


def test_a_motion_is_inverted_to_a_thousandth_of_a_pixel() -> None:
    rng = np.random.default_rng(0)
    waves = np.array([[0.1, 0.05, 1.0, 0.8, -0.5], [-0.08, 0.12, 2.0, 0.3, 0.6]])
    turn = np.array([[0.98, -0.12], [0.12, 1.04]])
    motion = Motion(turn, np.array([3.0, -2.0]), np.array([20.0, 15.0]), waves)
    points = rng.uniform(0, 50, (200, 2)).astype(np.float32)
    assert np.abs(motion.back(motion.forth(points)) - points).max() < 1e-3


def test_what_does_not_move_has_no_flow() -> None:
    shape = Shape(np.array([20, 20], np.float32), np.eye(2, dtype=np.float32), 8.0, np.zeros((0, 2), np.float32))
    layers = [
        Layer(smooth(60, 60, seed), np.eye(2, 3, dtype=np.float32), each, STILL)
        for seed, each in ((0, None), (1, shape))
    ]
    pair = render(layers, *SIZE)
    assert not pair.forward.any()
    assert not pair.backward.any()
    assert not pair.hidden.any()
    assert np.array_equal(pair.frames[0], pair.frames[1])


def test_a_shape_hides_what_it_moves_over() -> None:
    """A disc moves right by 6: the second frame hides the strip before it, the first one that behind it."""
    disc = Shape(np.array([20, 20], np.float32), np.eye(2, dtype=np.float32), 8.0, np.zeros((0, 2), np.float32))
    right = replace(STILL, shift=np.array([-6.0, 0.0]))  # from the second frame back to the first
    place = np.eye(2, 3, dtype=np.float32)
    pair = render([Layer(smooth(60, 60, 0), place, None, STILL), Layer(smooth(60, 60, 1), place, disc, right)], *SIZE)
    assert np.allclose(pair.forward[20, 20], [6, 0])
    assert np.allclose(pair.backward[20, 26], [-6, 0])
    assert pair.hidden[20, 29:34].all()
    assert not pair.hidden[20, 13:27].any()
    assert pair.hidden_backward[20, 13:18].all()
    assert not pair.hidden[:, :10].any()


def test_what_leaves_the_frame_is_hidden() -> None:
    left = replace(STILL, shift=np.array([5.0, 0.0]))
    pair = render([Layer(smooth(60, 60, 0), np.eye(2, 3, dtype=np.float32), None, left)], *SIZE)
    assert np.allclose(pair.forward[..., 0], -5)
    assert pair.hidden[:, :5].all()
    assert not pair.hidden[:, 5:].any()


def test_equal_seeds_make_equal_pairs_also_in_another_process(textures: Textures) -> None:
    other: Textures = pickle.loads(pickle.dumps(textures))
    first, second = (make_pair(CONFIG, each, np.random.default_rng(7)) for each in (textures, other))
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.forward, second.forward)
    third = make_pair(CONFIG, textures, np.random.default_rng(8))
    assert not np.array_equal(first.forward, third.forward)


def test_frames_are_colours(textures: Textures) -> None:
    pair = make_pair(CONFIG, textures, np.random.default_rng(1))
    assert pair.frames.dtype == pair.forward.dtype == np.float32
    assert pair.frames.shape == (2, *SIZE, 3)
    assert 0 <= pair.frames.min() < pair.frames.max() <= 1


def test_motion_and_changes_grow() -> None:
    config = MadeFlowConfig(plain=0.1, grow=0.5, begin=0.25)
    assert strength(config, 0.0) == (0.25, 0.0)
    assert strength(config, 0.05)[1] == 0
    motion, change = strength(config, 0.3)
    assert motion == pytest.approx(0.25 + 0.75 * 0.6)
    assert change == pytest.approx(0.5)
    assert strength(config, 0.5) == strength(config, 1.0) == (1.0, 1.0)
    assert strength(replace(config, plain=0.0, grow=0.0), 0.0) == (1.0, 1.0)


def test_flow_is_larger_later(textures: Textures) -> None:
    lengths = [
        np.mean(
            [
                np.linalg.norm(make_pair(CONFIG, textures, np.random.default_rng(seed), at).forward, axis=-1).mean()
                for seed in range(12)
            ]
        )
        for at in (0.0, 1.0)
    ]
    assert lengths[0] < 0.8 * lengths[1]


def test_a_picture_is_sampled_between_its_pixels_and_mirrored_beyond() -> None:
    picture = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    points = np.array([[0, 0], [0.5, 0], [1, 0.5], [3, 2], [-1, 0], [4, 0]], np.float32)
    assert sample(picture, points)[:, 0].tolist() == pytest.approx([0, 0.5, 3, 11, 1, 2])
    assert sample(picture[:1, :1], points)[:, 0].tolist() == [0] * 6


def test_textures_come_from_any_depth_of_a_folder_and_from_several(tmp_path: Path) -> None:
    for name in ("a/b/1.png", "c/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(encode_image(np.full((8, 30, 3), 100, np.uint8), "png"))
    (tmp_path / "c/readme.txt").write_text("no picture")
    textures = open_textures(tmp_path, 10)
    assert len(textures) == 2
    picture = textures.read(0)
    assert picture.shape == (3, 10, 3)
    assert np.allclose(picture, 100 / 255, atol=1e-6)
    assert textures.read(0) is picture
    assert len(open_textures(f"{tmp_path / 'a'}+{tmp_path / 'c'}", 10)) == 2
    assert open_textures(tmp_path, 10).identity() != open_textures(tmp_path, 11).identity()


def test_what_holds_no_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no picture")
    with pytest.raises(ValueError, match="no pictures found"):
        open_textures(tmp_path, 10)
    (tmp_path / "b.png").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"b\.png is not a picture"):
        open_textures(tmp_path, 10).read(0)
    with pytest.raises(OSError, match="gone"):
        open_textures(tmp_path / "gone", 10)
