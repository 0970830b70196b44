"""Files of points and surfaces, by their content."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from anybyte.files.off import Mesh
from anybyte.files.points import decode_points

POINTS = np.array([[0.0, 1.0, 2.0], [3.5, -4.0, 1e-3]])
PLY = b"""ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
0 0 0
2 0 0
2 1 0
0 1 0
3 0 1 2
3 0 2 3
"""


def as_npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        as_npy(POINTS),
        as_npy(np.hstack([POINTS, POINTS])),
        b"0 1 2\n3.5 -4 1e-3\n",
        b"# x,y,z,nx\n0,1,2,9\n\n3.5, -4, 1e-3, 9\n",
    ],
    ids=["npy", "npy with normals", "xyz", "commas"],
)
def test_points(data: bytes) -> None:
    found = decode_points(data, "cloud.bin")
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, POINTS)


def test_off() -> None:
    found = decode_points(b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "without.suffix")
    assert isinstance(found, Mesh)
    assert found.faces.tolist() == [[0, 1, 2]]


def test_ply_by_trimesh() -> None:
    pytest.importorskip("trimesh")
    found = decode_points(PLY, "square.ply")
    assert isinstance(found, Mesh)
    assert found.vertices.shape == (4, 3)
    assert sorted(map(sorted, found.faces.tolist())) == [[0, 1, 2], [0, 2, 3]]
    with pytest.raises(ValueError, match=r"a damaged \.ply file"):
        decode_points(PLY[:60], "square.ply")


def test_without_trimesh_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(ValueError, match=r"anybyte\[points\]"):
        decode_points(PLY, "square.ply")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (as_npy(np.zeros((3, 2))), r"rows of x, y and z, got an array of shape \(3, 2\)"),
        (as_npy(np.zeros(5)), r"shape \(5,\)"),
        (as_npy(np.array([[0.0, np.nan, 1.0]])), "not a finite number"),
        (as_npy(POINTS)[:-9], "a damaged .npy file"),
        (b"\x89PNG\r\n", "neither a mesh"),
        (b"1 2\n3 4\n", r"shape \(2, 2\)"),
        (b"", "rows of x, y and z"),
    ],
)
def test_what_is_no_points_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_points(data, "cloud.npy")
