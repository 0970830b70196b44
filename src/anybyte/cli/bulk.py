"""`anybyte bulk SRC... --model M --out preds.parquet`: files by the million, into one table."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from anybyte.cli.classify import parse_size
from anybyte.cli.progress import progress_bar
from anybyte.predictor import MAX_BYTES, UNKNOWN

EXAMPLES = f"""\
examples:
  anybyte bulk photos/ --model runs/digits --out preds.parquet
  anybyte bulk a/ b.zip c.tar file.wav --model runs/digits --out preds.parquet --top 3 --workers 4
  anybyte bulk s3://bucket/recordings --model runs/digits --out s3://bucket/preds.parquet --engine ray --workers 16

The table has one row a file: path, label, score, top (the --top most probable labels and their scores) and error. A
file that is empty, unreadable, gone or too long is a row with an error. A run that was interrupted goes on where it
stopped when the same command is given again, with either engine: its rows lie in OUT.parts until all is done. The
engine ray joins the cluster that RAY_ADDRESS names, or starts Ray here.

exit code: 0 the table is there (some rows may hold errors), 2 it is not. Below --threshold the label is `{UNKNOWN}`."""


def main(args: list[str]) -> int:
    """0 once the table is there."""
    options = _parser().parse_intermixed_args(args)
    from anybyte.deploy.bulk.rows import Job
    from anybyte.deploy.bulk.run import run_bulk

    job = Job(
        model=options.model,
        top=options.top,
        threshold=options.threshold,
        max_bytes=options.max_bytes,
        device=options.device,
        precision=options.precision,
        key=options.key,
    )
    with progress_bar(None) if sys.stderr.isatty() else nullcontext() as advance:
        done = run_bulk(options.sources, options.out, job, options.engine, options.workers, options.restart, advance)
    if done.earlier:
        print(f"{done.earlier:,} rows were there from earlier runs")
    print(f"{options.out}: {done.rows:,} rows, {done.errors:,} of {done.rows - done.earlier:,} new ones with an error")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte bulk",
        description="Classify every file of folders, archives and stores into one parquet table.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SRC",
        help="folder, file, .zip, .tar, or URL of fsspec to one (s3://, gs://, hf://)",
    )
    parser.add_argument("--model", required=True, metavar="M", help="folder of a model or run, bundled name, or hub id")
    parser.add_argument("-o", "--out", required=True, metavar="OUT", help="the table to write: a path or URL")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="who computes (local)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that hold the model (1)")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="give the K most probable labels (1)")
    parser.add_argument("--threshold", type=float, metavar="P", help=f"below this probability say `{UNKNOWN}`")
    parser.add_argument("--max-bytes", type=parse_size, default=MAX_BYTES, metavar="N", help="longest file read (1G)")
    parser.add_argument("--key", metavar="K", help="key file of a model that reads permuted bytes")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), help="arithmetic (fp32)")
    parser.add_argument("--restart", action="store_true", help="begin anew, whatever an earlier run has left")
    return parser
