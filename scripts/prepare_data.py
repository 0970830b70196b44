"""Write the files that the small recipes train on, from the project's shared data folder.

    python scripts/prepare_data.py fsdd --data shared/data --out data

Each data set becomes one zip archive, stored without compression so that reading a member is one seek, with the members
`train/<class>/<name>` and `test/<class>/<name>`:

    fsdd               fsdd.zip               WAV files byte for byte; index 0 to 4 of each speaker and digit is test
    fashion_mnist      fashion_mnist_png.zip  28 x 28 grey PNG, not compressed
    cifar10            cifar10_tiff.zip       32 x 32 RGB TIFF of the decoded JPEG files
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from anybyte.files.media import Image, decode, encode_image

FASHION = ["tshirt_top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot"]
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The one date of all members, so that the same data give the same archive."""

Members = Iterator[tuple[str, bytes]]


def fsdd(data: Path) -> tuple[int, Members]:
    """Number of members, and their names and contents: 3,000 spoken digits."""

    def members() -> Members:
        with zipfile.ZipFile(data / "fsdd" / "fsdd_wav.zip") as archive:
            for name in sorted(archive.namelist()):
                file = name.rsplit("/", 1)[-1]
                digit, _, index = file.removesuffix(".wav").split("_")
                yield f"{'test' if int(index) < 5 else 'train'}/{digit}/{file}", archive.read(name)

    return 3_000, members()


def fashion_mnist(data: Path) -> tuple[int, Members]:
    """Number of members, and their names and contents: 70,000 pictures of clothes."""

    def idx(name: str, header: int) -> np.ndarray:
        with gzip.open(data / "fashion_mnist" / f"{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), dtype=np.uint8, offset=header)

    def members() -> Members:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            pictures = idx(f"{prefix}-images-idx3", 16).reshape(-1, 28, 28)
            labels = idx(f"{prefix}-labels-idx1", 8)
            for number, (pixels, label) in enumerate(zip(pictures, labels, strict=True)):
                yield f"{part}/{FASHION[label]}/{number:05d}.png", encode_image(pixels, "png:0")

    return 70_000, members()


def cifar10(data: Path) -> tuple[int, Members]:
    """Number of members, and their names and contents: 60,000 small photographs."""
    import pyarrow.parquet

    def members() -> Members:
        for part in ("train", "test"):
            table = pyarrow.parquet.ParquetFile(data / "cifar10" / f"cifar10_jpeg_{part}.parquet")
            for rows in table.iter_batches(batch_size=1000):
                for row in rows.to_pylist():
                    picture = decode(row["image"], row["name"])
                    assert isinstance(picture, Image)
                    file = Path(row["name"]).stem
                    yield f"{part}/{CIFAR[row['label']]}/{file}.tiff", encode_image(picture.pixels, "tiff")

    return 60_000, members()


DATA_SETS: dict[str, tuple[str, Callable[[Path], tuple[int, Members]]]] = {
    "fsdd": ("fsdd.zip", fsdd),
    "fashion_mnist": ("fashion_mnist_png.zip", fashion_mnist),
    "cifar10": ("cifar10_tiff.zip", cifar10),
}


def write_archive(path: Path, count: int, members: Members) -> None:
    """Write a zip archive under another name, and give it its own once it is whole.

    Raises:
        ValueError: there are not `count` members.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in track(members, description=path.name, total=count):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
            written = len(archive.namelist())
        if written != count:
            raise ValueError(f"{path.name}: expected {count} files, found {written}")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def main() -> int:
    """Exit code: 0, or 2 after a line on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=DATA_SETS)
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the archive")
    arguments = parser.parse_args()
    file, read = DATA_SETS[arguments.name]
    path = arguments.out / file
    try:
        write_archive(path, *read(arguments.data))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"prepare_data: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
