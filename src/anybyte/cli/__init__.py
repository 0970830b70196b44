"""The `anybyte` command: one table of verbs, and what becomes of errors.

Each verb is a module with `main(args) -> exit code`, imported when it is called, so that `anybyte --help` is quick and
a verb pays for nothing but itself.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO, cast

from anybyte import __version__

VERBS = {
    "train": ("anybyte.cli.train", "train a model from a recipe and a folder of files"),
    "evaluate": ("anybyte.cli.evaluate", "measure a model on data with known answers, as is usual for its task"),
    "classify": ("anybyte.cli.classify", "say what files are, as `file` does"),
    "explain": ("anybyte.cli.explain", "say which bytes of a file decided for its label"),
    "flow": ("anybyte.cli.flow", "optical flow of two pictures, or along a video"),
    "autoencode": ("anybyte.cli.autoencode", "send a video and its sound through an autoencoder and back"),
    "fill": ("anybyte.cli.fill", "find the bytes that belong in the blanks of a text"),
    "tokenizer": ("anybyte.cli.tokenizer", "learn SentencePiece pieces from a text"),
    "bulk": ("anybyte.cli.bulk", "classify everything in folders, archives or a cloud, into one table"),
    "export": ("anybyte.cli.export", "write a model for ONNX runtimes, a browser or torch.export"),
    "models": ("anybyte.cli.models", "list the architectures, their shapes and sizes"),
    "recipes": ("anybyte.cli.recipes", "list the training recipes"),
    "reproduce": ("anybyte.cli.reproduce", "train and measure small twins of the papers' experiments"),
    "transcode": ("anybyte.cli.transcode", "write a data set's pictures and sounds in another format"),
    "convert": ("anybyte.cli.convert", "turn another project's checkpoint into a model folder"),
    "privacy": ("anybyte.cli.privacy", "keys, re-keyed models, permuted files, and an audit of what they protect"),
    "serve": ("anybyte.cli.serve", "answer over HTTP what files are, and show a page"),
    "bench": ("anybyte.cli.bench", "measure what is claimed about speed and memory, on this machine"),
    "demo": ("anybyte.cli.demo", "train, evaluate and use a small model on embedded data, without a network"),
}
"""Verb -> the module that does it, and what it does in a line."""

EXAMPLES = """\
  anybyte demo
  anybyte train small/fsdd_wav --data recordings/ --run.out runs/digits
  anybyte evaluate runs/digits
  anybyte classify photo.tif recording.wav --model runs/digits --top 3
  find . -name '*.wav' -print0 | xargs -0 anybyte classify --model runs/digits --jsonl"""

EXIT_ERROR = 2
EXIT_BUG = 70
"""sysexits.h's EX_SOFTWARE. Python's own choice, 1, already means "some file is unknown" to the users of `classify`."""
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: list[str] | None = None) -> int:
    """Exit code of the command line `argv` (without the program's name; None: this process's).

    Mistakes of the user (ValueError, OSError, an extra that is not installed) become one line on stderr and code 2;
    with ANYBYTE_DEBUG set they keep their traceback. Every other exception is a bug and always shows it.
    """
    args = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name need not be valid in any encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        with contextlib.redirect_stdout(cast("TextIO", _NamedStdout(sys.stdout))):
            code = _run(args)
            sys.stdout.flush()  # a reader that has gone away should be noticed here, not at the interpreter's exit
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as stop:  # argparse and tyro leave this way
        return stop.code if isinstance(stop.code, int) else EXIT_ERROR if stop.code else 0
    except Exception as error:
        if not is_users_mistake(error):
            traceback.print_exc()
            return EXIT_BUG
        if os.environ.get("ANYBYTE_DEBUG"):
            traceback.print_exc()
        lines = describe(error).split("\n")  # some errors of parsers have several
        print(f"anybyte: {chr(10).join(map(printable, lines))}", file=sys.stderr)
        return EXIT_ERROR
    return code


def is_users_mistake(error: Exception) -> bool:
    """Whether the message of `error` is all that a user needs to put it right."""
    if isinstance(error, ModuleNotFoundError):
        return "anybyte[" in str(error)  # the message names the extra to install
    return isinstance(error, ValueError | OSError) and not isinstance(error, UnicodeError)


def describe(error: Exception) -> str:
    """`error` in the words of a command line: `a.wav: No such file or directory`, not `[Errno 2] ...`."""
    if isinstance(error, OSError) and error.strerror:
        named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes | os.PathLike) else ""
        return f"{named}{error.strerror}"
    return str(error) or type(error).__name__


def printable(text: str) -> str:
    """`text` in one line, whatever a file's name holds: control characters could steer a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    verb, *rest = args
    if verb in ("-V", "--version"):
        print(f"anybyte {__version__}")
        return 0
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the verbs are {', '.join(VERBS)}"
        raise ValueError(f"no verb {verb!r}: {hint}")
    module = importlib.import_module(VERBS[verb][0])
    code = module.main(rest)
    assert isinstance(code, int)
    return code


def _help() -> str:
    verbs = "\n".join(f"  {verb:<10} {line}" for verb, (_, line) in VERBS.items())
    return f"""\
anybyte {__version__}: models that read what is stored

usage: anybyte VERB ... (anybyte VERB --help says more)

{verbs}

examples:
{EXAMPLES}

exit codes: 0 well, 1 `classify` left a file unknown, 2 an error"""


class _NamedStdout:
    """Standard output, whose errors say that it is that which cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._naming():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._naming():
            self._stream.flush()

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _silence_stdout()
            raise OSError(error.errno, error.strerror, "standard output") from error


def _silence_stdout() -> None:
    """Keeps the interpreter from failing once more when it flushes stdout at its exit."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # not a real file: nothing will be flushed to it
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
