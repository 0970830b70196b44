from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from anybyte.config import DataConfig, GlueConfig, LatentGridConfig, PerceiverConfig
from anybyte.files.glue import Example
from anybyte.models.perceiver import Perceiver
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS
from anybyte.tasks import Sample, add_sums
from anybyte.tasks.glue import Glue, average, glue_config_of, glue_model, token_of
from anybyte.tasks.glue_parts import divide, open_measured
from anybyte.tasks.sentences import Sentences, join

TASKS = ("cola", "mrpc", "stsb", "mnli")
WAYS = ("queries", "shared", "tokens")
SEP = SPECIALS["[SEP]"]
PARTS = {
    "cola": [Example(b"A cat sat.", None, 1.0), Example(b"Cat a sat.", None, 0.0)],
    "mrpc": [Example(b"It rains.", b"Rain falls.", 1.0)],
    "stsb": [Example(b"A man.", b"A dog, and nothing else.", 1.25), Example(b"One.", b"One.", 5.0)],
    "mnli": [Example(b"It is night.", b"It is dark.", 0.0)],
    "mnli_mm": [Example(b"It is day.", b"It is dark.", 2.0)],
}


def body() -> PerceiverConfig:
    return dataclasses.replace(PERCEIVERS["perceiver_io_language_nano"], num_layers=1, num_latents=8)


def ids(text: bytes) -> list[int]:
    return [byte + BYTE_OFFSET for byte in text]


def samples(parts: dict[str, list[Example]], seed: int = 0) -> list[Sample]:
    examples = Sentences(parts, GlueConfig(), training=False)
    return [Sample(*examples.read(index, None), np.random.default_rng(seed)) for index in range(len(examples))]


def make(way: str, tasks: tuple[str, ...] = TASKS) -> tuple[Glue, Perceiver]:
    torch.manual_seed(0)
    config = GlueConfig(tasks=tasks, conditioning=way)  # type: ignore[arg-type]
    model = glue_model(body(), config)
    return Glue(model, config), Perceiver(model).eval()


def test_a_part_that_is_not_there_is_named_as_it_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rte").mkdir()
    config, data = GlueConfig(tasks=("rte",), conditioning="single"), DataConfig(val_fraction=0.0)
    with pytest.raises(ValueError, match=r"has no dev part of RTE, such as dev\.jsonl"):
        open_measured(str(tmp_path), config, None, data)
    line = '{"sentence1": "a", "sentence2": "b", "label": 1}'
    (tmp_path / "rte/train.jsonl").write_text(line)
    with pytest.raises(ValueError, match=r"no example of RTE in .* is in the val part: data.val_fraction is 0;"):
        open_measured(str(tmp_path), config, "val", data)
    (tmp_path / "rte/test.jsonl").write_text(line)
    assert open_measured(str(tmp_path), config, None, data)[1] == {"rte": "test"}


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_of_all_tasks_answers_as_each_example_alone(way: str) -> None:
    task, model = make(way)
    batch = samples(PARTS)
    with torch.no_grad():
        total, count = task.loss(model, *task.collate(batch))
        alone = sum(float(task.loss(model, *task.collate([sample]))[0]) for sample in batch)
    assert count == len(batch) == 7
    assert float(total) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_tasks_do_not_get_each_others_answers(way: str) -> None:
    task, model = make(way, ("mrpc", "rte"))
    example = [Example(b"It rains.", b"Rain falls.", 1.0)]
    with torch.no_grad():
        first, second = (
            task._answers(model, *task.collate(samples({part: example})))[part] for part in ("mrpc", "rte")
        )
    assert first.shape == second.shape == (1, 2)
    assert not torch.allclose(first, second)


def test_only_tokens_tell_the_model_before_it_reads() -> None:
    for way in WAYS:
        task, model = make(way, ("mrpc", "rte"))
        example = [Example(b"It rains.", b"Rain falls.", 1.0)]
        with torch.no_grad():
            found = []
            for part in ("mrpc", "rte"):
                inputs, _ = task.collate(samples({part: example}))
                found.append(model.encode(inputs["ids"], inputs["mask"]).latents)
        assert torch.equal(*found) == (way != "tokens")


def test_what_the_model_reads() -> None:
    task, _ = make("tokens")
    inputs, targets = task.collate(samples({"stsb": PARTS["stsb"]}))
    first = [BYTE_OFFSET + 256 + TASKS.index("stsb"), *ids(b"A man."), SEP, *ids(b"A dog, and nothing else.")]
    second = [first[0], *ids(b"One."), SEP, *ids(b"One.")]
    assert inputs["ids"].tolist() == [first, second + [SPECIALS["[PAD]"]] * (len(first) - len(second))]
    assert inputs["mask"].sum(1).tolist() == [len(first), len(second)]
    assert targets["stsb"]["rows"].tolist() == [0, 1]
    assert token_of(GlueConfig(conditioning="shared"), "rte") == SPECIALS["[CLS]"]
    assert token_of(GlueConfig(), "rte") is None


def test_the_longer_sentence_is_cut_first() -> None:
    def lengths(first: int, second: int, room: int, token: int | None = None) -> tuple[int, int]:
        out = join([np.full(first, 10), np.full(second, 20)], room, token).tolist()
        assert len(out) == min(room, first + second + 1 + (token is not None))
        return out.count(10), out.count(20)

    assert lengths(3, 4, 8) == (3, 4)
    assert lengths(30, 4, 10) == (5, 4)
    assert lengths(4, 30, 10) == (4, 5)
    assert lengths(30, 30, 10, token=99) == (4, 4)
    assert lengths(30, 31, 10) == (4, 5)
    assert join([np.arange(9)], 4).tolist() == [0, 1, 2, 3]
    assert join([np.arange(9)], 4, token=7).tolist() == [7, 0, 1, 2]


def test_a_perfect_and_a_wrong_model(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = make("queries")
    sums: dict[str, Any] = {}

    def answers(model: Any, inputs: Any, targets: Any) -> dict[str, torch.Tensor]:
        return {
            part: ((found["labels"][:, None] - 2.5) / 1.5)
            if part == "stsb"
            else torch.nn.functional.one_hot(found["labels"].long(), 3 if "mnli" in part else 2).float() * sign
            for part, found in targets.items()
        }

    monkeypatch.setattr(task, "_answers", answers)
    sign = 9.0
    for half in (samples(PARTS)[::2], samples(PARTS)[1::2]):  # as if in two batches
        add_sums(sums, task.measure(torch.nn.Identity(), *task.collate(half)))
    metrics = task.summarise(sums)
    assert metrics.pop("loss") < 1e-3
    assert metrics == {
        "cola_matthews": 1, "mrpc_f1": 1, "mrpc_accuracy": 1, "stsb_pearson": pytest.approx(1),
        "stsb_spearman": pytest.approx(1), "mnli_accuracy": 1, "mnli_mm_accuracy": 1, "average": pytest.approx(1),
    }  # fmt: skip
    sign = -9.0
    wrong = task.summarise(task.measure(torch.nn.Identity(), *task.collate(samples(PARTS))))
    assert wrong["cola_matthews"] == -1
    assert wrong["mrpc_f1"] == 0
    assert task.score(metrics | {"loss": 0.1}) > task.score(wrong)


def test_average_counts_each_task_once() -> None:
    metrics = {
        "cola_matthews": 0.2,
        "mrpc_f1": 0.8,
        "mrpc_accuracy": 0.6,
        "mnli_accuracy": 0.4,
        "mnli_mm_accuracy": 0.6,
    }
    assert average(metrics) == pytest.approx((0.2 + 0.7 + 0.5) / 3)


@pytest.mark.parametrize("way", WAYS)
def test_a_model_says_what_it_answers(way: str) -> None:
    config = GlueConfig(tasks=TASKS, conditioning=way)  # type: ignore[arg-type]
    model = glue_model(body(), config)
    assert glue_config_of(model) == config
    assert glue_model(model, config) == model
    placed = dataclasses.replace(body(), latent_grids=(LatentGridConfig(input="tokens", output="tokens", shape=(8,)),))
    assert glue_config_of(glue_model(placed, config)) == config
    assert [output.name for output in glue_model(placed, config).outputs] == ["tokens", *TASKS]
    single = GlueConfig(tasks=("rte",), conditioning="single")
    assert glue_config_of(glue_model(body(), single)) == single


def test_the_zoos_model_is_that_of_multi_task_queries() -> None:
    assert glue_model(PERCEIVERS["perceiver_io_language"], GlueConfig()) == PERCEIVERS["perceiver_io_glue"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GlueConfig(tasks=()), "must name one task or more"),
        (GlueConfig(tasks=("rte", "rte")), "each once, got rte, rte"),
        (GlueConfig(tasks=("rte", "boolq")), "GLUE has no task 'boolq'; it has cola"),  # type: ignore[arg-type]
        (GlueConfig(tasks=("rte", "cola"), conditioning="single"), "single is for one task, got rte, cola"),
    ],
)
def test_mistakes_in_the_tasks(config: GlueConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        glue_model(body(), config)


def test_shorter_texts() -> None:
    model = glue_model(body(), GlueConfig(tasks=("rte",), conditioning="shared", max_length=100))
    assert [part.max_length for part in (model.inputs[0], model.outputs[0])] == [100, 100]  # type: ignore[union-attr]
    assert model.num_latents == body().num_latents, "which have no places"
    assert glue_model(model, glue_config_of(model)) == model
    assert glue_model(body(), GlueConfig(max_length=1000)) == glue_model(body(), GlueConfig())


def test_models_of_anything_else_are_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary of 262"):
        glue_model(PERCEIVERS["perceiver_io_pixels_nano"], GlueConfig())
    with pytest.raises(ValueError, match="vocabulary of 32000 is not one of bytes"):
        glue_model(PERCEIVERS["perceiver_io_sentencepiece"], GlueConfig())
    with pytest.raises(ValueError, match="none of GLUE: it answers classes"):
        glue_config_of(PERCEIVERS["perceiver_io_pixels_nano"])


def test_turns_by_size_and_alike() -> None:
    parts = {"cola": PARTS["cola"] * 10, "rte": PARTS["mrpc"] * 4}
    assert Sentences(parts, GlueConfig(), training=True).turns == {"cola": 20, "rte": 4}
    assert Sentences(parts, GlueConfig(max_examples=6), training=True).turns == {"cola": 6, "rte": 4}
    alike = Sentences(parts, GlueConfig(mix="uniform"), training=True)
    assert alike.turns == {"cola": 12, "rte": 12}
    assert len(alike) == len(alike.sizes()) == 24
    assert len(Sentences(parts, GlueConfig(mix="uniform", max_examples=2), training=False)) == 24, "as they are"


def test_a_task_that_has_more_examples_than_turns_draws_them() -> None:
    many = {"cola": [Example(b"%d" % number, None, 0.0) for number in range(50)]}
    examples = Sentences(many, GlueConfig(max_examples=5), training=True)
    seen = {examples.read(0, np.random.default_rng(seed))[0].sentences[0].tobytes() for seed in range(40)}
    assert len(seen) > 20


def test_changes_in_training_only() -> None:
    config = GlueConfig(swap=True, hide=0.5)
    text = Example(b"one two three four five six", b"seven", 1.0)
    examples = Sentences({"mrpc": [text], "rte": [text]}, config, training=True)
    drawn = [examples.read(0, np.random.default_rng(seed))[0].sentences for seed in range(60)]
    assert 15 < sum(len(first) < len(second) for first, second in drawn) < 45
    longer = [max(pair, key=len) for pair in drawn]
    hidden = np.array([found == SPECIALS["[MASK]"] for found in longer])
    assert 0.35 < hidden[:, 0].mean() < 0.65
    assert (hidden[:, :3].all(1) == hidden[:, :3].any(1)).all(), "whole words"
    assert not hidden[:, 3].any(), "nothing between words"
    order = [[len(found) for found in examples.read(1, np.random.default_rng(seed))[0].sentences] for seed in range(9)]
    assert order == [[27, 5]] * 9, "entailment has a direction"
    plain, label = examples.read(0, None)
    assert [found.tolist() for found in plain.sentences] == [ids(text.sentence1), ids(text.sentence2 or b"")]
    assert label == 1.0


def test_held_out_by_their_text() -> None:
    examples = [Example(b"%d" % (number % 400), None, 0.0) for number in range(800)]
    kept, held = divide(examples, 0.25, "0:cola")
    assert 130 < len(held) < 270
    assert not {row.sentence1 for row in kept} & {row.sentence1 for row in held}
    assert divide(examples, 0.25, "1:cola")[1] != held
    assert divide(examples, 0.0, "0:cola") == (examples, [])


def test_no_labels_no_training() -> None:
    examples = Sentences({"rte": [Example(b"a", b"b", -1.0)]}, GlueConfig(), training=True)
    with pytest.raises(ValueError, match=r"rte\[0\] has no label"):
        examples.read(0, None)
