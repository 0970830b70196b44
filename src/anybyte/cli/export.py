"""`anybyte export MODEL -o model.onnx`: a model for other runtimes."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

EXAMPLES = """\
examples:
  anybyte export runs/digits --onnx -o digits.onnx          float32: any batch, any length
  anybyte export runs/digits --onnx --int8 -o digits.onnx   a quarter of the size
  anybyte export runs/digits --program -o digits.pt2        a torch.export program
  anybyte export runs/digits --int8 --page page/            a web page that computes in the browser

The ONNX file reads `tokens` int32 [batch, length], bytes in rows, and `lengths` int32 [batch]; its output is `logits`
float32 [batch, classes]. Labels and the way of reading are in its metadata, and once more in the .json beside it."""


def main(args: list[str]) -> int:
    """0 once everything is written and checked."""
    options = _parser().parse_args(args)
    if options.int8 and options.program and not (options.onnx or options.page):
        raise ValueError("--int8 is for ONNX files: add --onnx, or leave it out for a program")
    if options.runtime and not options.page:
        raise ValueError("--runtime is for a page: name its folder with --page")
    onnx = options.onnx or not (options.program or options.page)
    out = Path(options.out or ("model.onnx" if onnx else "model.pt2"))
    if not out.resolve().parent.is_dir():
        raise FileNotFoundError(2, "No such directory", str(out.parent))
    if onnx:
        if out.suffix != ".onnx":
            raise ValueError(f"{out}: the name of an ONNX file ends in .onnx")
        _write_onnx(options, out)
    if options.program:
        _write_program(options, out.with_suffix(".pt2"))
    if options.page:
        _write_page(options, Path(options.page))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte export",
        description="Write a ByteFormer that classifies files for other runtimes, and check it against torch.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument("-o", "--out", metavar="FILE", help="what to write (model.onnx, or model.pt2 for a program)")
    parser.add_argument("--onnx", action="store_true", help="an ONNX file (the default without --program or --page)")
    parser.add_argument("--int8", action="store_true", help="8-bit weights, activations quantised as they come")
    parser.add_argument("--program", action="store_true", help="a torch.export program (.pt2)")
    parser.add_argument("--page", metavar="DIR", help="a folder with a web page that holds the model, for any server")
    parser.add_argument("--runtime", metavar="PATH", help="onnxruntime-web for the page (npm fetches it)")
    parser.add_argument(
        "--stem",
        choices=("table", "convolution"),
        help="form of the stem: the table is faster and larger (table; with --int8 convolution)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random files it is tried on (0)")
    return parser


def _write_onnx(options: argparse.Namespace, out: Path) -> None:
    """An ONNX file, and how it did."""
    from anybyte.deploy.onnx import export_onnx

    made = export_onnx(options.model, out, options.int8, options.stem, options.seed)
    print(f"{out}: {made.num_bytes:,} bytes, {made.precision}, stem as {made.stem}")
    print(made.check)


def _write_page(options: argparse.Namespace, folder: Path) -> None:
    """A page around an ONNX file."""
    from anybyte.deploy.onnx import export_onnx
    from anybyte.deploy.page import build_page
    from anybyte.models.find import find_model
    from anybyte.models.pretrained import CARD

    card = find_model(options.model) / CARD
    with tempfile.TemporaryDirectory() as temporary:
        onnx = Path(temporary, "model.onnx")
        print(export_onnx(options.model, onnx, options.int8, options.stem, options.seed).check)
        text = card.read_text(encoding="utf-8") if card.exists() else None
        files = build_page(folder, onnx, options.runtime, Path(options.model).resolve().name, text)
    size = sum(file.stat().st_size for file in files)
    print(f"{folder}: {len(files)} files, {size:,} bytes; `python -m http.server --directory {folder}` shows the page")


def _write_program(options: argparse.Namespace, out: Path) -> None:
    """A program, and how it did."""
    from anybyte.deploy.padded import check_program, export_program

    export_program(options.model, out, options.stem or "table")
    lengths, difference = check_program(options.model, out, options.seed)
    print(f"{out}: {out.stat().st_size:,} bytes, a program of torch.export")
    print(
        f"tried on {len(lengths)} files of {min(lengths):,} to {max(lengths):,} random bytes: "
        f"logits differ from the model's by {difference:.1e} at most"
    )
