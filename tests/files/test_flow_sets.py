"""Sets of flow, as they are published: folders and zips."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from anybyte.files.flow import Flow, encode_flow
from anybyte.files.flow_sets import open_flow_pairs
from anybyte.files.images import encode_image

SIZE = (6, 8)


def frame(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    return encode_image(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), "png")


def flow(u: float = 1.0, size: tuple[int, int] = SIZE, known: np.ndarray | None = None, form: str = "flo") -> bytes:
    return encode_flow(Flow(np.full((*size, 2), u, np.float32), known), form)  # type: ignore[arg-type]


def mask(rows: int) -> bytes:
    picture = np.zeros(SIZE, np.uint8)
    picture[:rows] = 255
    return encode_image(picture, "png")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


SINTEL = {
    "training/clean/cave/frame_0001.png": frame(1),
    "training/clean/cave/frame_0002.png": frame(2),
    "training/clean/cave/frame_0003.png": frame(3),
    "training/final/cave/frame_0002.png": frame(12),
    "training/final/cave/frame_0003.png": frame(13),
    "training/flow/cave/frame_0001.flo": flow(1),
    "training/flow/cave/frame_0002.flo": flow(2),
    "training/invalid/cave/frame_0002.png": mask(2),
    "training/occlusions/cave/frame_0002.png": mask(3),
}


@pytest.mark.parametrize("packed", [False, True])
def test_sintel(tmp_path: Path, packed: bool) -> None:
    path = zipped(tmp_path / "s.zip", SINTEL) if packed else write(tmp_path, SINTEL)
    pairs = open_flow_pairs(path)
    assert [(pair.group, pair.name) for pair in pairs.files] == [
        ("sintel clean", "clean/cave/frame_0001"),
        ("sintel clean", "clean/cave/frame_0002"),
        ("sintel final", "final/cave/frame_0002"),
    ]
    first, second = pairs.read(0), pairs.read(1)
    assert first.occluded is None
    assert first.flow.valid is None
    assert first.flow.vectors.max() == 1
    assert second.first.shape == (*SIZE, 3)
    assert second.flow.known.sum() == 4 * 8
    assert second.occluded is not None
    assert second.occluded.sum() == 3 * 8
    assert not np.array_equal(pairs.read(2).first, second.first)
    assert pairs.select([2]).files == pairs.files[2:]
    assert pairs.select([2]).identity() != pairs.identity()


def test_kitti(tmp_path: Path) -> None:
    known = np.zeros(SIZE, bool)
    known[:4] = True
    seen = known.copy()
    seen[0] = False
    files = {
        "training/image_2/000007_10.png": frame(1),
        "training/image_2/000007_11.png": frame(2),
        "training/flow_occ/000007_10.png": flow(3, known=known, form="kitti"),
        "training/flow_noc/000007_10.png": flow(3, known=seen, form="kitti"),
    }
    (pair,) = open_flow_pairs(write(tmp_path, files)).files
    assert (pair.group, pair.name) == ("kitti", "training/000007")
    read = open_flow_pairs(tmp_path).read(0)
    assert read.flow.known.sum() == 4 * 8
    assert read.occluded is not None
    assert read.occluded.sum() == 8


def test_one_pair_by_itself(tmp_path: Path) -> None:
    files = {"frame1.png": frame(1), "frame2.png": frame(2), "flow_gt.png": flow(2, form="kitti")}
    for folder in ("", "kitti/"):
        path = zipped(tmp_path / f"{len(folder)}.zip", {folder + name: data for name, data in files.items()})
        (pair,) = open_flow_pairs(path).files
        assert (pair.group, pair.name) == ("kitti", "kitti")


@pytest.mark.parametrize(
    "names",
    [
        ("data/00012_img1.ppm", "data/00012_img2.ppm", "data/00012_flow.flo"),
        ("flying/12img0.ppm", "flying/12img1.ppm", "flying/12flow.flo"),
    ],
)
def test_chairs(tmp_path: Path, names: tuple[str, str, str]) -> None:
    files = {names[0]: frame(1), names[1]: frame(2), names[2]: flow(1)}
    (pair,) = open_flow_pairs(write(tmp_path, files)).files
    assert (pair.group, pair.first, pair.second) == ("chairs", names[0], names[1])


def test_middlebury(tmp_path: Path) -> None:
    data = {"other-data/Venus/frame10.png": frame(1), "other-data/Venus/frame11.png": frame(2)}
    (pair,) = open_flow_pairs(write(tmp_path, data | {"other-gt-flow/Venus/flow10.flo": flow(1)})).files
    assert (pair.group, pair.name) == ("middlebury", "Venus")


def test_what_is_wrong_with_a_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pair of frames with its flow found; expected Sintel"):
        open_flow_pairs(write(tmp_path / "a", {"x.png": frame(1)}))
    with pytest.raises(OSError, match="No such file"):
        open_flow_pairs(tmp_path / "gone")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"b\.zip is neither a folder nor a zip"):
        open_flow_pairs(tmp_path / "b.zip")
    files = {"1img0.ppm": frame(1), "1img1.ppm": frame(2, (6, 9)), "1flow.flo": flow(1)}
    with pytest.raises(ValueError, match=r"1img1\.ppm has 9x6 pixels and 1img0\.ppm 8x6"):
        open_flow_pairs(write(tmp_path / "c", files)).read(0)
    files = {"1img0.ppm": frame(1), "1img1.ppm": b"damaged", "1flow.flo": flow(1)}
    with pytest.raises(ValueError, match=r"1img1\.ppm"):
        open_flow_pairs(write(tmp_path / "d", files)).read(0)
