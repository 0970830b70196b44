"""Meshes and point clouds as points (Jaegle et al. 2021, section 4.3: ModelNet40)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anybyte.config import AugmentConfig, PointsConfig
from anybyte.files.off import Mesh, sample_surface
from anybyte.files.points import decode_points
from anybyte.reading.base import ArrayReading

Points = NDArray[np.float64]


class PointReading(ArrayReading):
    """Files of surfaces or points as so many points, float32 [points, 3], in no order.

    Of a surface, points are drawn evenly over its area; of a cloud, at random, again where it has too few. In training
    each reading draws others; otherwise a file gives the same points each time.
    """

    config: PointsConfig
    mixes: ClassVar[bool] = False

    def __init__(
        self, config: PointsConfig, augment: AugmentConfig | None = None, max_bytes: int | None = None
    ) -> None:
        check_points(config)
        super().__init__(config, augment, max_bytes)
        check_point_changes(self.augment)

    def read(self, data: bytes, name: str, rng: np.random.Generator | None) -> NDArray[np.float32]:
        found = decode_points(data, name)
        points = _draw(found, self.config.num_points, rng or np.random.default_rng(0))
        if rng is not None:
            points = change_points(points, self.augment, rng)
        return normalise(points, self.config).astype(np.float32)

    def blank(self) -> NDArray[np.float32]:
        return np.zeros((self.config.num_points, 3), dtype=np.float32)


def _draw(found: Mesh | Points, count: int, rng: np.random.Generator) -> Points:
    """`count` points of a surface or a cloud."""
    if isinstance(found, Mesh):
        if len(found.faces):
            return sample_surface(found, count, rng)
        found = found.vertices
    order = rng.permutation(len(found))
    again = rng.integers(len(found), size=max(0, count - len(found)))
    drawn: Points = found[np.concatenate([order[:count], again])]
    return drawn


def change_points(points: Points, augment: AugmentConfig, rng: np.random.Generator) -> Points:
    """The random changes of training: turned, each point scaled, each point moved."""
    if augment.turn == "upright":
        angle = rng.uniform(0, 2 * math.pi)
        cos, sin = math.cos(angle), math.sin(angle)
        points = points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    elif augment.turn == "any":
        points = points @ random_rotation(rng)
    if augment.point_scale:
        points = points * rng.uniform(1 - augment.point_scale, 1 + augment.point_scale, points.shape)
    if augment.point_shift:
        size = np.abs(points - points.mean(axis=0)).max()
        points = points + size * rng.uniform(-augment.point_shift, augment.point_shift, points.shape)
    return points


def random_rotation(rng: np.random.Generator) -> Points:
    """[3, 3] a rotation, all equally likely."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))  # without this the draw is not even (Mezzadri 2007)
    return q if np.linalg.det(q) > 0 else q[:, [1, 0, 2]]


def normalise(points: Points, config: PointsConfig) -> Points:
    """Points around their mean, the farthest on the border of the cube [-1, 1]³ or of the unit ball."""
    if config.normalise == "none":
        return points
    points = points - points.mean(axis=0)
    distances = np.abs(points) if config.normalise == "cube" else np.linalg.norm(points, axis=1)
    size = distances.max()
    return points / size if size > 0 else points


def check_points(config: PointsConfig) -> None:
    """Raises ValueError for the first setting that makes no sense."""
    count = config.num_points
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"reading.num_points is {count!r}; it is a whole number, at least 1")
    if config.normalise not in ("cube", "ball", "none"):
        raise ValueError(f"reading.normalise is {config.normalise!r}; it is 'cube', 'ball' or 'none'")


def check_point_changes(augment: AugmentConfig) -> None:
    """Raises ValueError for a random change of points that makes no sense."""
    if augment.turn not in ("none", "upright", "any"):
        raise ValueError(f"data.augment.turn is {augment.turn!r}; it is 'none', 'upright' or 'any'")
    for name in ("point_scale", "point_shift"):
        value = getattr(augment, name)
        if not 0 <= value < 1:
            raise ValueError(f"data.augment.{name} is {value!r}; it is at least 0 and below 1")


def describe_points(config: PointsConfig) -> str:
    """What a model reads, in words for its card."""
    return f"{config.num_points:,} points of a surface or cloud"
