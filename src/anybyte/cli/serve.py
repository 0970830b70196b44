"""`anybyte serve MODEL...`: models over HTTP."""

from __future__ import annotations

import argparse
import logging
import sys

from anybyte.cli import printable
from anybyte.cli.classify import parse_size

LOCAL = ("127.0.0.1", "::1", "localhost")


def main(args: list[str]) -> int:
    """0 after a signal stopped the server gracefully."""
    options = _parser().parse_args(args)
    # Slow to import: only once the command line is known to be right.
    import torch

    from anybyte.deploy import server

    # What was not said follows from what was.
    request_bytes = options.max_request_bytes or max(2**26, options.max_bytes)
    held_bytes = options.held_bytes or max(2**29, request_bytes)
    queue = max(256, options.max_files or 0) if options.queue is None else options.queue
    max_files = max(1, min(64, queue)) if options.max_files is None else options.max_files
    tokens = None if options.token_file is None else server.read_tokens(options.token_file)
    settings = server.Settings(
        host=options.host,
        port=options.port,
        tokens=tokens,
        max_bytes=options.max_bytes,
        max_request_bytes=request_bytes,
        max_files=max_files,
        held_bytes=held_bytes,
        queue=queue,
        explain_bytes=options.explain_bytes,
        timeout=options.timeout,
        upload_timeout=options.upload_timeout,
        threshold=options.threshold,
        wait_seconds=options.wait_ms / 1000,
        batch_files=options.batch_files,
    )
    if options.threads is not None:
        if options.threads < 1:
            raise ValueError(f"--threads is {options.threads}, expected at least 1")
        torch.set_num_threads(options.threads)
    models = server.load_models(server.names_of(options.models), options.device, options.precision)
    logging.basicConfig(
        level=logging.WARNING if options.quiet else logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)

    def tell(url: str) -> None:
        if tokens is None and options.host not in LOCAL:
            host = printable(options.host)
            print(f"anybyte: no --token-file: whoever reaches {host} can use the server", file=sys.stderr)
        print(f"anybyte: serving {', '.join(map(printable, models))} on {url}", file=sys.stderr, flush=True)

    server.run(models, settings, tell)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte serve",
        description="Serve models over HTTP: POST /v1/classify, POST /v1/explain, GET /v1/model, a page at /, and more "
        "(docs/serve.md). SIGTERM or Ctrl-C stops it when all requests that it has taken are answered.",
        epilog="examples:\n"
        "  anybyte serve runs/digits\n"
        "  anybyte serve digits=runs/digits clothes=runs/clothes --port 9000 --token-file tokens.txt\n"
        "  curl --data-binary @a.wav -H 'Content-Type: application/octet-stream' 'localhost:8000/v1/classify?top=3'\n"
        "  curl -F file=@a.wav -F file=@b.wav localhost:8000/v1/classify",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="folder of a model or run, bundled name, or hub id; NAME=MODEL names it",
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=8000, metavar="P", help="port to listen on, 0 for a free one (8000)"
    )
    parser.add_argument("--token-file", metavar="F", help="file of tokens, one a line: callers must show one of them")
    parser.add_argument("--max-bytes", type=parse_size, default=2**24, metavar="N", help="longest file (16M)")
    parser.add_argument(
        "--max-request-bytes",
        type=parse_size,
        metavar="N",
        help="longest request of several files (64M, or --max-bytes)",
    )
    parser.add_argument("--max-files", type=int, metavar="N", help="files of a request (64, or --queue)")
    parser.add_argument(
        "--held-bytes",
        type=parse_size,
        metavar="N",
        help="bytes of all files in memory at once (512M, or those of a request)",
    )
    parser.add_argument(
        "--explain-bytes", type=parse_size, default=2**20, metavar="N", help="longest file that is explained (1M)"
    )
    parser.add_argument("--queue", type=int, metavar="N", help="files that may wait (256, or --max-files)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to an answer (30)")
    parser.add_argument(
        "--upload-timeout", type=float, default=30.0, metavar="S", help="seconds that a request may take to arrive (30)"
    )
    parser.add_argument("--threshold", type=float, metavar="P", help="below this probability say `unknown`")
    parser.add_argument("--wait-ms", type=float, default=5.0, metavar="MS", help="wait this long for company (5)")
    parser.add_argument("--batch-files", type=int, default=64, metavar="N", help="files computed at once (64)")
    parser.add_argument("--device", help="cpu, cuda, ... (a GPU if there is one)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), help="arithmetic (fp32)")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads to compute with (all)")
    parser.add_argument("--quiet", action="store_true", help="log no requests")
    return parser
