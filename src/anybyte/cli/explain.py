"""`anybyte explain FILE... --model M`: which bytes decided, in the terminal, as a page, a picture or JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from anybyte.cli import EXIT_ERROR, describe, printable
from anybyte.cli.computing import check_out
from anybyte.cli.progress import progress_bar
from anybyte.explain import DEFAULT_METHOD, METHODS, Explanation, explain, overlay
from anybyte.explain.hexdump import LINES, print_hexdump
from anybyte.explain.methods import SETTINGS
from anybyte.predictor import Predictor, load_as

FORMS = (".html", ".png", ".json")

EXAMPLES = """\
examples:
  anybyte explain photo.tif --model runs/photos
  anybyte explain a.wav b.wav --model runs/digits -o why.html
  anybyte explain photo.png --model runs/photos --label cat --method occlusion --size 64 -o cat.png

Scores are of the bytes that the model reads. For a model with a key these are the permuted ones: give the key with
--key, or files that are sealed with it. docs/explain.md says which method to trust, and when not."""


def main(args: list[str]) -> int:
    """0 if every file was explained, 2 if some could not be."""
    options = _parser().parse_intermixed_args(args)
    form = None if options.out is None else _form_of(options.out, options.files)
    settings = _settings(options)
    predictor = load_as(Predictor, options.model, device=options.device, key=options.key)
    errors: list[ValueError | OSError] = []
    found: list[Explanation] = []
    for one in _explain_all(predictor, options, settings, errors):
        if form is None:
            print_hexdump(one, sys.stdout, options.lines)
        else:
            found.append(one)
    if found:
        _write(Path(options.out), str(form), found)
    for one in found:
        print(f"{printable(one.name)}: {printable(one.label)} ({one.probability:.3f})")
    return EXIT_ERROR if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte explain",
        description="Say which bytes of a file decided for its label.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files; - is standard input")
    parser.add_argument("--model", required=True, metavar="M", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument("--key", metavar="K", help="key file of a model that reads permuted bytes")
    parser.add_argument("--method", choices=list(METHODS), default=DEFAULT_METHOD, help=f"({DEFAULT_METHOD})")
    parser.add_argument("--label", metavar="L", help="what to explain (the most probable label)")
    parser.add_argument("-o", "--out", metavar="FILE", help=f"write {', '.join(FORMS)} (a hex dump in the terminal)")
    parser.add_argument("--lines", type=int, default=LINES, metavar="N", help=f"lines of a hex dump ({LINES})")
    parser.add_argument("--tolerance", type=float, metavar="E", help="integrated_gradients: error of the sum (0.01)")
    parser.add_argument("--size", type=int, metavar="N", help="occlusion: bytes hidden at once (a 256th of the file)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    return parser


def _form_of(out: str, files: Sequence[str]) -> str:
    """What to write.

    Raises:
        ValueError: no such form, one that holds a single file only, or `out` is one of the files.
        OSError: its folder is not there.
    """
    form = Path(out).suffix.lower()
    if form not in FORMS:
        raise ValueError(f"-o {out}: its name should end in {', '.join(FORMS)}")
    if form == ".png" and len(files) > 1:
        raise ValueError(
            f"-o {out}: a picture shows one file, and there are {len(files)}: write .html, or go one by one"
        )
    check_out(out, *files)
    return form


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The method's own settings that are given.

    Raises:
        ValueError: one is of another method, or there are no lines to show.
    """
    if options.lines < 1:
        raise ValueError(f"--lines is {options.lines}, expected at least 1")
    given = {name: getattr(options, name) for name in ("tolerance", "size") if getattr(options, name) is not None}
    for name in given:
        if name not in SETTINGS.get(options.method, ()):
            owner = next(method for method, names in SETTINGS.items() if name in names)
            raise ValueError(f"--{name} is for --method {owner}, not for {options.method}")
    return given


def _explain_all(
    predictor: Predictor,
    options: argparse.Namespace,
    settings: dict[str, Any],
    errors: list[ValueError | OSError],
) -> Iterator[Explanation]:
    """Explanations in the order of the files; those that fail are told on stderr and noted."""
    # A bar on the terminal that the dumps go to would be in their way.
    shows = sys.stderr.isatty() and (options.out is not None or not sys.stdout.isatty())
    with progress_bar(len(options.files)) if shows else nullcontext(lambda done: None) as advance:
        for done, name in enumerate(options.files):
            advance(done)
            try:
                data, shown = _read(name), "standard input" if name == "-" else name
                yield explain(predictor, data, method=options.method, label=options.label, name=shown, **settings)
            except (ValueError, OSError) as error:
                errors.append(error)
                sys.stdout.flush()
                print(f"anybyte: {printable(describe(error))}", file=sys.stderr)


def _read(name: str) -> bytes:
    """A file, or standard input."""
    if name == "-":
        return sys.stdin.buffer.read()
    if os.path.exists(name) and not os.path.isdir(name) and not os.path.isfile(name):  # opening one could wait for ever
        raise ValueError(f"{name} is not a regular file: only standard input is read from pipes and devices")
    return Path(name).read_bytes()


def _write(out: Path, form: str, found: Sequence[Explanation]) -> None:
    if form == ".png":
        out.write_bytes(overlay(found[0].data, found[0].scores).png)
    elif form == ".json":
        out.write_text(json.dumps([one.to_json() for one in found]) + "\n", encoding="utf-8")
    else:
        from anybyte.explain.page import write_page

        out.write_text(write_page(found), encoding="utf-8", errors="backslashreplace")
