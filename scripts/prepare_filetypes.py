"""Gather files of many types from folders of this machine, as data for a model that tells what kind of file a file is.

    python scripts/prepare_filetypes.py /usr /opt --held-out /srv --out data/filetypes.zip

What a file is, is taken from its name, and believed only if its content does not speak against it (the first bytes of
formats that have a signature; UTF-8 without zero bytes for texts). Equal files count once. A folder goes as a whole
into train, val or test, drawn by a hash of its path: neighbours in one folder are often nearly equal. Folders named by
`--held-out` are in none of these: they make a part of their own, a machine that the model has not seen.

The archive has members `train/<type>/<name>`, `val/...`, `test/...` and `held_out/...`. Files are cut to `--max-bytes`,
half from the start and half from the middle if they are longer (`<name>` says so: `...+middle`), so that both whole
files and fragments can be drawn from it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The one date of all members, so that the same files give the same archive."""


def starts(*signatures: bytes, at: int = 0) -> Callable[[bytes], bool]:
    """Whether a file has one of these at an offset."""
    return lambda data: any(data[at : at + len(signature)] == signature for signature in signatures)


def is_text(data: bytes) -> bool:
    """UTF-8 (or all but a cut last sign) without zero bytes."""
    if b"\0" in data:
        return False
    try:
        data[: 1 << 16].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= min(len(data), 1 << 16) - 3
    return True


def is_riff(kind: bytes) -> Callable[[bytes], bool]:
    """A RIFF file of this kind."""
    return lambda data: data[:4] == b"RIFF" and data[8:12] == kind


ZIP = starts(b"PK\x03\x04")
TYPES: dict[str, tuple[tuple[str, ...], Callable[[bytes], bool]]] = {
    # type -> endings of names, and what its content must be
    "ar": ((".a",), starts(b"!<arch>\n")),
    "c": ((".c",), is_text),
    "class": ((".class",), starts(b"\xca\xfe\xba\xbe")),
    "cmake": ((".cmake", "cmakelists.txt"), is_text),
    "cpp": ((".cpp", ".cc", ".cxx", ".hpp", ".hxx"), is_text),
    "css": ((".css",), is_text),
    "csv": ((".csv",), is_text),
    "cuda": ((".cu", ".cuh"), is_text),
    "deb": ((".deb",), starts(b"!<arch>\ndebian-binary")),
    "diff": ((".diff", ".patch"), is_text),
    "elf": ((".so", ".o", ".debug"), starts(b"\x7fELF")),
    "exe": ((".exe", ".dll"), starts(b"MZ")),
    "fortran": ((".f90", ".f", ".f95"), is_text),
    "gettext": ((".po", ".pot"), is_text),
    "gif": ((".gif",), starts(b"GIF8")),
    "gzip": ((".gz", ".tgz"), starts(b"\x1f\x8b")),
    "h": ((".h",), is_text),
    "html": ((".html", ".htm"), is_text),
    "ini": ((".ini", ".cfg", ".conf"), is_text),
    "jar": ((".jar",), ZIP),
    "java": ((".java",), is_text),
    "javascript": ((".js", ".mjs", ".cjs"), is_text),
    "jpeg": ((".jpg", ".jpeg"), starts(b"\xff\xd8\xff")),
    "json": ((".json",), is_text),
    "make": (("makefile", ".mk", "makefile.in"), is_text),
    "man": (tuple(f".{section}" for section in range(1, 9)), lambda data: is_text(data) and b"\n.SH" in data),
    "markdown": ((".md",), is_text),
    "mat": ((".mat",), starts(b"MATLAB")),
    "mo": ((".mo",), starts(b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")),
    "npy": ((".npy",), starts(b"\x93NUMPY")),
    "npz": ((".npz",), ZIP),
    "onnx": ((".onnx",), lambda data: data[:1] == b"\x08"),
    "parquet": ((".parquet",), starts(b"PAR1")),
    "pdf": ((".pdf",), starts(b"%PDF")),
    "pem": ((".pem", ".crt"), lambda data: b"-----BEGIN" in data[:4096]),
    "perl": ((".pl", ".pm", ".ph"), is_text),
    "pgm": ((".pgm", ".ppm"), starts(b"P5", b"P6", b"P2", b"P3")),
    "php": ((".php",), is_text),
    "png": ((".png",), starts(b"\x89PNG")),
    "pyc": ((".pyc", ".pyo"), lambda data: data[2:4] == b"\r\n"),
    "python": ((".py", ".pyi"), is_text),
    "rst": ((".rst",), is_text),
    "rust": ((".rs",), is_text),
    "safetensors": ((".safetensors",), lambda data: data[8:9] == b"{"),
    "shell": ((".sh", ".bash"), is_text),
    "sql": ((".sql",), is_text),
    "sqlite": ((".db", ".sqlite", ".sqlite3"), starts(b"SQLite format 3")),
    "svg": ((".svg",), lambda data: is_text(data) and b"<svg" in data),
    "tcl": ((".tcl",), is_text),
    "tiff": ((".tif", ".tiff"), starts(b"II*\0", b"MM\0*")),
    "toml": ((".toml",), is_text),
    "ttf": ((".ttf", ".otf"), starts(b"\0\1\0\0", b"OTTO", b"true")),
    "text": ((".txt",), is_text),
    "typescript": ((".ts", ".tsx"), is_text),
    "vim": ((".vim",), is_text),
    "wasm": ((".wasm",), starts(b"\0asm")),
    "wav": ((".wav",), is_riff(b"WAVE")),
    "webp": ((".webp",), is_riff(b"WEBP")),
    "whl": ((".whl",), ZIP),
    "woff": ((".woff", ".woff2"), starts(b"wOFF", b"wOF2")),
    "xml": ((".xml", ".pom", ".xsd", ".xsl"), is_text),
    "xz": ((".xz",), starts(b"\xfd7zXZ")),
    "yaml": ((".yaml", ".yml"), is_text),
    "zip": ((".zip",), ZIP),
}
_BY_ENDING = {ending: name for name, (endings, _) in TYPES.items() for ending in endings}
_SHARES = (("test", 0.15), ("val", 0.10), ("train", 1.0))


@dataclass(frozen=True)
class Found:
    """A file, what its name says that it is, and the part that its folder is in."""

    path: str
    kind: str
    part: str


def main(args: list[str] | None = None) -> int:
    """Gathers and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", type=Path, metavar="FOLDER", help="folders to take files from")
    parser.add_argument("--held-out", nargs="*", type=Path, default=[], metavar="FOLDER", help="the unseen machine")
    parser.add_argument("--skip", nargs="*", type=Path, default=[], metavar="FOLDER", help="folders to leave out")
    parser.add_argument("--out", type=Path, default=Path("filetypes.zip"), help="the archive (filetypes.zip)")
    parser.add_argument("--most", type=int, default=800, help="files of a type in train; a fifth of it elsewhere (800)")
    parser.add_argument("--of-folder", type=int, default=20, help="files of a type from one folder (20)")
    parser.add_argument("--least", type=int, default=40, help="leave out types with fewer files in train (40)")
    parser.add_argument("--max-bytes", type=int, default=1 << 16, help="keep so much of a file (65,536)")
    options = parser.parse_args(args)
    for root in (*options.roots, *options.held_out):
        if not root.is_dir():
            parser.error(f"{root}: no such folder")
    skip = [os.path.abspath(folder) for folder in (*options.skip, options.out.parent / options.out.name)]
    held = [os.path.abspath(folder) for folder in options.held_out]
    found = [
        Found(path, kind, part_of(os.path.dirname(path)))
        for root in options.roots
        for path, kind in walk(os.path.abspath(root), (*skip, *held))
    ]
    found += [Found(path, kind, "held_out") for root in held for path, kind in walk(root, skip)]
    chosen = choose(found, options.most, options.of_folder)
    counts = write(options.out, chosen, options)
    for part in ("train", "val", "test", "held_out"):
        sizes = {kind: number for (of, kind), number in sorted(counts.items()) if of == part}
        print(f"{part}: {sum(sizes.values()):,} files of {len(sizes)} types:", *(f"{k} {n}" for k, n in sizes.items()))
    print(f"wrote {options.out}")
    return 0


def kind_of(name: str) -> str | None:
    """What a name says that a file is."""
    name = name.lower()
    return _BY_ENDING.get(name) or _BY_ENDING.get(os.path.splitext(name)[1])


def part_of(folder: str) -> str:
    """A folder's part, the same on every run."""
    draw = int.from_bytes(hashlib.sha256(folder.encode("utf-8", "surrogateescape")).digest()[:6], "big") / 2**48
    for part, share in _SHARES:
        if draw < share:
            return part
        draw -= share
    return "train"


def walk(folder: str, skip: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Paths of regular files whose names say what they are, links not followed, in order."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        if current in skip:
            continue
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and (kind := kind_of(entry.name)):
                yield entry.path, kind


def choose(found: Sequence[Found], most: int, of_folder: int) -> list[Found]:
    """As many of each type as wanted, from as many folders as there are: hashes of paths draw them."""
    drawn = sorted(found, key=lambda file: hashlib.sha256(os.fsencode(file.path)).digest())
    folders: Counter[tuple[str, str]] = Counter()
    taken: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for file in drawn:
        folder = (os.path.dirname(file.path), file.kind)
        # Some turn out not to be what their names say, or to be equal to others: half as many in reserve.
        if folders[folder] < of_folder and len(taken[file.part, file.kind]) < limit(file.part, most) * 3 // 2:
            folders[folder] += 1
            taken[file.part, file.kind].append(file)
    return [file for key in sorted(taken) for file in taken[key]]


def limit(part: str, most: int) -> int:
    """Files of a type in a part."""
    return most if part == "train" else max(1, most // 5)


def read(path: str, max_bytes: int) -> tuple[bytes, bool]:
    """The start of a file and, if it is longer, as much from its middle; whether it was cut."""
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= max_bytes:
            return stream.read(), False
        start = stream.read(max_bytes // 2)
        stream.seek(size // 2)
        return start + stream.read(max_bytes - len(start)), True


def write(out: Path, chosen: Sequence[Found], options: argparse.Namespace) -> Counter[tuple[str, str]]:
    """Writes the archive, whole or not at all; the number of files by part and type."""
    seen: set[bytes] = set()
    members: dict[tuple[str, str], list[tuple[str, bytes]]] = defaultdict(list)
    for file in track(chosen, "reading", disable=not sys.stderr.isatty()):
        if len(members[file.part, file.kind]) >= limit(file.part, options.most):
            continue
        try:
            data, cut = read(file.path, options.max_bytes)
        except OSError:
            continue
        digest = hashlib.sha256(data).digest()
        if len(data) < 16 or digest in seen or not TYPES[file.kind][1](data):
            continue
        seen.add(digest)
        members[file.part, file.kind].append((digest.hex()[:16] + ("+middle" if cut else ""), data))
    kinds = {kind for part, kind in members if part == "train" and len(members[part, kind]) >= options.least}
    counts: Counter[tuple[str, str]] = Counter()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        for part, kind in sorted(members):
            if kind not in kinds:
                continue
            for name, data in sorted(members[part, kind]):
                archive.writestr(zipfile.ZipInfo(f"{part}/{kind}/{name}", EPOCH), data)
                counts[part, kind] += 1
    partial.replace(out)
    return counts


if __name__ == "__main__":
    raise SystemExit(main())
