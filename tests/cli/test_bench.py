"""`anybyte bench`: what it lists, what it runs, and what it says where it cannot."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from anybyte.cli import bench, main
from benchmarks import claims, measure


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run."""
    commands: list[list[str]] = []

    def run(given: list[list[str]], as_json: bool, tell: object) -> tuple[list[object], list[str]]:
        commands.extend(given)
        return [{"benchmark": command[0]} for command in given] if as_json else [], []

    monkeypatch.setattr(claims, "run", run)
    return commands


def test_claims_are_listed_and_each_has_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(claims.CLAIMS)
    for name in claims.CLAIMS:
        script = importlib.import_module(f"benchmarks.{name}")
        assert callable(script.main)
        assert script.__doc__


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", claims.CLAIMS)
def test_each_script_takes_what_it_would_be_given(
    name: str, quick: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Up to the point where it begins to compute."""

    class Begun(Exception):
        pass

    def begin(*_: object, **__: object) -> None:
        raise Begun

    script = importlib.import_module(f"benchmarks.{name}")
    begins = (
        "two_steps" if name == "perceiver_training_memory" else "_make" if name == "perceiver_memory" else "_measure"
    )
    monkeypatch.setattr(script, begins, begin)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.setattr(measure, "in_fresh_process", begin)
    _, *arguments = claims.command(name, quick=quick, threads=1, repeats=1, clock="cpu", results=str(tmp_path))
    with pytest.raises(Begun):
        script.main(arguments)


def test_settings_reach_the_scripts_that_take_them(started: list[list[str]], tmp_path: Path) -> None:
    settings = ["--threads", "1", "--repeats", "2", "--clock", "cpu", "--results", str(tmp_path)]
    assert main(["bench", "latency", "long_file", *settings]) == 0
    latency, long_file = started
    assert latency == ["benchmarks.latency", *settings[:2], "--results", str(tmp_path), *settings[2:6]]
    assert "--clock" not in long_file
    assert long_file[:3] == ["benchmarks.long_file", "--mb", "100"]


def test_all_run_if_none_is_named(started: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--json"]) == 0
    assert [command[0] for command in started] == [f"benchmarks.{name}" for name in claims.CLAIMS]
    assert len(json.loads(capsys.readouterr().out)) == len(claims.CLAIMS)


def test_scripts_run_in_processes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("import json\nprint('a line')\nprint(json.dumps({'found': 3}))\n")
    (tmp_path / "bad.py").write_text("raise SystemExit(3)\n")
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "ROOT", tmp_path)
        documents, failed = claims.run([["good", "--x"], ["bad"]], True, told.append)
    assert documents == [{"found": 3}]
    assert failed == ["bad"]
    assert told == ["good --x", "bad"]


def test_mistakes_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert main(["bench", "latencies"]) == 2
    assert "no claim 'latencies': did you mean latency" in capsys.readouterr().err
    assert main(["bench", "latency", "--threads", "0"]) == 2
    assert "--threads is 0, expected at least 1" in capsys.readouterr().err
    assert main(["bench", "latency", "--budget"]) == 2
    assert "leave out latency" in capsys.readouterr().err
    monkeypatch.setattr(claims, "run", lambda *_: ([], ["benchmarks.latency"]))
    assert main(["bench", "latency"]) == 2
    assert "benchmarks.latency failed" in capsys.readouterr().err
    installed = tmp_path / "a/b/c/bench.py"
    monkeypatch.setattr(bench, "__file__", str(installed))
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--list"]) == 2
    assert "inside a checkout of Anybyte" in capsys.readouterr().err
