"""Meshes: OFF files (Object File Format, as ModelNet40 comes), and points spread evenly over a surface."""

from __future__ import annotations

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
    lines = [line.split(b"#")[0].split() for line in data.lstrip()[len(MAGIC) :].splitlines()]
    lines = [line for line in lines if line]
    try:
        num_vertices, num_faces = (int(word) for word in lines[0][:2])
        vertices = np.array([line[:3] for line in lines[1 : 1 + num_vertices]]).astype(np.float64)
        corners = [[int(word) for word in line[1 : 1 + int(line[0])]] for line in lines[1 + num_vertices :][:num_faces]]
    except (ValueError, IndexError) as error:
        raise ValueError(f"a damaged OFF file: {error}") from error
    if vertices.shape != (num_vertices, 3) or len(corners) != num_faces or not num_vertices:
        found = f"{len(vertices)} vertices and {len(corners)} faces"
        raise ValueError(f"a damaged OFF file: it announces {num_vertices} vertices and {num_faces} faces, has {found}")
    triangles = [(face[0], *face[at : at + 2]) for face in corners for at in range(1, len(face) - 1)]
    faces = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    if faces.size and not 0 <= int(faces.min()) <= int(faces.max()) < num_vertices:
        raise ValueError(f"a damaged OFF file: a face names a vertex other than 0 to {num_vertices - 1}")
    return Mesh(vertices, faces)


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
