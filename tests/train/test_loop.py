"""The training loop: what is computed depends on the recipe and the files, and on nothing else."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte.models.byteformer import ByteFormer
from anybyte.train.data import Plan
from anybyte.train.loop import TrainResult, train
from anybyte.train.progress import Throughput, read_log
from anybyte.train.step import Stepper, StepResult

from .standins import curve, final_tensors, make_splits, run, spawn_run, tiny_recipe

AVERAGED = {"ema_decay": 0.9}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    """A run from start to end, in one go."""
    out = tmp_path_factory.mktemp("undisturbed")
    return out, run(tiny_recipe(out, optim=AVERAGED))


def test_leaves_a_model_a_log_and_curves(undisturbed: tuple[Path, TrainResult]) -> None:
    out, result = undisturbed
    assert result.folder == out / "model"
    assert result.best["accuracy"] > 0.5  # of three classes, after 27 steps
    losses = curve(result.history)
    assert losses[-1] < losses[0]
    assert [row["step"] for row in result.history if row["event"] == "train"] == list(range(1, len(losses) + 1))
    assert [row["epoch"] for row in result.history if row["event"] == "validation"] == [1, 2, 3]
    assert {"recipe.json", "log.jsonl", "curves.png", "model"} <= {path.name for path in out.iterdir()}
    assert json.loads((out / "recipe.json").read_text())["model"]["num_classes"] == 3
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.rglob("*.tmp"))


def test_model_folder_holds_the_best_average(undisturbed: tuple[Path, TrainResult]) -> None:
    out, result = undisturbed
    model = ByteFormer.from_pretrained(result.folder)
    last = final_tensors(out)
    assert result.best["step"] == len(curve(result.history)), "the last validation of this run is the best one"
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, last[f"average/{name}"])
        assert not torch.equal(parameter, last[f"model/{name}"])


def test_card_says_what_and_not_where(undisturbed: tuple[Path, TrainResult]) -> None:
    out, result = undisturbed
    card = (result.folder / "README.md").read_text()
    assert "`tiny`" in card
    assert "| seed | 0 |" in card
    assert f"{result.best['accuracy']:.4f}" in card
    assert str(out) not in card


def test_equal_seeds_give_equal_losses(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    again = run(tiny_recipe(tmp_path / "again", optim=AVERAGED))
    other = run(tiny_recipe(tmp_path / "other", optim=AVERAGED, seed=1, epochs=1))
    assert curve(again.history) == curve(undisturbed[1].history)
    assert curve(other.history) != curve(again.history)[: len(curve(other.history))]


def test_killed_and_resumed_gives_the_same_weights(undisturbed: tuple[Path, TrainResult], tmp_path: Path) -> None:
    whole, result = undisturbed
    steps = len(curve(result.history))
    kill_after = steps // 2 + 2  # mid-epoch, and not at a checkpoint
    done = spawn_run(tmp_path, {"optim": AVERAGED, "kill_after": kill_after})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(curve(read_log(tmp_path / "log.jsonl"))) == kill_after
    assert not (tmp_path / "model").exists()
    resumed = run(tiny_recipe(tmp_path, optim=AVERAGED))
    expected, got = final_tensors(whole), final_tensors(tmp_path)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert curve(resumed.history) == curve(result.history)
    assert resumed.best == result.best


def test_resuming_a_finished_run_changes_nothing(undisturbed: tuple[Path, TrainResult]) -> None:
    out, result = undisturbed
    before = final_tensors(out)
    again = run(tiny_recipe(out, optim=AVERAGED))
    assert again.best == result.best
    assert again.history == result.history
    assert all(torch.equal(tensor, before[name]) for name, tensor in final_tensors(out).items())


def test_starting_over_forgets_the_old_run(tmp_path: Path) -> None:
    run(tiny_recipe(tmp_path, epochs=1))
    second = run(tiny_recipe(tmp_path, epochs=1, seed=3, resume=False))
    assert next(row["step"] for row in second.history) == 1
    assert len([row for row in second.history if row["event"] == "validation"]) == 1


@pytest.mark.parametrize("change", [{"accumulation": 3}, {"num_workers": 2}], ids=lambda change: next(iter(change)))
def test_parts_and_workers_do_not_matter(
    undisturbed: tuple[Path, TrainResult], tmp_path: Path, change: dict[str, int]
) -> None:
    result = run(tiny_recipe(tmp_path, optim=AVERAGED, **change))
    assert curve(result.history) == pytest.approx(curve(undisturbed[1].history), abs=1e-4)


def test_two_processes_give_the_same_curve(tmp_path: Path) -> None:
    splits = {"broken": ["low/1-0", "high/2-2"]}
    options: dict[str, Any] = {"optim": AVERAGED, "data": {"on_error": "skip"}, "accumulation": 2}
    one = run(tiny_recipe(tmp_path / "one", **options), make_splits(**splits)).history
    done = spawn_run(tmp_path / "two", options | {"splits": splits}, processes=2)
    assert done.returncode == 0, done.stderr
    two = read_log(tmp_path / "two" / "log.jsonl")
    for name in ("loss", "grad_norm"):
        gap = max(abs(a - b) for a, b in zip(curve(one, name), curve(two, name), strict=True))
        print(f"largest gap in {name} over {len(curve(one))} steps: {gap:.1e}")
        assert gap < 1e-4
    validations = [[row["accuracy"] for row in rows if row["event"] == "validation"] for rows in (one, two)]
    assert validations[0] == validations[1]
    problems = [{row["name"] for row in rows if row["event"] == "problem"} for rows in (one, two)]
    assert problems == [set(splits["broken"])] * 2


@pytest.mark.slow
def test_sharded_weights_give_the_same_curve_and_checkpoints(
    undisturbed: tuple[Path, TrainResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starts on one process, goes on sharded over two (FSDP 2) until killed, and ends on one."""
    step = Stepper.step

    def interrupted(self: Stepper, parts: Any, number: int, *args: Any, **keywords: Any) -> StepResult:
        if number == 7:
            raise KeyboardInterrupt
        return step(self, parts, number, *args, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tiny_recipe(tmp_path, optim=AVERAGED))
    done = spawn_run(tmp_path, {"optim": AVERAGED, "shard": True, "kill_after": 12}, processes=2)
    assert "SIGKILL" in done.stderr, done.stderr
    ended = curve(run(tiny_recipe(tmp_path, optim=AVERAGED)).history)
    gap = max(abs(a - b) for a, b in zip(ended, curve(undisturbed[1].history), strict=True))
    print(f"largest gap in loss over {len(ended)} steps: {gap:.1e}")
    assert gap < 1e-4


def test_bf16_trains(tmp_path: Path) -> None:
    result = run(tiny_recipe(tmp_path, precision="bf16", epochs=1))
    full = run(tiny_recipe(tmp_path / "fp32", epochs=1))
    assert curve(result.history) != curve(full.history)
    assert curve(result.history) == pytest.approx(curve(full.history), abs=0.05)


def test_compiles_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **options: compiled.append((type(self).__name__, options))
    )
    run(tiny_recipe(tmp_path, compile=True, epochs=1))
    assert compiled == [("Block", {"dynamic": True})] * 2


def test_without_an_average_the_last_weights_are_kept(tmp_path: Path) -> None:
    result = run(tiny_recipe(tmp_path, optim={"ema_decay": None}, epochs=1))
    last = final_tensors(tmp_path)
    assert not [name for name in last if name.startswith("average/")]
    model = ByteFormer.from_pretrained(result.folder)
    assert all(torch.equal(parameter, last[f"model/{name}"]) for name, parameter in model.named_parameters())


def test_without_validation_files_the_newest_weights_are_kept(tmp_path: Path) -> None:
    result = run(tiny_recipe(tmp_path, epochs=2), make_splits(val=0))
    assert result.best == {"step": 18, "epoch": 2.0}
    assert result.folder.is_dir()


def test_stops_at_max_steps(tmp_path: Path) -> None:
    result = run(tiny_recipe(tmp_path, max_steps=4))
    assert len(curve(result.history)) == 4
    assert result.best["step"] == 4
    assert result.history[-1] == {"event": "end", "step": 4, "reason": "max_steps"}


def test_stops_when_time_is_up_also_over_restarts(tmp_path: Path) -> None:
    first = run(tiny_recipe(tmp_path, max_minutes=1e-6))
    assert first.history[-1]["reason"] == "max_minutes"
    assert first.folder.is_dir(), "what there is, is validated and written"
    assert run(tiny_recipe(tmp_path, max_minutes=1e-6)).history[-1]["step"] == first.history[-1]["step"]
    more = run(tiny_recipe(tmp_path, max_minutes=60.0, epochs=1))
    assert len(curve(more.history)) == 9


def test_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path, optim={"learning_rate": 1e-12, "min_learning_rate": 0.0}, epochs=9, patience=2)
    result = run(recipe, make_splits(train=30))
    assert result.history[-1]["reason"] == "patience"
    validations = [row["best"] for row in result.history if row["event"] == "validation"]
    assert validations[-2:] == [False, False]
    assert len(validations) < 9
    assert run(recipe, make_splits(train=30)).history[-1]["step"] == result.history[-1]["step"]


def test_logs_means_over_several_steps(tmp_path: Path, undisturbed: tuple[Path, TrainResult]) -> None:
    rows = train(tiny_recipe(tmp_path, optim=AVERAGED, checkpoint_every=100), make_splits(), log_every=4).history
    steps = [row["step"] for row in rows if row["event"] == "train"]
    assert steps == [4, 8, 9, 12, 16, 18, 20, 24, 27], "every fourth, and at the end of each epoch"
    each = curve(undisturbed[1].history)
    sizes = np.array([entry.size for entry in make_splits().train.entries])
    files = [len(batch) for batch in Plan(sizes, batch_files=8, batch_bytes=900, seed=0).epoch(0)]
    assert sorted(files) == [1, 3, *[8] * 7]
    assert curve(rows)[0] == pytest.approx(np.average(each[:4], weights=files[:4]))
    assert curve(rows)[1] == pytest.approx(np.average(each[4:8], weights=files[4:8]))
    assert curve(rows)[2] == each[8]


def test_steps_without_files_do_not_count_in_means() -> None:
    throughput = Throughput()
    for loss, files in ((1.0, 6), (0.0, 0), (4.0, 2)):
        throughput.add(StepResult(loss, grad_norm=loss, files=files, num_bytes=10 * files, flag=False), seconds=1.0)
    assert throughput.take() == {"loss": 1.75, "grad_norm": 2.5, "files_per_second": 2.67, "bytes_per_second": 27}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("digits", "{here}/digits"),
        ("../digits/", "{above}/digits"),
        ("shards/train-{{000..003}}.tar", "{here}/shards/train-{{000..003}}.tar"),
        ("*.parquet", "{here}/*.parquet"),
        ("hf:mnist:full", "hf:mnist:full"),
        ("", ""),
    ],
)
def test_the_recipe_of_a_run_holds_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path, kept = (text.format(here=tmp_path, above=tmp_path.parent) for text in (path, kept))
    run(tiny_recipe("run", data={"path": path}, model={"num_classes": 7}, max_steps=1))
    recipe = json.loads((tmp_path / "run/recipe.json").read_text())
    assert recipe["data"]["path"] == kept
    assert str(tmp_path) not in (tmp_path / "run/model/README.md").read_text()
    assert "model.num_classes follows the data: 3, not 7" in capsys.readouterr().err


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(tiny_recipe(tmp_path, tensorboard=True, epochs=1))
    assert list((tmp_path / "tensorboard").iterdir())
