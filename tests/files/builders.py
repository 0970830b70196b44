"""Data sets of every kind, made in a folder, for the tests beside this file."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

Tree = Mapping[str, bytes]


def tree(classes: str = "cat dog", count: int = 10, prefix: str = "") -> dict[str, bytes]:
    """`count` files for each class, every one with contents of its own."""
    return {
        f"{prefix}{name}/{index}.bin": f"{prefix}{name} {index}".encode()
        for name in classes.split()
        for index in range(count)
    }


def write_folder(root: Path, files: Tree) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path: Path, files: Tree, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, files: Tree, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def samples(classes: str = "cat dog", count: int = 10, start: int = 0) -> dict[str, bytes]:
    """WebDataset samples, with their labels in .cls files."""
    files: dict[str, bytes] = {}
    for index in range(start, start + count):
        for name in classes.split():
            files[f"{name}{index:03d}.bin"] = f"{name} {index}".encode()
            files[f"{name}{index:03d}.cls"] = name.encode()
    return files
