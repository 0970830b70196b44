from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import anybyte
from anybyte import cli
from anybyte.cli import main
from anybyte.recipes import list_recipes

Verb = Callable[[list[str]], int]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Verb], None]:
    """Makes a function of the test the verb `probe`."""

    def install(function: Verb) -> None:
        module = types.ModuleType("anybyte.cli.probe")
        module.main = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.VERBS, "probe", (module.__name__, "a probe"))

    return install


def raising(error: BaseException) -> Verb:
    def run(args: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["help"]])
def test_help_names_every_verb(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {verb} " in out for verb in cli.VERBS)
    assert "examples:" in out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == 0
    assert capsys.readouterr().out == f"anybyte {anybyte.__version__}\n"


def test_help_imports_no_torch() -> None:
    code = "import sys; from anybyte.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True).returncode == 0


def test_an_unknown_verb_suggests_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clasify"]) == 2
    assert capsys.readouterr().err == "anybyte: no verb 'clasify': did you mean classify?\n"
    assert main(["zzz"]) == 2
    assert "the verbs are train, evaluate, classify" in capsys.readouterr().err


def test_a_verb_gets_its_arguments_and_gives_its_code(verb: Callable[[Verb], None]) -> None:
    seen: list[str] = []

    def run(args: list[str]) -> int:
        seen.extend(args)
        return 1

    verb(run)
    assert main(["probe", "a", "--b"]) == 1
    assert seen == ["a", "--b"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("a.wav is empty"), "a.wav is empty"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(2, "No such file or directory", "a.wav"), "a.wav: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("the disk is gone"), "the disk is gone"),
        (
            ModuleNotFoundError("parquet needs pyarrow: pip install 'anybyte[parquet]'"),
            "pip install 'anybyte[parquet]'",
        ),
    ],
)
def test_a_users_mistake_is_one_line(
    verb: Callable[[Verb], None], capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    verb(raising(error))
    assert main(["probe"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("anybyte: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [KeyError("x"), ModuleNotFoundError("No module named 'anybyte.cli.x'"), RuntimeError()]
)
def test_a_bug_shows_its_traceback(
    verb: Callable[[Verb], None], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    verb(raising(error))
    assert main(["probe"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_debugging_shows_the_traceback_of_a_mistake(
    verb: Callable[[Verb], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verb(raising(ValueError("bad")))
    monkeypatch.setenv("ANYBYTE_DEBUG", "1")
    assert main(["probe"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
        (SystemExit(2), 2),
        (SystemExit(0), 0),
        (SystemExit(None), 0),
        (SystemExit("no"), 2),
    ],
)
def test_quiet_ends(
    verb: Callable[[Verb], None], capfd: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    verb(raising(error))
    assert main(["probe"]) == code
    assert "Traceback" not in capfd.readouterr().err


def test_models_lists_names_sizes_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "*tiny"]) == 0
    assert capsys.readouterr().out.split()[:5] == ["byteformer_tiny", "6.62", "M", "parameters", "dim"]
    assert main(["models", "resnet*"]) == 2
    assert "no model matches 'resnet*'" in capsys.readouterr().err


def test_recipes_lists_each_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    about = {words[0]: words[1:] for words in map(str.split, lines) if words}
    assert all(about[name] for name in list_recipes())
    assert main(["recipes", "zzz*"]) == 2


def test_the_installed_command_and_the_module(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("anybyte")
    for start in ([str(command)], [sys.executable, "-m", "anybyte"]):
        run = subprocess.run([*start, "--version"], capture_output=True, text=True, cwd=tmp_path)
        assert (run.returncode, run.stdout) == (0, f"anybyte {anybyte.__version__}\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    run = subprocess.run(
        f"{sys.executable} -m anybyte --help 2>errors | true; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode in (0, 141)  # 0 if all of it was written before the reader went
    assert (tmp_path / "errors").read_text() == ""


def test_every_verb_has_its_module() -> None:
    assert all(importlib.util.find_spec(module) for module, _ in cli.VERBS.values())
