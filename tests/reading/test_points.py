"""Surfaces and clouds as points: how many, which, how large, and how they are changed in training."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import AugmentConfig, DataConfig, PointsConfig
from anybyte.files.sources import open_splits
from anybyte.reading import make_reading
from anybyte.reading.points import PointReading, change_points, random_rotation

CUBE = b"OFF\n8 6 0\n0 0 0\n4 0 0\n4 2 0\n0 2 0\n0 0 2\n4 0 2\n4 2 2\n0 2 2\n" + b"".join(
    b"4 %d %d %d %d\n" % face
    for face in [(0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
)


def cloud(count: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).normal(size=(count, 3)))
    return buffer.getvalue()


def test_a_surface_fills_the_cube() -> None:
    points = make_reading(PointsConfig(num_points=4_000))(CUBE, "box.off")
    assert isinstance(points, np.ndarray)
    assert (points.shape, points.dtype) == ((4_000, 3), np.float32)
    assert points.mean(0) == pytest.approx([0, 0, 0], abs=1e-6)
    assert np.abs(points).max() == pytest.approx(1.0)
    assert np.ptp(points, axis=0) == pytest.approx([2.0, 1.0, 1.0], rel=0.05)


def test_a_ball_or_nothing() -> None:
    ball = PointReading(PointsConfig(num_points=500, normalise="ball"))(CUBE, "box.off")
    assert np.linalg.norm(ball, axis=1).max() == pytest.approx(1.0)
    plain = PointReading(PointsConfig(num_points=500, normalise="none"))(CUBE, "box.off")
    assert plain.min() >= 0
    assert plain.max() <= 4


@pytest.mark.parametrize("count", [10, 50, 200])
def test_a_cloud_gives_its_own_points(count: int) -> None:
    data = cloud(count)
    points = PointReading(PointsConfig(num_points=50, normalise="none"))(data, "a.npy")
    own = {tuple(row) for row in np.load(io.BytesIO(data)).astype(np.float32)}
    found = {tuple(row) for row in points}
    assert found <= own
    assert len(found) == min(count, 50), "none twice before all were there"


def test_equal_without_changes_and_different_with_them() -> None:
    reading = PointReading(PointsConfig(num_points=64))
    assert np.array_equal(reading(CUBE, "a"), reading(CUBE, "a"))
    first, second = (reading(CUBE, "a", np.random.default_rng(seed)) for seed in (1, 2))
    assert not np.array_equal(first, second), "other points of the same surface"
    assert np.array_equal(first, reading(CUBE, "a", np.random.default_rng(1)))
    assert reading.blank().shape == first.shape


def test_turns() -> None:
    points = np.random.default_rng(0).normal(size=(100, 3))
    upright = change_points(points, AugmentConfig(turn="upright"), np.random.default_rng(1))
    assert np.array_equal(upright[:, 2], points[:, 2])
    assert np.hypot(*upright[:, :2].T) == pytest.approx(np.hypot(*points[:, :2].T))
    assert not np.allclose(upright, points)
    turned = change_points(points, AugmentConfig(turn="any"), np.random.default_rng(1))
    assert turned @ turned.T == pytest.approx(points @ points.T)
    assert not np.allclose(turned[:, 2], points[:, 2])


def test_rotations_are_even_and_no_mirrors() -> None:
    rotations = np.stack([random_rotation(np.random.default_rng(seed)) for seed in range(600)])
    assert np.linalg.det(rotations) == pytest.approx(1.0)
    assert np.abs(rotations.mean(0)).max() < 0.12


def test_points_are_scaled_and_moved_each_by_itself() -> None:
    points = np.random.default_rng(0).normal(size=(500, 3))
    scaled = change_points(points, AugmentConfig(point_scale=0.01), np.random.default_rng(1))
    factor = scaled / points
    assert 0.99 <= factor.min() < 0.991
    assert 1.009 < factor.max() <= 1.01
    moved = change_points(points, AugmentConfig(point_shift=0.02), np.random.default_rng(1))
    reach = np.abs(points - points.mean(0)).max()
    assert 0.019 * reach < np.abs(moved - points).max() <= 0.02 * reach


@pytest.mark.parametrize(
    ("config", "augment", "message"),
    [
        (PointsConfig(num_points=0), AugmentConfig(), "reading.num_points is 0"),
        (PointsConfig(normalise="box"), AugmentConfig(), "reading.normalise is 'box'"),  # type: ignore[arg-type]
        (PointsConfig(), AugmentConfig(turn="left"), "data.augment.turn is 'left'"),  # type: ignore[arg-type]
        (PointsConfig(), AugmentConfig(point_scale=1.0), "data.augment.point_scale is 1.0"),
    ],
)
def test_settings_are_checked(config: PointsConfig, augment: AugmentConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_reading(config, augment)


def test_a_file_that_is_no_points_is_named() -> None:
    with pytest.raises(ValueError, match=r"chair\.off: neither a mesh"):
        make_reading(PointsConfig())(b"\x89PNG\r\n\x1a\n", "chair.off")


def test_the_folders_of_modelnet40(tmp_path: Path) -> None:
    """Class folders with train/ and test/ inside, and a README beside them."""
    for name in ("chair/train/chair_0001.off", "chair/test/chair_0002.off", "chair/train/chair_0003.off"):
        for label in ("chair", "table"):
            path = tmp_path / name.replace("chair", label)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CUBE)
    (tmp_path / "README.txt").write_text("ModelNet40")
    splits = open_splits(DataConfig(path=str(tmp_path), val_fraction=0.5))
    assert splits.classes == ("chair", "table")
    names = [[entry.name for entry in part.entries] for part in (splits.train, splits.val, splits.test)]
    assert names[2] == ["chair/test/chair_0002.off", "table/test/table_0002.off"]
    assert all("/train/" in name for name in names[0] + names[1])
