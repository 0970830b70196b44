"""`anybyte privacy ACTION`: keys, models and files that are permuted by them, and an audit of what that protects."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from anybyte.cli import EXIT_ERROR, describe, printable
from anybyte.cli.progress import progress_bar
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.privacy.keys import create_key, read_key
from anybyte.privacy.permutation import Permutation, is_same, short
from anybyte.privacy.seal import is_sealed, seal, unseal
from anybyte.reading import ByteReading, reading_digest

SUFFIX = ".sealed"
"""Of the names of sealed files."""

USAGE = """\
usage: anybyte privacy ACTION ... (anybyte privacy ACTION --help says more)

A key is a secret permutation of the 256 byte values. A model is re-keyed without training: it answers permuted files
exactly as it answered plain ones. What this protects, and what not, is in docs/privacy.md.

  keygen       draw a new key
  rekey        turn a model into one that reads files permuted by a key
  apply        permute files, and mark them with the key's fingerprint
  undo         the plain bytes of permuted files
  fingerprint  say which key a key file, a model or a marked file belongs to
  audit        attack a model's protection, and say how much comes back

examples:
  anybyte privacy keygen my.key
  anybyte privacy rekey runs/mine secret_model --key my.key
  anybyte privacy apply photos/ --key my.key --model secret_model -o sealed/
  anybyte classify -r sealed/ --model secret_model
  anybyte classify photo.tif --model secret_model --key my.key
  anybyte privacy fingerprint my.key secret_model sealed/photo.tif.sealed"""


def main(args: list[str]) -> int:
    """Runs one action: 0, or 2 if some of several files could not be used."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if args else EXIT_ERROR
    action, *rest = args
    if action == "audit":
        audit = importlib.import_module("anybyte.cli.audit")
        code: int = audit.main(rest)
        return code
    if action not in ACTIONS:
        raise ValueError(f"no action {action!r}: the actions of `anybyte privacy` are {', '.join(ACTIONS)}, audit")
    return ACTIONS[action](rest)


def _keygen(args: list[str]) -> int:
    """Draw a new key from the operating system's randomness, into a file that only you can read."""
    parser = _parser("keygen", _keygen, "anybyte privacy keygen my.key")
    parser.add_argument("path", metavar="PATH", help="the file to write; it must not exist yet")
    options = parser.parse_args(args)
    key = create_key(options.path)
    print(f"wrote {options.path}\nfingerprint {key.fingerprint}")
    return 0


def _rekey(args: list[str]) -> int:
    """Turn a model into one that reads files permuted by a key. Nothing is trained, and no accuracy is lost."""
    parser = _parser("rekey", _rekey, "anybyte privacy rekey runs/mine secret_model --key my.key")
    parser.add_argument("model", metavar="MODEL", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument("out", metavar="OUT", help="folder of the new model; it must not hold one yet")
    parser.add_argument("--key", metavar="K", required=True, help="key file")
    parser.add_argument("--old-key", metavar="K", help="the key that the model has now, if it has one")
    options = parser.parse_args(args)
    key = read_key(options.key)

    # Slow to import: only once the command line and the key are known to be right.
    from anybyte.models.pretrained import CARD, CONFIG, read_byte_reading
    from anybyte.models.rekey import rekey
    from anybyte.models.zoo import load_pretrained
    from anybyte.predictor import find_model

    folder = find_model(options.model)
    if (Path(options.out) / CONFIG).exists():
        raise ValueError(f"{options.out} holds a model already: name another folder")
    model, labels = load_pretrained(folder)
    config = read_byte_reading(folder)
    old = _old_key(config, options.old_key, options.model)
    change = key.compose(old.inverse) if old else key
    privacy = dataclasses.replace(config.privacy, permutation=True, fingerprint=key.fingerprint)
    card = folder / CARD
    text = card.read_text(encoding="utf-8") if card.exists() else f"# {folder.name}\n"
    note = f"\nRe-keyed: this model reads bytes permuted by the key {key.fingerprint}.\n"
    rekey(model, change).save_pretrained(
        options.out, labels=labels, card=text + note, reading=dataclasses.replace(config, privacy=privacy)
    )
    print(f"wrote {options.out}\nfingerprint {key.fingerprint}")
    return 0


def _old_key(config: ReadingConfig, path: str | None, name: str) -> Permutation | None:
    """The permutation that a model reads now: of its key, or as its seed draws it; None if it reads plain bytes."""
    privacy = config.privacy
    if privacy.fingerprint is None:
        if path is not None:
            raise ValueError(f"{name} has no key now: leave --old-key out")
        return Permutation.random(privacy.seed) if privacy.permutation else None
    if path is None:
        raise ValueError(f"{name} has the key {short(privacy.fingerprint)}: name its file with --old-key")
    old = read_key(path)
    if not is_same(old.fingerprint, privacy.fingerprint):
        raise ValueError(f"{path} is the key {short(old.fingerprint)}, but {name} has {short(privacy.fingerprint)}")
    return old


def _apply(args: list[str]) -> int:
    """Permute files by a key. Each is marked with the key's fingerprint, so that no model for another key takes it."""
    parser = _parser("apply", _apply, "anybyte privacy apply photo.tif scans/ --key my.key -o sealed/")
    _add_files(parser)
    parser.add_argument(
        "--model", metavar="M", help="the model that will read the files: they are first written in its format"
    )
    parser.add_argument("--unmarked", action="store_true", help="write the permuted bytes only, under the same name")
    options = parser.parse_args(args)
    key = read_key(options.key)
    reading = ByteReading(_reading_for(options.model), key=key)
    digest = reading_digest(reading.config)

    def convert(path: str, data: bytes) -> bytes:
        if is_sealed(data):
            raise ValueError(f"{path} is sealed already")
        payload = reading(data, path)
        return payload if options.unmarked else seal(payload, key.fingerprint, digest)

    return _convert(options.files, options.out, convert, lambda name: name if options.unmarked else name + SUFFIX)


def _reading_for(model: str | None) -> ReadingConfig:
    """How files are read before they are permuted: as a model does, or as they are stored."""
    if model is None:
        return ReadingConfig(privacy=PrivacyConfig(permutation=True))

    from anybyte.models.pretrained import read_byte_reading
    from anybyte.predictor import find_model

    config = read_byte_reading(find_model(model))
    if config.privacy.fingerprint is None:
        raise ValueError(f"{model} is a model without a key: `anybyte privacy rekey` gives it one")
    return config


def _undo(args: list[str]) -> int:
    """The bytes that marked files had before they were permuted."""
    parser = _parser("undo", _undo, "anybyte privacy undo sealed/ --key my.key -o plain/")
    _add_files(parser)
    parser.add_argument(
        "--unmarked", action="store_true", help="take files that have no mark: a wrong key goes unnoticed"
    )
    options = parser.parse_args(args)
    key = read_key(options.key)

    def convert(path: str, data: bytes) -> bytes:
        if options.unmarked and not is_sealed(data):
            return key.inverse.apply(data)
        sealed = unseal(data, path)
        if not is_same(sealed.fingerprint, key.fingerprint):
            raise ValueError(
                f"{path} is sealed with the key {short(sealed.fingerprint)}, and {options.key} is "
                f"{short(key.fingerprint)}"
            )
        return key.inverse.apply(sealed.payload)

    return _convert(options.files, options.out, convert, lambda name: name.removesuffix(SUFFIX))


def _fingerprint(args: list[str]) -> int:
    """Say which key a key file, a model's folder or a marked file belongs to, one a line."""
    parser = _parser("fingerprint", _fingerprint, "anybyte privacy fingerprint my.key secret_model photo.tif.sealed")
    parser.add_argument("items", nargs="+", metavar="KEY|MODEL|FILE")
    for item in parser.parse_args(args).items:
        print(f"{_fingerprint_of(item)}  {item}")
    return 0


def _fingerprint_of(item: str) -> str:
    if os.path.isfile(item):
        with open(item, "rb") as file:
            data = file.read(4096)
        return unseal(data, item).fingerprint if is_sealed(data) else read_key(item).fingerprint

    from anybyte.models.pretrained import read_byte_reading
    from anybyte.predictor import find_model

    fingerprint = ByteReading(read_byte_reading(find_model(item))).protection.fingerprint
    if fingerprint is None:
        raise ValueError(f"{item} reads plain files: it has no key")
    return fingerprint


ACTIONS: dict[str, Callable[[list[str]], int]] = {
    "keygen": _keygen,
    "rekey": _rekey,
    "apply": _apply,
    "undo": _undo,
    "fingerprint": _fingerprint,
}
"""Action -> what does it. `audit` is a module of its own."""


def _parser(action: str, function: Callable[[list[str]], int], example: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"anybyte privacy {action}", description=function.__doc__, epilog=f"example: {example}"
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="files, or folders for all files in them")
    parser.add_argument("--key", metavar="K", required=True, help="key file")
    parser.add_argument("-o", "--out", metavar="DIR", required=True, help="folder to write to; what it holds stays")


def _convert(
    names: Sequence[str], out: str, convert: Callable[[str, bytes], bytes], rename: Callable[[str], str]
) -> int:
    """Writes what becomes of each file; a bad one is reported and does not stop the others. 2 if there was one."""
    files = list(_walk(names))
    if not files:
        raise ValueError(f"no files in {', '.join(names)}")
    failed = False
    with progress_bar(len(files)) if sys.stderr.isatty() else nullcontext() as advance:
        for done, (path, relative) in enumerate(files, start=1):
            try:
                _write_new(Path(out, rename(relative)), convert(path, _read(path)))
            except (OSError, ValueError) as error:
                failed = True
                print(f"anybyte: {printable(describe(error))}", file=sys.stderr)
            if advance:
                advance(done)
    return EXIT_ERROR if failed else 0


def _read(path: str) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe could wait for ever
        raise ValueError(f"{path} is not a regular file")
    with open(path, "rb") as file:
        data = file.read()
    if not data:
        raise ValueError(f"{path} is empty")
    return data


def _walk(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The files that are named, and those in folders that are, in order: (path, path below the folder)."""
    for name in names:
        if not os.path.isdir(name):
            yield name, os.path.basename(name)
            continue
        for folder, subfolders, files in os.walk(name, onerror=_raise):
            subfolders.sort()
            for file in sorted(files):
                path = os.path.join(folder, file)
                yield path, os.path.relpath(path, name)


def _raise(error: OSError) -> None:
    raise error


def _write_new(path: Path, data: bytes) -> None:
    """Writes a file that is not there yet; a crash leaves none, or a whole one."""
    if path.exists():
        raise ValueError(f"{path} exists already: nothing is overwritten")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except BaseException:  # interrupted, too
        draft.unlink(missing_ok=True)
        raise
