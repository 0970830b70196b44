"""Write the files that the small recipes train on, from the project's shared data folder.

    python scripts/prepare_data.py fsdd --data shared/data --out data

Each data set becomes one zip archive, stored without compression so that reading a member is one seek, with the members
`train/<class>/<name>` and `test/<class>/<name>`:

    fsdd                fsdd.zip                    WAV byte for byte; index 0 to 4 of each speaker and digit is test
    fashion_mnist       fashion_mnist_png.zip       28 x 28 grey PNG, not compressed
    fashion_mnist_2700  fashion_mnist_2700_png.zip  of each class the first 270 of train, the first 30 of test
    cifar10             cifar10_tiff.zip            32 x 32 RGB TIFF of the decoded JPEG files
    speech_commands     speech_commands_720.zip     WAV byte for byte; 576 train and 144 test, by speaker
    esc10               esc10_ogg.zip               Ogg Vorbis byte for byte; fold 4 of the four is test
    esc10_fold1 to 4    esc10_fold1_wav.zip, ...    16-bit WAV at 16 kHz, which is quick to read; that fold is test

`all` writes every one of them.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gzip
import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.progress import track

from anybyte.files.audio import to_mono_rate
from anybyte.files.media import Audio, Image, decode, encode_audio, encode_image

FASHION = ["tshirt_top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot"]
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
ESC_RATE = 16_000
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


def fashion_mnist(data: Path, train: int | None = None, test: int | None = None) -> tuple[int, Members]:
    """Number of members, and their names and contents: 70,000 pictures of clothes, or the first few of each class."""

    def idx(name: str, header: int) -> np.ndarray:
        with gzip.open(data / "fashion_mnist" / f"{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), dtype=np.uint8, offset=header)

    def members() -> Members:
        for part, prefix, most in (("train", "train", train), ("test", "t10k", test)):
            pictures = idx(f"{prefix}-images-idx3", 16).reshape(-1, 28, 28)
            labels = idx(f"{prefix}-labels-idx1", 8)
            seen = [0] * len(FASHION)
            for number, (pixels, label) in enumerate(zip(pictures, labels, strict=True)):
                seen[label] += 1
                if most is None or seen[label] <= most:
                    yield f"{part}/{FASHION[label]}/{number:05d}.png", encode_image(pixels, "png:0")

    return (60_000 if train is None else 10 * train) + (10_000 if test is None else 10 * test), members()


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


def speech_commands(data: Path) -> tuple[int, Members]:
    """Number of members, and their names and contents: 720 seconds of speech, 12 classes, no speaker in both parts."""

    def members() -> Members:
        with zipfile.ZipFile(data / "speech_commands" / "speech_commands_v2_testset_720.zip") as archive:
            for row in _table(archive):
                yield f"{row['split']}/{row['class']}/{Path(row['file']).name}", archive.read(row["file"])

    return 720, members()


def esc10(data: Path) -> tuple[int, Members]:
    """Number of members, and their names and contents: 200 sounds of the environment, fold 4 as the test."""

    def members() -> Members:
        with zipfile.ZipFile(data / "esc10" / "esc10_ogg_folds1-4.zip") as archive:
            for row in _table(archive):
                part, kind = "test" if row["fold"] == "4" else "train", row["class"].lower().replace(" ", "_")
                yield f"{part}/{kind}/{Path(row['file']).name}", archive.read(row["file"])

    return 200, members()


def esc10_fold(data: Path, fold: int) -> tuple[int, Members]:
    """Number of members, and their names and contents: the 200 sounds at 16 kHz, one fold as the test."""

    def members() -> Members:
        with zipfile.ZipFile(data / "esc10" / "esc10_ogg_folds1-4.zip") as archive:
            for row in _table(archive):
                sound = decode(archive.read(row["file"]), row["file"])
                assert isinstance(sound, Audio)
                samples = to_mono_rate(sound.samples, sound.rate, ESC_RATE)
                part, kind = "test" if row["fold"] == str(fold) else "train", row["class"].lower().replace(" ", "_")
                yield f"{part}/{kind}/{Path(row['file']).stem}.wav", encode_audio(samples, ESC_RATE, "wav:s16")

    return 200, members()


def _table(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    """The rows of an archive's meta.csv."""
    with archive.open("meta.csv") as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))


DATA_SETS: dict[str, tuple[str, Callable[[Path], tuple[int, Members]]]] = {
    "fsdd": ("fsdd.zip", fsdd),
    "fashion_mnist": ("fashion_mnist_png.zip", fashion_mnist),
    "fashion_mnist_2700": ("fashion_mnist_2700_png.zip", functools.partial(fashion_mnist, train=270, test=30)),
    "cifar10": ("cifar10_tiff.zip", cifar10),
    "speech_commands": ("speech_commands_720.zip", speech_commands),
    "esc10": ("esc10_ogg.zip", esc10),
    **{
        f"esc10_fold{fold}": (f"esc10_fold{fold}_wav.zip", functools.partial(esc10_fold, fold=fold))
        for fold in (1, 2, 3, 4)
    },
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
    parser.add_argument("name", choices=[*DATA_SETS, "all"])
    parser.add_argument("--data", type=Path, required=True, help="the shared data folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the archive")
    arguments = parser.parse_args()
    for name in DATA_SETS if arguments.name == "all" else [arguments.name]:
        file, read = DATA_SETS[name]
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
