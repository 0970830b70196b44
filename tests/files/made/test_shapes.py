"""Generated point clouds: their forms, their parts, and what of them nobody can tell apart."""

from __future__ import annotations

import io

import numpy as np
import pytest

from anybyte.config import DataConfig
from anybyte.files.made import shapes
from anybyte.files.sources import open_source, open_splits


def test_the_parts_are_equal_shares_of_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "COUNTS", {"train": 40, "val": 20, "test": 30})
    splits = open_splits(DataConfig(path="made:shapes"))
    assert splits.classes == tuple(sorted(shapes.SHAPES))
    assert [len(part.entries) for part in (splits.train, splits.val, splits.test)] == [40, 20, 30]
    assert len(open_source("made:shapes").entries) == 90
    entry = splits.train.entries[0]
    assert (entry.name, entry.size) == ("train/cone/000000.npy", len(splits.train.read(0)))
    points = np.load(io.BytesIO(splits.train.read(0)))
    assert (points.shape, points.dtype) == ((shapes.NUM_POINTS, 3), np.float32)
    assert splits.train.read(0) == splits.train.read(0)
    assert splits.train.read(0) != splits.train.read(1)
    assert splits.train.read(0) != splits.test.read(0), "another part"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="made:shape: there are no such generated files; there is made:shapes"):
        open_source("made:shape")


@pytest.mark.parametrize("shape", sorted(shapes.SHAPES))
def test_shapes_are_finite_and_differ(shape: str) -> None:
    first, second = (shapes.draw_shape(shape, 256, np.random.default_rng(seed)) for seed in (0, 1))
    assert first.shape == (256, 3)
    assert np.isfinite(first).all()
    assert 0.2 < np.abs(first).max() < 10
    assert not np.allclose(first, second)


@pytest.mark.parametrize(("shape", "plain"), [("double_sphere", "sphere"), ("ripple", "plane")])
def test_a_fifth_is_drawn_as_another_class(shape: str, plain: str) -> None:
    """Without waves, or with one centre: told from the form before it is turned, by its extent along an axis."""
    axis = 0 if shape == "double_sphere" else 2
    limit = {"sphere": 1.0, "plane": 0.0}[plain]
    count = 0
    for seed in range(1_000):
        points = shapes.SHAPES[shape](64, np.random.default_rng(seed))
        count += bool(np.abs(points[:, axis]).max() <= limit + 1e-9)
    assert count / 1_000 == pytest.approx(shapes.DEGENERATE, abs=4 * (0.2 * 0.8 / 1_000) ** 0.5)
    assert pytest.approx(1 - 2 * shapes.DEGENERATE / len(shapes.SHAPES)) == shapes.ACHIEVABLE


def test_forms_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    assert np.linalg.norm(shapes.SHAPES["sphere"](500, rng), axis=1) == pytest.approx(1.0)
    torus = shapes.SHAPES["torus"](500, rng)
    tube = np.hypot(np.hypot(torus[:, 0], torus[:, 1]) - 1, torus[:, 2])
    assert tube == pytest.approx(tube[0])
    cube = np.abs(shapes.SHAPES["cube"](500, rng))
    sides = np.array([2**-0.5, 2**-0.5, 2**-0.5])
    assert (np.abs(cube - sides).min(axis=1) < 1e-9).all(), "every point lies on a side"
    helix = shapes.SHAPES["helix"](500, rng)
    assert np.hypot(helix[:, 0], helix[:, 1]) == pytest.approx(1.0)
