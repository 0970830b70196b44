"""`anybyte fill "The capital of ______ is Paris."`: which bytes or pieces belong in the blanks of a text."""

from __future__ import annotations

import argparse
import json
import os
import sys

from anybyte.cli import printable
from anybyte.cli.computing import add_options, predictor_for
from anybyte.cli.progress import step_bar
from anybyte.predictor import Filled, TextPredictor
from anybyte.predictor.text import BLANK, MAX_TOP, find_blanks

MODEL = "perceiver_io_language"

EXAMPLES = """\
examples:
  anybyte fill "The capital of ______ is Paris." --model models/language
  anybyte fill - --top 3 < letter.txt                        standard input, but for a newline at its end
  anybyte fill "snake_case, __init__ and ~~~~" --blank "~"    another character for blanks
  anybyte fill "an empty ____" --json
  anybyte fill "It was a ____ night." --model runs/language_pieces --pieces 2

A blank is two or more underscores in a row, one for each byte to find: a model that reads bytes takes six underscores
for six bytes. A model that reads SentencePiece pieces finds one piece for a blank, or --pieces of them, however long
the blank is. Everything else is text, [MASK] included; it need not be UTF-8, and may be as long as the model reads."""


def main(args: list[str]) -> int:
    """Prints the text with its blanks filled, and the candidates for each blank."""
    options = _parser().parse_args(args)
    # What is not UTF-8 on a command line stands in surrogates: back to the bytes that were typed.
    data = _read_stdin() if options.text == "-" else os.fsencode(options.text)
    if not data:
        raise ValueError("the text is empty: there is nothing to fill")
    if not find_blanks(data, options.blank):  # before a model is loaded for nothing
        raise ValueError(
            f"the text has no blank: write two or more {options.blank} in a row, one for each byte to find"
        )
    if options.pieces is not None and options.pieces < 1:
        raise ValueError(f"--pieces is {options.pieces}, expected at least 1")
    if not 1 <= options.top <= MAX_TOP:
        raise ValueError(f"--top is {options.top}, expected 1 to {MAX_TOP}")
    predictor = predictor_for(options, TextPredictor, MODEL)
    if options.pieces is not None and predictor.pieces is None:
        raise ValueError(
            f"--pieces {options.pieces} is for a model of pieces; this one reads bytes, "
            "and finds as many as its blank has underscores"
        )
    with step_bar() as progress:
        filled = predictor.fill(
            data, options.top, blank=options.blank, progress=progress, num_pieces=options.pieces or 1
        )
    print(_json(filled) if options.json else _lines(filled))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte fill",
        description="Find the bytes that belong in the blanks of a text.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("text", metavar="TEXT", help="a text with blanks; - is standard input")
    parser.add_argument(
        "--top", type=int, default=5, metavar="K", help=f"candidates for each blank, {MAX_TOP} at most (5)"
    )
    parser.add_argument("--blank", default=BLANK, metavar="C", help=f"what blanks are written with ({BLANK})")
    parser.add_argument("--pieces", type=int, metavar="N", help="of a model of pieces: pieces in each blank (1)")
    parser.add_argument("--json", action="store_true", help="one object: the text, and the candidates of each blank")
    add_options(parser, pieces=False)
    return parser


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read().removesuffix(b"\n")


def _lines(filled: Filled) -> str:
    lines = [_shown(filled.data)]
    for number, blank in enumerate(filled.blanks, start=1):
        lines.append(f"blank {number}, bytes {blank.start} to {blank.end - 1}:")
        lines += [f"  {found.probability:.3g}  {_shown(found.data)}" for found in blank.candidates]
    return "\n".join(lines)


def _shown(data: bytes) -> str:
    """The text in one line; bytes that are not UTF-8 look like \\xff."""
    return printable(data.decode("utf-8", errors="backslashreplace"))


def _json(filled: Filled) -> str:
    """Bytes that are not UTF-8 are kept as hexadecimal beside the text."""
    blanks = [
        {
            "start": blank.start,
            "end": blank.end,
            "candidates": [
                {"text": found.text, "hex": found.data.hex(), "probability": found.probability}
                for found in blank.candidates
            ],
        }
        for blank in filled.blanks
    ]
    return json.dumps({"text": filled.text, "blanks": blanks})
