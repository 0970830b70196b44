"""Files of points and surfaces, told apart by their content: OFF, .npy, text (.xyz); PLY, STL and OBJ by trimesh."""

from __future__ import annotations

import io
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from anybyte.files.off import MAGIC, Mesh, read_off

_NPY = b"\x93NUMPY"
_BY_TRIMESH = ("ply", "stl", "obj", "glb")
EXTRA = "points"
"""The extra that installs trimesh."""


def decode_points(data: bytes, name: str = "") -> Mesh | NDArray[np.float64]:
    """What a file holds: a mesh, or points, float64 [points, 3].

    Columns beyond the third (colours, normals) are passed over.

    Args:
        data: the file.
        name: its name; the suffix is looked at where the content does not say what it is.

    Raises:
        ValueError: it is none of these files, or a damaged one.
    """
    suffix = PurePath(name).suffix.lower().lstrip(".")
    if data.lstrip()[: len(MAGIC)] == MAGIC:
        return read_off(data)
    if data.startswith(_NPY):
        return _checked(_read_npy(data))
    if data[:4].rstrip() == b"ply" or suffix in _BY_TRIMESH:
        return _by_trimesh(data, "ply" if data[:4].rstrip() == b"ply" else suffix)
    return _checked(_read_text(data))


def _read_npy(data: bytes) -> NDArray[np.float64]:
    try:
        return np.load(io.BytesIO(data), allow_pickle=False).astype(np.float64)  # type: ignore[no-any-return]
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"a damaged .npy file: {error}") from error


def _read_text(data: bytes) -> NDArray[np.float64]:
    """Three numbers or more a line, with spaces or commas between them."""
    lines = [line.split(b"#")[0].replace(b",", b" ").split() for line in data.splitlines()]
    try:
        return np.array([[float(word) for word in line[:3]] for line in lines if line])
    except ValueError as error:
        raise ValueError("neither a mesh (OFF, PLY, STL, OBJ) nor points (.npy, or lines of x y z)") from error


def _checked(points: NDArray[np.float64]) -> NDArray[np.float64]:
    if points.ndim != 2 or points.shape[1] < 3 or not len(points):
        raise ValueError(f"points must be rows of x, y and z, got an array of shape {points.shape}")
    points = points[:, :3]
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is not a finite number")
    return points


def _by_trimesh(data: bytes, kind: str) -> Mesh | NDArray[np.float64]:
    try:
        import trimesh
    except ImportError as error:
        raise ValueError(f"reading .{kind} files takes trimesh: pip install 'anybyte[{EXTRA}]'") from error
    try:
        found = trimesh.load(io.BytesIO(data), file_type=kind)
        if isinstance(found, trimesh.Scene):
            found = found.to_mesh()
        vertices = np.asarray(found.vertices, dtype=np.float64)
        faces = np.asarray(getattr(found, "faces", np.zeros((0, 3))), dtype=np.int64)
    except Exception as error:  # whatever trimesh raises at a damaged file
        raise ValueError(f"a damaged .{kind} file: {error}") from error
    return Mesh(_checked(vertices), faces) if len(faces) else _checked(vertices)
