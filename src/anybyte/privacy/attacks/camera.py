"""Attacks on a masked camera: the picture from the few channels of its pixels that were measured.

The camera sends `sent` uint8 [N, K], the values at `places` int64 [K] (ascending, in [0, H W C)) of N pictures. Whoever
knows the places can interpolate. `find_places` is for those who do not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Places = NDArray[np.int64]
Shape = tuple[int, int, int]


def scatter(sent: Pictures, places: Places, shape: Shape, background: int = 0) -> Pictures:
    """What the camera saw, where it saw it, on a plain background: uint8 [N, H, W, C]."""
    pictures = np.full((len(sent), int(np.prod(shape))), background, dtype=np.uint8)
    pictures[:, places] = sent
    return pictures.reshape(-1, *shape)


def nearest_kept(places: Places, shape: Shape) -> NDArray[np.int64]:
    """For each channel of each pixel the number of the nearest kept value, of its own channel if that has any.

    Returns:
        int64 [H, W, C], indices into `places`: `sent[:, nearest_kept(...)]` is a picture without gaps.

    Raises:
        ValueError: nothing was kept.
    """
    if not len(places):
        raise ValueError("a camera that keeps nothing leaves nothing to interpolate")
    height, width, channels = shape
    kept = np.full(height * width * channels, -1)
    kept[places] = np.arange(len(places))
    planes = [_grow(plane) for plane in np.moveaxis(kept.reshape(shape), -1, 0)]
    usable = [plane for plane in planes if plane is not None]
    return np.stack([usable[0] if plane is None else plane for plane in planes], axis=-1)


def fill_smoothly(
    sent: Pictures, places: Places, shape: Shape, coupling: float = 0.0, rounds: int = 60
) -> NDArray[np.float32]:
    """The smoothest pictures that agree with what was sent: float32 [N, H, W, C] in [0, 255].

    Minimises the squared differences between neighbouring pixels and, with a coupling, those of the differences between
    channels: where colour is even, what one channel shows is seen in the others. Solved by conjugate gradients, from
    the nearest kept values.

    Args:
        sent: uint8 [N, K].
        places: int64 [K].
        shape: (H, W, C).
        coupling: weight of the differences between channels. 0: each channel by itself.
        rounds: of conjugate gradients.
    """
    values = sent[:, nearest_kept(places, shape)].astype(np.float32)
    free = (scatter(np.ones((1, len(places)), np.uint8), places, shape)[0] == 0).astype(np.float32)
    residual = -free * _roughness(values, coupling)
    direction, norm = residual.copy(), _squares(residual)
    for _ in range(rounds):
        bent = free * _roughness(direction, coupling)
        step = norm / np.maximum((direction * bent).sum(axis=(1, 2, 3), keepdims=True), 1e-9)
        values += step * direction
        residual -= step * bent
        before, norm = norm, _squares(residual)
        direction = residual + norm / np.maximum(before, 1e-9) * direction
    return np.clip(values, 0, 255)


def fit_linear(public: Pictures, places: Places, ridge: float = 5.0) -> Callable[[Pictures], NDArray[np.float32]]:
    """The best linear reconstruction, learnt from public pictures: a function of sent values uint8 [N, K].

    It returns float32 [N, H, W, C] in [0, 255]: the conditional mean if pictures were Gaussian, with the means and
    covariances of the public ones.

    Args:
        public: uint8 [M, H, W, C]; thousands of channels at most, since their covariance is formed.
        places: int64 [K].
        ridge: variance of the noise that is allowed for in what was sent; it keeps few public pictures from misleading.
    """
    shape = public.shape[1:]
    flat = public.reshape(len(public), -1).astype(np.float32)
    mean = flat.mean(axis=0)
    flat -= mean
    kept = flat[:, places]
    covariance = kept.T @ kept / len(flat)
    covariance[np.diag_indices_from(covariance)] += ridge
    weights = np.linalg.solve(covariance, kept.T @ flat / len(flat)).astype(np.float32)

    def reconstruct(sent: Pictures) -> NDArray[np.float32]:
        values = mean + (sent.astype(np.float32) - mean[places]) @ weights
        values[:, places] = sent
        pictures: NDArray[np.float32] = np.clip(values, 0, 255).reshape(-1, *shape)
        return pictures

    return reconstruct


def _grow(plane: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Each pixel's nearest number that is not -1, by Euclidean distance; None if there is none."""
    if (plane >= 0).all():
        return plane
    if (plane < 0).all():
        return None
    height, width = plane.shape
    filled = plane.copy()
    radius, done = 0, 0.0
    reach = max(height, width)
    while (filled < 0).any():
        radius = min(2 * radius + 2, reach)
        steps = np.arange(-radius, radius + 1)
        down, right = (grid.ravel() for grid in np.meshgrid(steps, steps, indexing="ij"))
        distance = np.hypot(down, right)
        # Beyond the radius the square of offsets is not complete: those wait for the next one.
        ring = np.flatnonzero((distance > done) & ((distance <= radius) | (radius == reach)))
        for index in ring[np.argsort(distance[ring], kind="stable")]:
            dy, dx = int(down[index]), int(right[index])
            if abs(dy) >= height or abs(dx) >= width:
                continue
            into = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
            source = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
            target = filled[into]
            np.copyto(target, plane[source], where=target < 0)
        done = float(radius)
    return filled


def _roughness(values: NDArray[np.float32], coupling: float) -> NDArray[np.float32]:
    """Half the gradient of what `fill_smoothly` minimises, for [N, H, W, C]."""
    down, right = np.diff(values, axis=1), np.diff(values, axis=2)
    rough = np.zeros_like(values)
    rough[:, :-1] -= down
    rough[:, 1:] += down
    rough[:, :, :-1] -= right
    rough[:, :, 1:] += right
    if coupling:
        channels = values.shape[-1]
        rough = rough + np.float32(coupling) * (channels * rough - rough.sum(axis=-1, keepdims=True))
    return rough


def _squares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    total: NDArray[np.float32] = (values * values).sum(axis=(1, 2, 3), keepdims=True)
    return total
