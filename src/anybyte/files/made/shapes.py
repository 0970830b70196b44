"""Point clouds of ten shapes, some of which nobody can tell apart: how good a classifier can be is known.

Every cloud is turned about the third axis, tilted, stretched along its axes and blurred. A fifth of the double spheres
have one centre, and a fifth of the rippled planes no waves: these are drawn exactly as spheres and planes are. So no
classifier is right about more than `ACHIEVABLE` of the clouds, and the best calls all of these spheres and planes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anybyte.files.listing import Listing, Part, Record
from anybyte.files.off import Mesh, sample_surface

NAME = "shapes"
COUNTS: dict[Part, int] = {"train": 100_000, "val": 2_000, "test": 4_000}
NUM_POINTS = 512
DEGENERATE = 0.2
"""Share of the double spheres and of the ripples that are spheres and planes."""
ACHIEVABLE = 1 - 2 * DEGENERATE / 10
"""The largest share of right answers over the ten classes: 0.96."""

_NOISE = 0.02
_MAX_TILT = math.radians(30)
_STRETCH = 1.25
_SEED = 0x5A9E5
_NUMBERS: dict[Part, int] = {"train": 0, "val": 1, "test": 2}

Points = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Points]


def open_shapes() -> Listing:
    """The shapes as files: equal numbers of each class, in the parts train, val and test."""
    size = len(_as_npy(np.zeros((NUM_POINTS, 3), np.float32)))
    records = [
        Record(f"{part}/{shape}/{number:06d}.npy", shape, part, size, (part, shape, number))
        for part, count in COUNTS.items()
        for shape in SHAPES
        for number in range(count // len(SHAPES))
    ]
    return Listing.of(f"made:{NAME}", records, ShapeStore())


@dataclass(frozen=True)
class ShapeStore:
    """Draws a cloud when it is read."""

    def read(self, key: tuple[Part, str, int]) -> bytes:
        """The .npy file of a cloud: float32 [NUM_POINTS, 3]."""
        part, shape, number = key
        rng = np.random.default_rng([_SEED, _NUMBERS[part], list(SHAPES).index(shape), number])
        return _as_npy(draw_shape(shape, NUM_POINTS, rng).astype(np.float32))


def draw_shape(shape: str, count: int, rng: np.random.Generator) -> Points:
    """A cloud of a shape: turned, tilted, stretched and blurred, float64 [count, 3]."""
    points = SHAPES[shape](count, rng)
    points = points * rng.uniform(1 / _STRETCH, _STRETCH, 3)
    points = points @ _turn(0, rng.uniform(-_MAX_TILT, _MAX_TILT)) @ _turn(2, rng.uniform(0, 2 * math.pi))
    return points + rng.normal(0, _NOISE * np.abs(points).max(), points.shape)


def _turn(axis: int, angle: float) -> Points:
    first, second = (other for other in range(3) if other != axis)
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = math.cos(angle)
    turn[first, second], turn[second, first] = math.sin(angle), -math.sin(angle)
    return turn


def _sphere(count: int, rng: np.random.Generator) -> Points:
    points = rng.normal(size=(count, 3))
    unit: Points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


def _double_sphere(count: int, rng: np.random.Generator) -> Points:
    apart = 0.0 if rng.random() < DEGENERATE else rng.uniform(1.0, 2.0)
    points = _sphere(count, rng)
    points[:, 0] += np.where(rng.random(count) < 0.5, -0.5, 0.5) * apart
    return points


def _plane(count: int, rng: np.random.Generator) -> Points:
    return np.column_stack([rng.uniform(-1, 1, (count, 2)), np.zeros(count)])


def _ripple(count: int, rng: np.random.Generator) -> Points:
    height = 0.0 if rng.random() < DEGENERATE else rng.uniform(0.15, 0.3)
    points, waves = _plane(count, rng), rng.uniform(1.0, 2.0)
    points[:, 2] = height * np.sin(math.pi * waves * points[:, 0] + rng.uniform(0, 2 * math.pi))
    return points


def _torus(count: int, rng: np.random.Generator) -> Points:
    inner = rng.uniform(0.2, 0.45)
    # Evenly over the area, of which there is more outside: draws in the tube's angle are kept as often as it is wide.
    tube = rng.uniform(0, 2 * math.pi, 4 * count)
    tube = tube[rng.random(4 * count) < (1 + inner * np.cos(tube)) / (1 + inner)][:count]
    around = rng.uniform(0, 2 * math.pi, count)
    width = 1 + inner * np.cos(tube)
    return np.column_stack([width * np.cos(around), width * np.sin(around), inner * np.sin(tube)])


def _helix(count: int, rng: np.random.Generator) -> Points:
    turns, height, along = rng.uniform(2, 4), rng.uniform(1, 3), rng.random(count)
    angle = 2 * math.pi * turns * along
    return np.column_stack([np.cos(angle), np.sin(angle), height * (along - 0.5)])


def _cylinder(count: int, rng: np.random.Generator) -> Points:
    return sample_surface(_prism(32, rng.uniform(1, 3), top=1.0), count, rng)


def _cone(count: int, rng: np.random.Generator) -> Points:
    return sample_surface(_prism(32, rng.uniform(1, 3), top=0.0), count, rng)


def _cube(count: int, rng: np.random.Generator) -> Points:
    return sample_surface(_prism(4, math.sqrt(2), top=1.0), count, rng)


def _pyramid(count: int, rng: np.random.Generator) -> Points:
    return sample_surface(_prism(4, rng.uniform(1, 3), top=0.0), count, rng)


def _prism(sides: int, height: float, top: float) -> Mesh:
    """A closed surface between two regular polygons, the lower of radius 1, the upper of radius `top`."""
    angles = 2 * math.pi * (np.arange(sides) + 0.5) / sides
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    low = np.column_stack([ring, np.full(sides, -height / 2)])
    high = np.column_stack([top * ring, np.full(sides, height / 2)])
    ends = np.array([[0, 0, -height / 2], [0, 0, height / 2]])
    here, there = np.arange(sides), np.roll(np.arange(sides), -1)
    below, above = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    faces = [(here, there, here + sides), (there, there + sides, here + sides), (here, there, below)]
    faces.append((here + sides, there + sides, above))
    return Mesh(np.concatenate([low, high, ends]), np.concatenate([np.column_stack(face) for face in faces]))


def _as_npy(points: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, points, allow_pickle=False)
    return buffer.getvalue()


SHAPES: dict[str, Draw] = {
    "cone": _cone,
    "cube": _cube,
    "cylinder": _cylinder,
    "double_sphere": _double_sphere,
    "helix": _helix,
    "plane": _plane,
    "pyramid": _pyramid,
    "ripple": _ripple,
    "sphere": _sphere,
    "torus": _torus,
}
"""Class -> what draws its points."""
