"""OFF files, and points drawn from surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from anybyte.files.off import Mesh, _any_polygons, _triangles_alone, read_off, sample_surface, write_off

SQUARE = b"OFF\n4 1 0\n0 0 0\n2 0 0\n2 1 0\n0 1 0\n4 0 1 2 3\n"


def test_reads_a_mesh_and_cuts_polygons() -> None:
    mesh = read_off(SQUARE)
    assert mesh.vertices.tolist() == [[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(
    "data",
    [
        SQUARE.replace(b"OFF\n", b"OFF"),
        SQUARE.replace(b"\n", b"\r\n"),
        b"# a square\n".join([b"OFF\n", SQUARE[4:]]),
        SQUARE.replace(b"3\n", b"3 255 0 0\n"),
        b"\n" + SQUARE + b"\n\n",
    ],
    ids=["word and counts in one", "windows", "comment", "colour", "blank lines"],
)
def test_reads_what_is_found_in_the_wild(data: bytes) -> None:
    assert read_off(data).faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_what_is_written_is_read_back() -> None:
    mesh = read_off(SQUARE)
    written = write_off(mesh)
    again, slowly = read_off(written), _any_polygons(written[3:])
    for other in (again, slowly):
        assert np.array_equal(mesh.vertices, other.vertices)
        assert np.array_equal(mesh.faces, other.faces)
    assert _triangles_alone(written[3:]) is not None
    assert _triangles_alone(SQUARE[3:]) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ply\n", "not an OFF file: it begins with b'ply"),
        (SQUARE[:-11], "announces 4 vertices and 1 faces, has 4 vertices and 0 faces"),
        (SQUARE.replace(b"4 0 1 2 3", b"4 0 1 2 9"), "a face names a vertex other than 0 to 3"),
        (SQUARE.replace(b"2 1 0", b"2 one 0"), "a damaged OFF file"),
        (b"OFF\n", "a damaged OFF file"),
        (b"OFF\n0 0 0\n", "announces 0 vertices"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "a face names a vertex other than 0 to 2"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n", "not a finite number"),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_off(data)


def test_points_are_spread_by_area() -> None:
    """Two squares of area 1 and 3: a quarter of the points lies on the first, evenly in both directions."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [3, 1, 5], [0, 1, 5.0]])
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]))
    points = sample_surface(mesh, 40_000, np.random.default_rng(0))
    low = points[:, 2] < 1
    assert low.mean() == pytest.approx(0.25, abs=0.01)
    for part, width in ((points[low], 1.0), (points[~low], 3.0)):
        assert part[:, 0].mean() == pytest.approx(width / 2, abs=0.02 * width)
        assert part[:, 1].std() == pytest.approx(12**-0.5, abs=0.01)
        assert part[:, :2].min() >= 0
        assert part[:, 0].max() <= width


def test_a_mesh_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="no surface"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no surface"):
        sample_surface(Mesh(np.ones((3, 3)), np.zeros((0, 3), dtype=np.int64)), 5, np.random.default_rng(0))
