"""`anybyte tokenizer train TEXT -o spm.model`: SentencePiece pieces of one's own text."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anybyte.cli import printable
from anybyte.cli.computing import check_out

EXAMPLES = """\
examples:
  anybyte tokenizer train novels/ -o spm.model
  anybyte tokenizer train novels/+letters.zip --vocabulary 8000 -o spm.model
  anybyte tokenizer show spm.model "The capital of France"

Then: anybyte train small/language_pieces --data novels/ --task.pieces spm.model
Pieces are learnt from the training part of a text only: not from what is held out to measure on."""


_SMALLEST, _LARGEST = 300, 1_000_000
"""Pieces of a vocabulary: fewer than the bytes and a few cannot be, and more no text of a size that fits here gives."""


def main(args: list[str]) -> int:
    """Trains a tokenizer, or shows what one makes of a text."""
    options = _parser().parse_args(args)
    return _train(options) if options.what == "train" else _show(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte tokenizer",
        description="SentencePiece tokenizers for masked language models.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="what", metavar="train | show", required=True)
    train = verbs.add_parser("train", help="learn pieces from a text")
    train.add_argument("text", metavar="TEXT", help="file, folder or .zip; several with plus signs between them")
    train.add_argument("--vocabulary", type=int, default=4000, metavar="N", help="pieces (4000)")
    train.add_argument("-o", "--out", default="spm.model", metavar="FILE", help="where to write it (spm.model)")
    train.add_argument("--held-out", type=float, default=0.05, metavar="S", help="share that is not read (0.05)")
    show = verbs.add_parser("show", help="cut a text into pieces")
    show.add_argument(
        "tokenizer", metavar="FILE", help="a SentencePiece model, or the folder of a model or run that has one"
    )
    show.add_argument("text", metavar="TEXT")
    return parser


def _train(options: argparse.Namespace) -> int:
    from anybyte.files.text import Texts, open_texts
    from anybyte.models.pieces import PieceTokenizer, train_pieces
    from anybyte.train.checkpoint import write_atomically

    check_out(options.out)
    if not _SMALLEST <= options.vocabulary <= _LARGEST:
        raise ValueError(
            f"--vocabulary is {options.vocabulary}, expected {_SMALLEST} (bytes alone are 256) to {_LARGEST:,}"
        )
    if not 0 <= options.held_out < 1:
        raise ValueError(f"--held-out is {options.held_out}, expected a share of at least 0 and below 1")
    sources = open_texts(options.text, options.held_out, skip_empty=True).train.sources
    if not sources:
        raise ValueError(
            f"{options.text}: no text to learn from: files whose names say valid or test are held out to measure on, "
            "and empty ones are left out"
        )
    if any(not isinstance(source, Texts) for source in sources):
        raise ValueError(f"{options.text}: pieces are learnt from texts at hand, not from a stream of the hub")
    texts = [source.read(document) for source in sources if isinstance(source, Texts) for document in source.documents]
    if sys.stderr.isatty():  # it takes minutes, and SentencePiece does not say how far it is
        print(f"learning {options.vocabulary:,} pieces of {sum(map(len, texts)):,} bytes ...", file=sys.stderr)
    try:
        model = train_pieces(texts, options.vocabulary)
    except ValueError as error:
        raise ValueError(f"{options.text}: {error}") from error
    write_atomically(Path(options.out), model)
    tokenizer = PieceTokenizer(model, options.out)
    size = sum(map(len, texts))
    count = sum(len(tokenizer.split(text)[0]) for text in texts)
    print(f"{options.out}: {len(tokenizer.pieces):,} pieces of {size:,} bytes, {size / count:.2f} bytes a piece")
    return 0


def _show(options: argparse.Namespace) -> int:
    from anybyte.models.find import find_model
    from anybyte.models.pieces import PIECES, has_pieces, read_pieces

    # A folder may be that of a run, as everywhere.
    where = find_model(options.tokenizer) if Path(options.tokenizer).is_dir() else Path(options.tokenizer)
    if where.is_dir() and not has_pieces(where):
        raise ValueError(f"{where} has no {PIECES}: its model does not read pieces")
    tokenizer = read_pieces(where)
    data = options.text.encode(errors="surrogateescape")
    ids, _ = tokenizer.split(data)
    pieces = (tokenizer.decode([number]).decode("utf-8", errors="backslashreplace") for number in ids.tolist())
    print(" ".join(printable(piece.replace(" ", "▁")) for piece in pieces))
    return 0
