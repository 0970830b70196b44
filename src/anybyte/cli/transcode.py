"""`anybyte transcode SRC DST --format F`: a whole data set, written in another format."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

from anybyte.cli import describe, printable
from anybyte.cli.progress import progress_bar
from anybyte.config import ReadingConfig
from anybyte.files.listing import FileStore, Listing, Record, Store, is_junk, label_by_folder
from anybyte.files.media import AUDIO_FORMATS, IMAGE_FORMATS, medium_of, suffix_of
from anybyte.files.sources import open_listing
from anybyte.reading import ByteReading, split_formats

SETTINGS = "transcode.json"
"""What the files of a folder were made of, and how: a later call goes on only with the same."""

MANIFEST = "manifest.csv"
"""Written where folders do not tell the classes or the parts, as SRC has them."""

_AHEAD = 4
"""Files handed out to each process before the first of them is done."""

EPILOG = """\
examples:
  anybyte transcode photos/ photos_tiff/ --format tiff --image-size 224
  anybyte transcode clips.zip clips_mp3/ --format mp3:64k --rate 16000 --seconds 1 --jobs 4
  anybyte transcode mixed/ mixed_raw/ --format png:0,wav:s16 --on-error skip

Several formats: each file is written in the first that fits its medium. Names stay, but for the suffix.
Interrupted, the same command goes on: files that are there are whole and are left alone.
exit code: 0 all files are written (or skipped, as chosen), 2 an error"""


@dataclass(frozen=True)
class Job:
    """What every process needs to know."""

    store: Store
    reading: ByteReading
    folder: Path
    overwrite: bool


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        record: The file.
        path: Where it is now, below the folder; empty if it could not be written.
        size: In bytes.
        is_new: Whether it was written now, and not before.
        error: What was wrong with it.
    """

    record: Record
    path: str = ""
    size: int = 0
    is_new: bool = False
    error: str = ""


def main(args: list[str]) -> int:
    """Writes the files, and says how many, how large, and which were left out."""
    options = _parser().parse_args(args)
    _check(options)
    reading = ByteReading(
        ReadingConfig(format=options.format, image_size=options.image_size, rate=options.rate, seconds=options.seconds)
    )
    listing, folder = _list(options.source), Path(options.destination)
    # Names follow from all files, so that --limit changes none.
    named = list(zip(listing.records, _stems(listing.records), strict=True))[: options.limit]
    if not named:
        raise ValueError(f"{options.source}: no files")
    _claim(folder, options)
    done: list[Outcome] = []
    skipped: list[Outcome] = []
    bar = progress_bar(len(named)) if sys.stderr.isatty() else contextlib.nullcontext(lambda count: None)
    outcomes = _run(Job(listing.store, reading, folder, options.overwrite), named, options.jobs)
    with bar as advance, contextlib.closing(outcomes):
        for outcome in outcomes:
            (skipped if outcome.error else done).append(outcome)
            if outcome.error and options.on_error == "fail":
                raise ValueError(f"{outcome.error} (--on-error skip leaves such files out)")
            advance(len(done) + len(skipped))
    for outcome in skipped:
        print(f"anybyte: left out: {printable(outcome.error)}", file=sys.stderr)
    if not done:
        raise ValueError(f"{options.source}: none of the {len(named)} files could be written")
    has_manifest = _write_manifest(folder, done)
    new = sum(outcome.is_new for outcome in done)
    print(f"{folder}: {new:,} files written, {len(done) - new:,} were there, {len(skipped):,} left out; ", end="")
    print(f"{sum(outcome.size for outcome in done):,} bytes")
    if has_manifest:
        print(f"labels: {folder / MANIFEST}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte transcode",
        description="Write every picture and sound of a data set in another format, under the same names.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SRC", help="folder, zip, tar shards, manifest, parquet or hf:NAME")
    parser.add_argument("destination", metavar="DST", help="folder to write to")
    parser.add_argument("--format", required=True, metavar="F", help="tiff, png:0, jpeg:q60, wav:s16, mp3:64k, ...")
    parser.add_argument("--image-size", type=int, metavar="N", help="pictures: the square of N pixels in the middle")
    parser.add_argument("--rate", type=int, metavar="HZ", help="sounds: samples a second, in one channel")
    parser.add_argument("--seconds", type=float, metavar="S", help="sounds: cut or pad with silence to this length")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N files, in the order of their names")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--on-error", choices=("fail", "skip"), default="fail", help="what a bad file does (fail)")
    parser.add_argument("--overwrite", action="store_true", help="write all files anew, whatever DST holds")
    return parser


def _check(options: argparse.Namespace) -> None:
    for name in ("limit", "jobs"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} is {value}; it must be at least 1")


def _list(source: str) -> Listing:
    """The files of a data set, or of a folder that has no classes."""
    path = Path(source).expanduser()
    if path.is_dir():
        items = [item for item in os.scandir(path) if not is_junk(item.name)]
        shards = any(item.name.lower().endswith((".tar", ".parquet")) for item in items)
        if items and not shards and not any(item.is_dir() for item in items):
            files = [item for item in items if item.name not in (SETTINGS, MANIFEST)]
            records = [Record(item.name, None, None, item.stat().st_size, item.name) for item in files]
            return Listing.of(source, records, FileStore(str(path.absolute())))
    return open_listing(source)


def _stems(records: Sequence[Record]) -> Iterator[str]:
    """The new names, before the suffix. Files that differ in nothing but their suffix keep it.

    No two are the same: where a table's `../a.png` and `a.png`, say, would meet, a number tells them apart.
    """
    stems = [_stem(record.name) for record in records]
    count = Counter(stem.casefold() for stem in stems)
    taken: set[str] = set()
    for record, stem in zip(records, stems, strict=True):
        name = stem if count[stem.casefold()] == 1 else _relative(record.name)
        free, number = name, 1
        while free.casefold() in taken:
            number += 1
            free = f"{name}~{number}"
        taken.add(free.casefold())
        yield free


def _stem(name: str) -> str:
    return str(PurePosixPath(_relative(name)).with_suffix(""))


def _relative(name: str) -> str:
    """A file's name as a path below a folder, whatever an archive or a table calls it."""
    words = [word for word in name.replace("\\", "/").split("/") if word not in ("", ".", "..")]
    return "/".join(words) or "file"


def _claim(folder: Path, options: argparse.Namespace) -> None:
    """Makes the folder, and notes in it what its files are made of and how.

    Raises:
        ValueError: it holds files that were made otherwise.
    """
    for outer, inner in ((options.source, folder), (folder, options.source)):
        if Path(inner).resolve().is_relative_to(Path(outer).resolve()):
            raise ValueError(f"{inner} lies in {outer}: the files read and the files written need folders of their own")
    settings = {
        "source": os.path.abspath(options.source) if os.path.exists(options.source) else options.source,
        "format": ",".join(split_formats(options.format)),
        "image_size": options.image_size,
        "rate": options.rate,
        "seconds": options.seconds,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if options.overwrite:
        pass
    elif path.exists():
        before = _read_settings(path)
        differs = [name for name in settings if before.get(name) != settings[name]]
        if differs:
            raise ValueError(
                f"{folder} holds files that were made with another {' and '.join(differs)} (see {path}): "
                "name another folder, or --overwrite them"
            )
    elif any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty, and no earlier call made it: name another folder, or --overwrite")
    _write(path, (json.dumps(settings, indent=2) + "\n").encode())


def _read_settings(path: Path) -> dict[str, object]:
    try:
        settings = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): name another folder, or --overwrite") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} is damaged: name another folder, or --overwrite")
    return settings


def _run(job: Job, named: Sequence[tuple[Record, str]], jobs: int) -> Generator[Outcome, None, None]:
    """What becomes of each file, in order."""
    if jobs == 1:
        yield from (_transcode(job, record, stem) for record, stem in named)
        return
    # Fresh processes, not forks: those would share what threads of this one hold.
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start, (job,)) as pool:
        waiting: deque[Future[Outcome]] = deque()
        try:
            for record, stem in named:
                waiting.append(pool.submit(_work, record, stem))
                if len(waiting) > jobs * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


_job: Job
"""Of this process, if it is one of several."""


def _start(job: Job) -> None:
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process stops the others


def _work(record: Record, stem: str) -> Outcome:
    return _transcode(_job, record, stem)


def _transcode(job: Job, record: Record, stem: str) -> Outcome:
    """Writes one file, unless it is there.

    Raises:
        OSError: the new file cannot be written. What is wrong with the old one is in the outcome.
    """
    suffixes = [suffix_of(format) for format in job.reading.formats]
    for suffix in [] if job.overwrite else suffixes:
        path = job.folder / f"{stem}{suffix}"
        if path.exists():
            return Outcome(record, f"{stem}{suffix}", path.stat().st_size)
    try:
        data = job.store.read(record.key)
        written = job.reading(data, record.name)
    except (ValueError, OSError) as error:
        reason = describe(error)
        return Outcome(record, error=reason if record.name in reason else f"{record.name}: {reason}")
    known = IMAGE_FORMATS if medium_of(data) == "image" else AUDIO_FORMATS
    suffix = next(suffix for suffix, format in zip(suffixes, job.reading.formats, strict=True) if format in known)
    path = job.folder / f"{stem}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, written)
    return Outcome(record, f"{stem}{suffix}", len(written), is_new=True)


def _write(path: Path, data: bytes) -> None:
    """Written beside its place and moved there: what has the name is whole."""
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _write_manifest(folder: Path, done: Sequence[Outcome]) -> bool:
    """Writes down labels and parts, if there are any that the names of the folders do not tell."""
    known = {outcome.path: (outcome.record.label, outcome.record.part) for outcome in done}
    if all(label is None for label, _ in known.values()):
        return False
    try:
        told = {found.name: (found.label, found.part) for found in label_by_folder("", ((p, 0, None) for p in known))}
    except ValueError:
        told = {}
    if told == known:
        return False
    has_parts = all(part is not None for _, part in known.values())
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", "label", "split"] if has_parts else ["path", "label"])
    writer.writerows([path, label, part][: 3 if has_parts else 2] for path, (label, part) in known.items())
    _write(folder / MANIFEST, table.getvalue().encode(errors="surrogateescape"))
    return True
