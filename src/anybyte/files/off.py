"""Meshes: OFF files (Object File Format, as ModelNet40 comes), and points spread evenly over a surface."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC = b"OFF"


@dataclass(frozen=True)
class Mesh:
    """A surface of triangles.

    Attributes:
        vertices: float64 [vertices, 3].
        faces: int64 [triangles, 3], indices of the vertices.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def read_off(data: bytes) -> Mesh:
    """The mesh in an OFF file; faces of more corners are cut into triangles, and colours are passed over.

    Some files of ModelNet40 have no line break behind the word OFF; that is read as well.

    Raises:
        ValueError: it is not OFF, holds less than it announces, or a face names a vertex that is not there.
    """
    if not data.lstrip()[: len(MAGIC)] == MAGIC:
        raise ValueError(f"not an OFF file: it begins with {data[:8]!r}, not with OFF")
    body = data.lstrip()[len(MAGIC) :]
    mesh = _triangles_alone(body) or _any_polygons(body)
    if mesh.faces.size and not 0 <= int(mesh.faces.min()) <= int(mesh.faces.max()) < len(mesh.vertices):
        raise ValueError(f"a damaged OFF file: a face names a vertex other than 0 to {len(mesh.vertices) - 1}")
    return mesh


def _triangles_alone(body: bytes) -> Mesh | None:
    """The mesh, in half the time, if there is nothing but numbers, and each face is a triangle."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # what NumPy says of text that is no number
            numbers = np.fromstring(body, sep=" ")
    except (DeprecationWarning, ValueError):
        return None
    if len(numbers) < 3 or not np.isfinite(numbers).all():
        return None
    num_vertices, num_faces = (int(number) for number in numbers[:2])
    if num_vertices < 1 or num_faces < 0 or len(numbers) != 3 + 3 * num_vertices + 4 * num_faces:
        return None
    vertices, faces = numbers[3 : 3 + 3 * num_vertices], numbers[3 + 3 * num_vertices :].reshape(-1, 4)
    if (faces[:, 0] != 3).any():
        return None
    return Mesh(vertices.reshape(-1, 3), faces[:, 1:].astype(np.int64))


def _any_polygons(body: bytes) -> Mesh:
    """The mesh, line by line."""
    lines = [line.split(b"#")[0].split() for line in body.splitlines()]
    lines = [line for line in lines if line]
    try:
        num_vertices, num_faces = (int(word) for word in lines[0][:2])
        vertices = np.array([line[:3] for line in lines[1 : 1 + num_vertices]]).astype(np.float64)
        corners = [[int(word) for word in line[1 : 1 + int(line[0])]] for line in lines[1 + num_vertices :][:num_faces]]
    except (ValueError, IndexError) as error:
        raise ValueError(f"a damaged OFF file: {error}") from error
    if not np.isfinite(vertices).all():
        raise ValueError("a damaged OFF file: a coordinate is not a finite number")
    if vertices.shape != (num_vertices, 3) or len(corners) != num_faces or not num_vertices:
        found = f"{len(vertices)} vertices and {len(corners)} faces"
        raise ValueError(f"a damaged OFF file: it announces {num_vertices} vertices and {num_faces} faces, has {found}")
    triangles = [(face[0], *face[at : at + 2]) for face in corners for at in range(1, len(face) - 1)]
    return Mesh(vertices, np.array(triangles, dtype=np.int64).reshape(-1, 3))


def write_off(mesh: Mesh) -> bytes:
    """The mesh as an OFF file."""
    head = f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n"
    vertices = "".join(f"{x:.9g} {y:.9g} {z:.9g}\n" for x, y, z in mesh.vertices.tolist())
    return (head + vertices + "".join(f"3 {a} {b} {c}\n" for a, b, c in mesh.faces.tolist())).encode()


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Points drawn evenly from the surface: a triangle by its area, then a place in it. float64 [count, 3].

    Raises:
        ValueError: the mesh has no area.
    """
    corners = mesh.vertices[mesh.faces]
    sides = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(*sides), axis=1)
    total = areas.sum()
    if not (np.isfinite(total) and total > 0):
        raise ValueError("the mesh has no surface to draw points from")
    chosen = rng.choice(len(areas), count, p=areas / total)
    along = rng.random((2, count, 1))
    along = np.where(along.sum(0) > 1, 1 - along, along)  # the other half of a parallelogram, folded back
    points: NDArray[np.float64] = corners[chosen, 0] + along[0] * sides[0][chosen] + along[1] * sides[1][chosen]
    return points
