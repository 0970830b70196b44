"""Pairs of frames with exact flow, made from pictures, in the spirit of AutoFlow (Sun et al. 2021, arXiv 2104.14544).

A scene is a pile of layers. Each has a texture, a shape, and a motion: a map G from its points in the second frame to
those in the first, affine plus a few plane waves. A frame shows the topmost shape at each pixel; the background covers
all. So nothing about the flow is estimated: that from the second frame to the first is G(p) - p, and that from the
first to the second its inverse, solved to a thousandth of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anybyte.config import MadeFlowConfig
from anybyte.files.textures import Textures

Floats = NDArray[np.float32]
Points = NDArray[np.float32]
"""[..., 2], each (x, y) in pixels."""

_WAVES = 3
_STEPS = 8
"""Of the iteration that inverts a motion; each makes the error several times smaller."""
_STEEPEST = 0.35
"""Largest slope of the smooth motion: far below 1, so that the motion can be inverted."""
_EDGE = 1.0
"""Pixels over which the edge of a shape fades."""
_HARMONICS = 5
_PLACES = 4
"""Shapes are put where their middle is in a frame, or beside it by less than a `_PLACES`th of its side."""


@dataclass(frozen=True, eq=False)
class MadePair:
    """Two frames and the flow between them, both ways.

    Attributes:
        frames: float32 [2, H, W, 3] in [0, 1].
        forward, backward: float32 [H, W, 2], from the first frame to the second, and from the second to the first.
        hidden, hidden_backward: bool [H, W], where the other frame does not show what this one does.
    """

    frames: Floats
    forward: Floats
    backward: Floats
    hidden: NDArray[np.bool_]
    hidden_backward: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Motion:
    """From points of the second frame to those of the first.

    Attributes:
        matrix, shift: G(p) = matrix (p - middle) + middle + shift + waves(p); float64 [2, 2] and [2].
        middle: float64 [2].
        waves: float64 [n, 5]: wave vector (x, y), phase, amplitude (x, y).
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    middle: NDArray[np.float64]
    waves: NDArray[np.float64]

    def back(self, points: Points) -> Points:
        """Where points of the second frame were in the first."""
        matrix, origin = self.matrix.astype(np.float32), (self.middle + self.shift).astype(np.float32)
        found: Points = (points - self.middle.astype(np.float32)) @ matrix.T + origin
        return found + self._bend(points) if len(self.waves) else found

    def forth(self, points: Points) -> Points:
        """Where points of the first frame are in the second: solved for, step by step."""
        inverse = np.linalg.inv(self.matrix).astype(np.float32)
        found = points.copy()
        for _ in range(_STEPS if len(self.waves) else 2):
            found -= (self.back(found) - points) @ inverse.T
        return found

    def _bend(self, points: Points) -> Points:
        waves = self.waves.astype(np.float32)
        bend: Points = np.sin(points @ waves[:, :2].T + waves[:, 2]) @ waves[:, 3:]
        return bend


STILL = Motion(np.eye(2), np.zeros(2), np.zeros(2), np.zeros((0, 5)))


@dataclass(frozen=True, eq=False)
class Shape:
    """A smooth outline around a middle: its radius is a mean times a few harmonics of the direction.

    Attributes:
        middle: float32 [2].
        axes: float32 [2, 2], by which offsets from the middle are stretched and turned first.
        radius: mean radius.
        harmonics: float32 [n, 2]: amplitude, relative to the radius, and phase of each.
    """

    middle: Floats
    axes: Floats
    radius: float
    harmonics: Floats

    def cover(self, points: Points) -> Floats:
        """How much of each point of the first frame is inside: float32 [...] in [0, 1]."""
        offset = (points - self.middle) @ self.axes.T
        direction = np.arctan2(offset[..., 1], offset[..., 0])
        edge = np.ones_like(direction)
        for number, (amplitude, phase) in enumerate(self.harmonics, 1):
            edge += amplitude * np.cos(number * direction + phase)
        distance = self.radius * edge - np.hypot(offset[..., 0], offset[..., 1])
        inside: Floats = np.clip(distance / _EDGE + 0.5, 0, 1)
        return inside


@dataclass(frozen=True, eq=False)
class Layer:
    """A textured shape and its motion.

    Attributes:
        texture: float32 [h, w, 3].
        place: float32 [2, 3], from points of the first frame to those of the texture.
        shape: None: the layer is everywhere.
        motion: of the whole layer.
    """

    texture: Floats
    place: Floats
    shape: Shape | None
    motion: Motion

    def colours(self, points: Points) -> Floats:
        """The texture at points of the first frame, [..., 3]."""
        return sample(self.texture, points @ self.place[:, :2].T + self.place[:, 2])

    def cover(self, points: Points) -> Floats:
        return np.ones(points.shape[:-1], dtype=np.float32) if self.shape is None else self.shape.cover(points)


def sample(picture: Floats, points: Points) -> Floats:
    """A picture [h, w, c] at points (x, y) between its pixels, [..., c]; beyond its edges it is mirrored."""
    height, width = picture.shape[:2]
    x, y = (_mirror(points[..., axis], length) for axis, length in ((0, width), (1, height)))
    left, top = np.minimum(x.astype(np.intp), max(width - 2, 0)), np.minimum(y.astype(np.intp), max(height - 2, 0))
    dx, dy = ((at - first.astype(np.float32))[..., None] for at, first in ((x, left), (y, top)))
    flat, index = picture.reshape(height * width, -1), top * width + left
    right, below = int(width > 1), width * int(height > 1)
    above = flat[index] * (1 - dx) + flat[index + right] * dx
    under = flat[index + below] * (1 - dx) + flat[index + below + right] * dx
    found: Floats = above * (1 - dy) + under * dy
    return found


def _mirror(x: Floats, length: int) -> Floats:
    """Coordinates brought into 0..length - 1 as by mirrors at both ends."""
    if length == 1:
        return np.zeros_like(x)
    folded: Floats = np.abs((x + (length - 1)) % (2 * (length - 1)) - (length - 1))
    return folded


def render(layers: list[Layer], height: int, width: int) -> MadePair:
    """The frames and the flow of a pile of layers; the first is the background, which is everywhere."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    earlier = [layer.motion.back(points) for layer in layers]
    frames, tops = [], []
    for where in ([points] * len(layers), earlier):
        covers = [layer.cover(at) for layer, at in zip(layers, where, strict=True)]
        colours = layers[0].colours(where[0])
        for layer, at, cover in zip(layers[1:], where[1:], covers[1:], strict=True):
            seen = cover > 0
            share = cover[seen, None]
            colours[seen] = (1 - share) * colours[seen] + share * layer.colours(at[seen])
        frames.append(colours)
        tops.append(_topmost(np.stack(covers)))
    forward, backward = np.empty_like(points), np.empty_like(points)
    hidden = np.empty((2, len(points)), dtype=np.bool_)
    for number, layer in enumerate(layers):
        mine = tops[0] == number
        later = layer.motion.forth(points[mine])
        forward[mine] = later - points[mine]
        hidden[0, mine] = _is_hidden(later, [(each, each.motion) for each in layers[number + 1 :]], height, width)
        mine = tops[1] == number
        backward[mine] = earlier[number][mine] - points[mine]
        above = [(each, STILL) for each in layers[number + 1 :]]
        hidden[1, mine] = _is_hidden(earlier[number][mine], above, height, width)
    shape = (height, width)
    return MadePair(
        np.stack(frames).reshape(2, *shape, 3),
        forward.reshape(*shape, 2),
        backward.reshape(*shape, 2),
        hidden[0].reshape(shape),
        hidden[1].reshape(shape),
    )


def _topmost(covers: Floats) -> NDArray[np.intp]:
    """The number of the highest layer that covers at least half of each pixel."""
    order: NDArray[np.intp] = len(covers) - 1 - (covers[::-1] >= 0.5).argmax(axis=0)
    return order


def _is_hidden(points: Points, above: list[tuple[Layer, Motion]], height: int, width: int) -> NDArray[np.bool_]:
    """Whether points of a frame lie outside of it or below one of the layers."""
    x, y = points[:, 0], points[:, 1]
    hidden: NDArray[np.bool_] = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    for layer, motion in above:
        hidden |= layer.cover(motion.back(points)) >= 0.5
    return hidden


def make_pair(config: MadeFlowConfig, textures: Textures, rng: np.random.Generator, progress: float = 1.0) -> MadePair:
    """A pair drawn at random.

    Args:
        config: of what it is made, and how much it moves.
        textures: of the layers.
        rng: all randomness.
        progress: how much of training is over, from 0 to 1: motion and changes grow with it (`config.grow`).
    """
    motion, change = strength(config, progress)
    height, width = config.size
    common = _draw_motion(config, rng, motion)
    layers = [_draw_layer(config, textures, rng, None, common)]
    for _ in range(int(rng.integers(config.layers[0], config.layers[1] + 1))):
        shape = _draw_shape(config, rng)
        own = _draw_motion(config, rng, motion)
        # Half of what moves also follows the camera.
        own = replace(own, shift=own.shift + common.shift) if rng.random() < 0.5 else own
        layers.append(_draw_layer(config, textures, rng, shape, own))
    pair = render(layers, height, width)
    return replace(pair, frames=_change(pair.frames, config, rng, change)) if change else pair


def strength(config: MadeFlowConfig, progress: float) -> tuple[float, float]:
    """(size of the motion, size of the changes), relative to the full ones, at a share of training."""
    motion = config.begin + (1 - config.begin) * min(1.0, progress / config.grow if config.grow else 1.0)
    if progress < config.plain:
        return motion, 0.0
    span = config.grow - config.plain
    return motion, min(1.0, (progress - config.plain) / span) if span > 0 else 1.0


def _draw_motion(config: MadeFlowConfig, rng: np.random.Generator, size: float) -> Motion:
    height, width = config.size
    middle = np.array([rng.uniform(0, width - 1), rng.uniform(0, height - 1)])
    if rng.random() < config.still:
        return replace(STILL, middle=middle)
    least, most = config.shift
    length = math.exp(rng.uniform(math.log(least), math.log(max(most * size, least))))
    direction = rng.uniform(0, 2 * math.pi)
    shift = length * np.array([math.cos(direction), math.sin(direction)])
    angle = math.radians(config.rotation * size) * _peaked(rng)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    zoom = 1 + config.zoom * size * _peaked(rng)
    shear = np.array([[1.0, config.shear * size * _peaked(rng)], [config.shear * size * _peaked(rng), 1.0]])
    return Motion(turn @ shear * zoom, shift, middle, _draw_waves(config, rng, size))


def _peaked(rng: np.random.Generator) -> float:
    """From -1 to 1, most often near 0."""
    return float(rng.uniform(-1, 1) * rng.random())


def _draw_waves(config: MadeFlowConfig, rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    if not config.bend:
        return np.zeros((0, 5))
    waves = []
    for _ in range(_WAVES):
        wavelength = rng.uniform(*config.bend_length)
        direction, heading = rng.uniform(0, 2 * math.pi, 2)
        most = min(config.bend * size / _WAVES, _STEEPEST / _WAVES * wavelength / (2 * math.pi))
        amplitude = most * rng.random()
        number = 2 * math.pi / wavelength
        waves.append(
            [
                number * math.cos(direction),
                number * math.sin(direction),
                rng.uniform(0, 2 * math.pi),
                amplitude * math.cos(heading),
                amplitude * math.sin(heading),
            ]
        )
    return np.array(waves)


def _draw_shape(config: MadeFlowConfig, rng: np.random.Generator) -> Shape:
    height, width = config.size
    radius = float(min(config.size) * rng.uniform(*config.shape_size))
    beyond = 1 / _PLACES
    middle = [rng.uniform(-beyond, 1 + beyond) * width, rng.uniform(-beyond, 1 + beyond) * height]
    angle, stretch = rng.uniform(0, math.pi), math.exp(rng.uniform(-0.7, 0.7))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    amplitudes = rng.uniform(0, 0.35, _HARMONICS) / np.arange(1, _HARMONICS + 1)
    harmonics = np.stack([amplitudes, rng.uniform(0, 2 * math.pi, _HARMONICS)], axis=1)
    axes = np.diag([stretch, 1 / stretch]) @ turn
    return Shape(np.array(middle, dtype=np.float32), axes.astype(np.float32), radius, harmonics.astype(np.float32))


def _draw_layer(
    config: MadeFlowConfig, textures: Textures, rng: np.random.Generator, shape: Shape | None, motion: Motion
) -> Layer:
    texture = textures.read(int(rng.integers(len(textures))))
    if rng.random() < 0.5:
        texture = texture[:, ::-1]
    height, width = config.size
    zoom, angle = rng.uniform(*config.texture_zoom), rng.uniform(-math.pi, math.pi) / 6
    matrix = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([rng.uniform(0, texture.shape[1]), rng.uniform(0, texture.shape[0])])
    offset = middle - matrix @ np.array([width / 2, height / 2])
    place = np.concatenate([matrix, offset[:, None]], axis=1).astype(np.float32)
    gain, level = rng.uniform(0.7, 1.2, 3), rng.uniform(-0.1, 0.1)
    tinted = np.clip(texture * gain.astype(np.float32) + np.float32(level), 0, 1)
    return Layer(np.ascontiguousarray(tinted), place, shape, motion)


def _change(frames: Floats, config: MadeFlowConfig, rng: np.random.Generator, size: float) -> Floats:
    """Frames after changes of brightness and contrast, blur and noise, in [0, 1]."""
    most = config.brightness * size
    both = rng.uniform(-most, most, 2)
    changed = []
    softness = rng.integers(1, 3) if rng.random() < config.blur * size else 0
    for frame in frames:
        contrast, level = both + rng.uniform(-most, most, 2) / 3
        frame = (frame - np.float32(0.5)) * np.float32(1 + contrast) + np.float32(0.5 + level)
        for _ in range(softness):
            frame = _soften(frame)
        deviation = config.noise * size * rng.random()
        frame = frame + rng.standard_normal(frame.shape, dtype=np.float32) * np.float32(deviation)
        changed.append(np.clip(frame, 0, 1))
    return np.stack(changed)


def _soften(frame: Floats) -> Floats:
    """A frame under a binomial filter of three pixels along each axis."""
    for axis in (0, 1):
        padded = np.pad(frame, [(1, 1) if each == axis else (0, 0) for each in range(3)], mode="edge")
        before, after = (np.take(padded, np.arange(frame.shape[axis]) + step, axis) for step in (0, 2))
        frame = (before + 2 * frame + after) / np.float32(4)
    return frame
