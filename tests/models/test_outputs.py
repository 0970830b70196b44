"""What Perceivers answer: tasks, entities, pools, places, and any of their outputs alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AverageOutputConfig,
    ClassOutputConfig,
    EntityOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LearnedPositionsConfig,
    PerceiverConfig,
    PooledOutputConfig,
    TokenInputConfig,
    TokenOutputConfig,
)
from anybyte.models.perceiver import Perceiver
from tests.models.perceivers import example, small

TEXT = PerceiverConfig(
    inputs=(TokenInputConfig(vocabulary=30, num_channels=16, max_length=10),),
    outputs=(TokenOutputConfig(query_channels=16, max_length=10),),
    num_latents=5,
    latent_dim=16,
    num_blocks=1,
    num_layers=1,
    process=AttentionConfig(num_heads=4),
    decode=AttentionConfig(query_residual=False),
    query_padding=0,
)
SET = dataclasses.replace(
    TEXT,
    inputs=(ArrayInputConfig(name="units", num_channels=6),),
    outputs=(
        EntityOutputConfig(name="each", num_channels=3, activation="relu"),
        PooledOutputConfig(name="all", num_channels=4),
    ),
)
PLANE = FourierPositionsConfig(num_bands=2, max_resolution=(4, 6))


def build(config: PerceiverConfig, **changes: Any) -> Perceiver:
    torch.manual_seed(0)
    model = Perceiver(dataclasses.replace(config, **changes)).eval()
    for parameter in model.parameters():
        torch.nn.init.trunc_normal_(parameter, std=0.3)
    return model


def close(actual: Any, expected: Any) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def counted(model: Perceiver) -> dict[str, int]:
    """How often layers run: filled while the model does."""
    counts = {"encode": 0, "process": 0, "decode": 0}
    layers = {"encode": model.encoders[0], "process": model.blocks[0][0], "decode": model.decoder.layer}
    for name, layer in layers.items():

        def count(*_: object, name: str = name) -> None:
            counts[name] += 1

        layer.register_forward_hook(count)
    return counts


@torch.inference_mode()
def test_only_the_outputs_asked_for_are_computed() -> None:
    model = small("perceiver_io_glue")
    ids = example(model.config)
    everything = model(ids)
    counts = counted(model)
    some = model(ids, outputs=("mnli", "cola"))
    assert list(some) == ["cola", "mnli"]
    assert counts == {"encode": 1, "process": 1, "decode": 2}
    for name, value in some.items():
        close(value, everything[name])
    assert set(model.decode(model.encode(ids), outputs=["rte"])) == {"rte"}


def test_an_average_needs_no_decoder() -> None:
    outputs = (AverageOutputConfig(num_classes=2), ClassOutputConfig(name="other", num_classes=3, query_channels=8))
    model = build(TEXT, outputs=outputs)
    counts = counted(model)
    assert model(torch.zeros(1, 3, dtype=torch.int64), outputs=["classes"])["classes"].shape == (1, 2)
    assert counts["decode"] == 0


@torch.inference_mode()
def test_a_task_has_a_query_and_a_head_of_its_own() -> None:
    """Logits are tanh layers over what the task's query finds; tasks share all else."""
    model = small("perceiver_io_glue")
    ids = example(model.config)
    assert not model.decoder.padding
    cola = model.decoder.outputs["cola"]
    encoded = model.encode(ids)
    found = model.decoder.layer(cola.table.rows.expand(2, -1, -1), model.decoder.layer.read(encoded.latents))[:, 0]
    expected = cola.projection(torch.tanh(cola.hidden(found)))
    close(model(ids)["cola"], expected)


@torch.inference_mode()
def test_a_task_may_be_asked_through_its_token() -> None:
    """The class is read where a token of the input is predicted: the query at its position, of the same table."""
    tasks = tuple(
        ClassOutputConfig(name=name, num_classes=2, query_channels=16, query_of="tokens", position=position)
        for name, position in (("cola", 0), ("rte", 1), ("shared", 0))
    )
    model = build(TEXT, outputs=(*TEXT.outputs, *tasks))
    ids = torch.randint(0, 30, (2, 7))
    encoded = model.encode(ids)
    table = model.decoder.outputs["tokens"].table.rows
    source = model.decoder.layer.read(encoded.latents)
    for task in tasks:
        found = model.decoder.layer(table[task.position].expand(2, 1, -1), source)[:, 0]
        close(model.decode(encoded)[task.name], model.decoder.outputs[task.name].projection(found))
    assert {name for name, _ in model.named_parameters() if "table" in name} == {"decoder.outputs.tokens.table.rows"}


@torch.inference_mode()
def test_a_borrowed_query_is_padded_as_the_lenders() -> None:
    task = ClassOutputConfig(name="task", num_classes=2, query_channels=16, query_of="tokens")
    wide = ClassOutputConfig(name="wide", num_classes=2, query_channels=24)
    model = build(TEXT, outputs=(*TEXT.outputs, wide, task), query_padding=2)
    assert {name: x.shape[1] for name, x in model.decoder.padding.items()} == {"tokens": 10, "wide": 2}
    out = model(torch.zeros(1, 3, dtype=torch.int64))
    # What the decoder answers is wider than the embedding by then: a linear layer leads back to it.
    assert (out["task"].shape, out["tokens"].shape) == ((1, 2), (1, 10, 30))


@torch.inference_mode()
def test_entities_are_asked_with_their_own_features() -> None:
    model = build(SET)
    units = torch.randn(2, 7, 6)
    out = model(units)
    assert (out["each"].shape, out["all"].shape) == ((2, 7, 3), (2, 4))
    order = torch.randperm(7)
    permuted = model(units[:, order])
    close(permuted["each"], out["each"][:, order])
    close(permuted["all"], out["all"])
    layer, each, pool = model.decoder.layer, *model.decoder.outputs.values()
    found = layer(units, layer.read(model.encode(units).latents))
    close(out["each"], each.projection(found.relu()))
    close(out["all"], pool.projection(found.mean(dim=1)).relu())


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
@pytest.mark.parametrize("piece", [None, 3])
def test_masked_entities_are_neither_read_nor_answered(dtype: torch.dtype, piece: int | None) -> None:
    model = build(SET)
    units = torch.randn(2, 7, 6)
    keep = torch.zeros(2, 7, dtype=dtype)
    keep[0, :4] = 1
    out = model(units, keep, piece=piece)
    few = model(units[:1, :4])
    close(out["each"][:1, :4], few["each"])
    close(out["all"][:1], few["all"])
    assert not out["each"][0, 4:].any()
    assert not out["each"][1].any()
    close(out["all"][1], model.decoder.outputs["all"].projection.bias.relu())
    rows = torch.tensor([1, 5])
    close(model(units, keep, rows={"each": rows})["each"], out["each"][:, rows])


@torch.inference_mode()
def test_entities_of_one_of_several_inputs() -> None:
    inputs = (ImageInputConfig(shape=(4, 6), positions=PLANE), ArrayInputConfig(name="units", num_channels=6))
    outputs = (
        EntityOutputConfig(name="each", input="units", num_channels=3),
        EntityOutputConfig(name="pixels", input="image", num_channels=2),
        FlowOutputConfig(input="image"),
    )
    model = build(SET, inputs=inputs, outputs=outputs)
    image, units = torch.rand(2, 4, 6, 3), torch.randn(2, 5, 6)
    out = model({"image": image, "units": units})
    assert {name: tuple(x.shape) for name, x in out.items()} == {
        "each": (2, 5, 3),
        "pixels": (2, 4, 6, 2),
        "flow": (2, 4, 6, 2),
    }
    rows = torch.tensor([4, 0])
    close(model({"image": image, "units": units}, rows={"each": rows})["each"], out["each"][:, rows])


@torch.inference_mode()
def test_a_series_is_answered_place_by_place() -> None:
    """A learned query for each place, and Fourier ones, in pieces and whole."""
    for positions in (LearnedPositionsConfig(num_channels=8), FourierPositionsConfig(num_bands=2, max_resolution=(9,))):
        output = GridOutputConfig(name="series", shape=(9,), num_channels=2, positions=positions)
        model = build(TEXT, outputs=(output,))
        ids = torch.randint(0, 30, (2, 7))
        whole = model(ids)
        assert whole.shape == (2, 9, 2)
        close(model(ids, piece=4), whole)
        close(model(ids, rows=torch.tensor([[8, 0], [1, 1]])), torch.stack([whole[0, [8, 0]], whole[1, [1, 1]]]))


def test_flow_starts_at_nothing_whatever_grid_it_reads() -> None:
    image = ImageInputConfig(shape=(4, 6), positions=PLANE)
    for inputs in ((image,), (FlowInputConfig(positions=PLANE),), (ArrayInputConfig(num_channels=2, positions=PLANE),)):
        model = Perceiver(dataclasses.replace(TEXT, inputs=inputs, outputs=(FlowOutputConfig(scale=20.0),)))
        out = model(example(model.config) if inputs[0].kind != "array" else torch.rand(2, 4, 6, 2))
        assert isinstance(out, Tensor)
        assert out.shape[-1] == 2
        assert not out.any()


def output(kind: type, **fields: Any) -> dict[str, Any]:
    return {"outputs": (*TEXT.outputs, kind(**fields))}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            output(ClassOutputConfig, name="task", query_of="text"),
            "'task' takes a query of 'text', which is no token output",
        ),
        (
            output(ClassOutputConfig, name="task", query_of="task"),
            "'task' takes a query of 'task', which is no token output",
        ),
        (output(ClassOutputConfig, query_of="tokens", position=10), "takes query 10 of 'tokens', which has 0 to 9"),
        (output(EntityOutputConfig, input="units", num_channels=2), "tokens of input 'units'; there is 'tokens'"),
        (output(FlowOutputConfig), "'flow' reads the tokens of frames or of another grid .* got None .* 'tokens'"),
        (
            output(
                GridOutputConfig,
                name="series",
                shape=(3,),
                num_channels=1,
                positions=LearnedPositionsConfig(num_channels=4, projected=True),
            ),
            "'series' has projected positions",
        ),
        ({"query_padding": -1}, "query_padding must not be negative, got -1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
    ],
)
def test_a_config_that_contradicts_itself_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceiver(dataclasses.replace(TEXT, **changes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outputs": ("some",)}, "there is no output 'some'; the model has 'each', 'all'"),
        ({"outputs": "each"}, r"write outputs=\['each'\]"),
        ({"outputs": ()}, "no output is asked for"),
        ({"rows": {"all": torch.tensor([0])}}, "'all' is a mean over all entities: it has no rows"),
        ({"rows": {"each": torch.tensor([3])}}, "run from 3 to 3, not 0 to 2"),
        ({"query_mask": {"each": torch.ones(1, 4, dtype=torch.bool)}}, r"query mask of output 'each' must be \[1, 3\]"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(SET)(torch.zeros(1, 3, 6), **arguments)
