"""`anybyte classify FILE... --model M`: what files are, as `file` says it."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator

from anybyte.cli import EXIT_ERROR, describe, printable
from anybyte.cli.answers import FORMS, Answer, write_lines, write_table
from anybyte.cli.progress import progress_bar
from anybyte.predictor import MAX_BYTES, UNKNOWN, Failure, Item, Predictor, load_as

EXIT_UNKNOWN = 1


EXAMPLES = """\
examples:
  anybyte classify a.png b.wav --model runs/mine
  anybyte classify -r inbox/ --model runs/mine --threshold 0.8
  cat a.png | anybyte classify - --model runs/mine
  find . -name '*.wav' -print0 | xargs -0 anybyte classify --model runs/mine --jsonl

exit code: 0 every file got a label, 1 some are unknown, 2 some could not be classified (see stderr)"""


def main(args: list[str]) -> int:
    """0 if every file got a label, 1 if some are `unknown`, 2 if some could not be classified."""
    options = _parser().parse_intermixed_args(args)  # options may stand between and behind the files
    predictor = load_as(Predictor, options.model, device=options.device, precision=options.precision, key=options.key)
    errors: list[ValueError | OSError] = []

    def report(error: ValueError | OSError) -> None:
        errors.append(error)
        sys.stdout.flush()
        print(f"anybyte: {printable(describe(error))}", file=sys.stderr)

    paths = _expand(options.files, options.recursive, report)
    first = next(paths, None)
    if first is None:
        return EXIT_ERROR if errors else _nothing_to_do(options.files)
    items = itertools.chain([first], paths)
    answers: Iterable[Answer] = predictor.stream(items, options.top, options.threshold, options.max_bytes)
    if sys.stderr.isatty() and not sys.stdout.isatty():  # on one terminal with the answers it would be in their way
        answers = _with_progress(answers, None if options.recursive else len(options.files))
    unknown: set[bool] = set()
    form = FORMS.get(options.form) or (write_table if sys.stdout.isatty() else write_lines)
    form(_watch(answers, report, unknown), sys.stdout, min(options.top, len(predictor.labels)))
    return EXIT_ERROR if errors else EXIT_UNKNOWN if True in unknown else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte classify",
        description="Say what files are. Answers come in the order given.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="files; - is standard input")
    parser.add_argument("--model", required=True, metavar="M", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument(
        "--key",
        metavar="K",
        help="key file of a model that reads permuted bytes: files that are not sealed are permuted here",
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="go through the files in folders")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="give the K most probable labels (1)")
    parser.add_argument("--threshold", type=float, metavar="P", help=f"below this probability say `{UNKNOWN}`")
    parser.add_argument("--max-bytes", type=parse_size, default=MAX_BYTES, metavar="N", help="longest file read (1G)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), help="arithmetic (fp32)")
    forms = parser.add_mutually_exclusive_group()
    for form, function in FORMS.items():
        about = (function.__doc__ or "").rstrip(".").lower()
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=about)
    return parser


def parse_size(text: str) -> int:
    """Bytes of `1000`, `64k`, `16M` or `2G` (powers of 1024)."""
    found = re.fullmatch(r"(\d+)([kKmMgG]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write 1000, 64k, 16M or 2G")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2].lower()]


def _expand(names: list[str], recursive: bool, report: Callable[[OSError], None]) -> Iterator[Item]:
    """What to read for the names on the command line: `-` is standard input, a folder is the files in it, in order.

    In folders only regular files count, as for `grep -r`; a pipe or device is an error only where it is named itself.
    """
    for name in names:
        if name == "-":
            yield sys.stdin.buffer
        elif recursive and os.path.isdir(name):
            for folder, subfolders, files in os.walk(name, onerror=report):
                subfolders.sort()
                for file in sorted(files):
                    path = os.path.join(folder, file)
                    if os.path.isfile(path) or not os.path.exists(path):  # what is gone or dangling is reported
                        yield path
        else:
            yield name


def _nothing_to_do(names: list[str]) -> int:
    raise ValueError(f"no files in {', '.join(map(printable, names))}: there is nothing to classify")


def _watch(
    answers: Iterable[Answer], report: Callable[[ValueError | OSError], None], unknown: set[bool]
) -> Iterator[Answer]:
    """The same answers; failures are reported on their way, and it is noted whether answers are unknown."""
    for answer in answers:
        if isinstance(answer, Failure):
            report(answer.error)
        else:
            unknown.add(answer.unknown)
        yield answer


def _with_progress(answers: Iterable[Answer], total: int | None) -> Iterator[Answer]:
    """The same answers, counted on stderr."""
    with progress_bar(total) as advance:
        for done, answer in enumerate(answers, start=1):
            advance(done)
            yield answer
