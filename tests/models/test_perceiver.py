"""Perceivers: what does not change their answers, how they are decoded, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AverageOutputConfig,
    ClassOutputConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    LabelInputConfig,
    PerceiverConfig,
    TokenOutputConfig,
)
from anybyte.models import attention
from anybyte.models.arguments import by_name
from anybyte.models.attention import AttentionLayer, _attend_widths
from anybyte.models.perceiver import Perceiver
from anybyte.models.positions import fourier_features
from anybyte.models.zoo import create_model, list_models, model_config
from anybyte.predictor import load
from tests.models.perceivers import example, first, small

SET = PerceiverConfig(
    inputs=(ArrayInputConfig(num_channels=5),),
    outputs=(ClassOutputConfig(num_classes=3, query_channels=8),),
    num_latents=4,
    latent_dim=16,
    num_blocks=1,
    num_layers=2,
    process=AttentionConfig(num_heads=4),
)


def as_dict(out: Tensor | dict[str, Tensor]) -> dict[str, Tensor]:
    return out if isinstance(out, dict) else {"": out}


def close(actual: Any, expected: Any, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("name", list_models("perceiver*"))
def test_an_examples_answer_is_its_own(name: str) -> None:
    model = small(name)
    both = as_dict(model(example(model.config)))
    for key, value in as_dict(model(first(example(model.config)))).items():
        close(value, both[key][:1])


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8])
def test_padding_behind_a_mask_changes_nothing(dtype: torch.dtype) -> None:
    model = small("perceiver_io_language")
    ids = example(model.config)
    padded = torch.cat([ids, torch.full((2, 5), 7)], dim=1)
    mask = (torch.arange(18) < 13).to(dtype).expand(2, -1)
    close(model(padded, mask), model(ids))
    assert not torch.allclose(model(padded), model(ids), atol=1e-3)


@torch.inference_mode()
def test_masking_one_of_several_inputs() -> None:
    model = small("perceiver_io_multimodal")
    arrays = example(model.config)
    keep = torch.ones(2, 4, dtype=torch.bool)
    keep[:, 2:] = False
    changed = arrays | {"audio": torch.cat([arrays["audio"][:, :32], torch.zeros(2, 32)], dim=1)}
    expected = model(arrays, {"audio": keep})
    for name, value in model(changed, {"audio": keep}).items():
        close(value, expected[name])


@torch.inference_mode()
def test_permuting_a_set_changes_nothing() -> None:
    torch.manual_seed(0)
    model = Perceiver(SET).eval()
    entities = torch.randn(2, 9, 5)
    order = torch.randperm(9)
    keep = torch.rand(2, 9) < 0.7
    close(model(entities[:, order], keep[:, order]), model(entities, keep))


@torch.inference_mode()
def test_permuting_tokens_with_their_positions_changes_nothing() -> None:
    """Positions are features of a token: a set of tokens with them is read alike in any order."""
    torch.manual_seed(0)
    positions = FourierPositionsConfig(num_bands=2, max_resolution=(3, 4))
    grid = Perceiver(dataclasses.replace(SET, inputs=(ArrayInputConfig(num_channels=5, positions=positions),))).eval()
    bare = Perceiver(dataclasses.replace(SET, inputs=(ArrayInputConfig(num_channels=15),))).eval()
    bare.load_state_dict(grid.state_dict())
    image = torch.randn(2, 3, 4, 5)
    tokens = torch.cat([image.flatten(1, 2), fourier_features((3, 4), 2, (3, 4)).expand(2, -1, -1)], dim=-1)
    close(bare(tokens[:, torch.randperm(12)]), grid(image))


@torch.inference_mode()
@pytest.mark.parametrize("name", list_models("perceiver_io_*"))
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_decoding_in_pieces_is_decoding_whole(name: str, piece: int) -> None:
    model = small(name)
    encoded = model.encode(example(model.config))
    whole = as_dict(model.decode(encoded))
    for key, value in as_dict(model.decode(encoded, piece=piece)).items():
        close(value, whole[key])


@torch.inference_mode()
@pytest.mark.parametrize("name", ["perceiver_io_language", "perceiver_io_flow"])
def test_rows_are_those_of_the_whole(name: str) -> None:
    """Alike for all examples, and other ones for each."""
    model = small(name)
    encoded = model.encode(example(model.config))
    whole = model.decode(encoded)
    assert isinstance(whole, Tensor)
    whole = whole.flatten(1, -2)
    rows = torch.tensor([5, 0, 11, 5])
    close(model.decode(encoded, rows=rows, piece=3), whole[:, rows])
    each = torch.tensor([[5, 0, 11], [2, 2, 3]])
    close(model.decode(encoded, rows=each), torch.stack([whole[0, each[0]], whole[1, each[1]]]))


@torch.inference_mode()
def test_rows_of_one_of_several_outputs() -> None:
    model = small("perceiver_io_multimodal")
    encoded = model.encode(example(model.config))
    whole, some = model.decode(encoded), model.decode(encoded, rows={"image": torch.tensor([3, 127])}, piece=1)
    close(some["image"], whole["image"].flatten(1, 3)[:, [3, 127]])
    close(some["audio"], whole["audio"])


@torch.inference_mode()
def test_the_query_mask_silences_queries_alone() -> None:
    model = small("perceiver_io_language")
    encoded = model.encode(example(model.config))
    mask = torch.arange(20).expand(2, -1) < 13
    whole, masked = model.decode(encoded), model.decode(encoded, mask, piece=6)
    close(masked[:, :13], whole[:, :13])
    assert not torch.allclose(masked[:, 13:], whole[:, 13:], atol=1e-3)
    # Nothing was found, and there is no query residual: all such rows are alike.
    close(masked[:, 13:], masked[:1, 13:14].expand(2, 7, -1))


@torch.inference_mode()
@pytest.mark.parametrize("masked_rows", ["zero", "uniform"])
def test_where_everything_is_masked(masked_rows: Any) -> None:
    torch.manual_seed(0)
    layer = AttentionLayer(8, 6, AttentionConfig(num_heads=2), "tanh", masked_rows)
    x, source = torch.randn(2, 3, 8), layer.read(torch.randn(2, 5, 6))
    keep = torch.tensor([[True] * 5, [False] * 5])
    out = layer(x, source, keep)
    close(out[:1], layer(x, source)[:1])
    found = source[1][1].mean(dim=1).flatten() if masked_rows == "uniform" else torch.zeros(6)
    after = x[1] + layer.out(found)
    close(out[1], after + layer.mlp(layer.norm_mlp(after)))


def test_gradients_are_finite_where_everything_is_masked() -> None:
    model = small("perceiver_io_language").train()
    model(example(model.config), torch.zeros(2, 13, dtype=torch.bool)).square().mean().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("name", list_models("perceiver*"))
def test_activation_checkpointing_changes_no_gradient(name: str) -> None:
    gradients = []
    for flag in (False, True):
        model = small(name, activation_checkpointing=flag)
        sum(value.square().sum() for value in as_dict(model(example(model.config))).values()).backward()  # type: ignore[union-attr]
        gradients.append({key: p.grad for key, p in model.named_parameters() if p.grad is not None})
    assert set(gradients[0]) == set(gradients[1])
    for key, gradient in gradients[0].items():
        close(gradients[1][key] / gradient.abs().max().clamp(min=1e-9), gradient / gradient.abs().max().clamp(min=1e-9))


@pytest.mark.parametrize(("qk", "v"), [(4, 10), (10, 4)])
def test_long_arrays_of_unequal_widths(qk: int, v: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    q, k, value = torch.randn(1, 2, 3, qk), torch.randn(1, 2, 7, qk), torch.randn(1, 2, 7, v)
    short = _attend_widths(q, k, value, None)
    monkeypatch.setattr(attention, "_LONG", 0)
    close(_attend_widths(q, k, value, None), short)
    close(short, F.scaled_dot_product_attention(q, k, value))


@pytest.mark.parametrize(("qk", "v"), [(64, 64), (32, 160)])
@pytest.mark.parametrize("masked", [False, True])
def test_long_arrays_make_no_matrix_of_scores(qk: int, v: int, masked: bool) -> None:
    """The kernel that holds none is the only one allowed here; gradients included."""
    layer = AttentionLayer(16, 16, AttentionConfig(qk_channels=qk, v_channels=v), "tanh", "zero")
    tokens = torch.randn(1, 2**14, 16, requires_grad=True)
    keep = torch.rand(1, 2**14) < 0.5 if masked else None
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        layer(torch.randn(1, 64, 16), layer.read(tokens), keep).sum().backward()
    assert tokens.grad is not None


@torch.inference_mode()
def test_an_input_left_out_counts_as_masked() -> None:
    model = small("perceiver_io_multimodal")
    arrays = example(model.config)
    without = {name: x for name, x in arrays.items() if name != "label"}
    for one, other in zip(model(arrays).values(), model(without).values(), strict=True):
        close(one, other)
    audio = dataclasses.replace(model.config.inputs[0], mask_probability=1.0)
    deaf = Perceiver(dataclasses.replace(model.config, inputs=(audio, *model.config.inputs[1:]))).eval()
    deaf.load_state_dict(model.state_dict())
    for one, other in zip(deaf(arrays).values(), model({"image": arrays["image"]}).values(), strict=True):
        close(one, other)


def test_masking_is_random_in_training_only() -> None:
    model = small("perceiver_io_multimodal")
    halved = tuple(dataclasses.replace(part, mask_probability=0.5) for part in model.config.inputs)
    model = Perceiver(dataclasses.replace(model.config, inputs=halved))
    arrays = example(model.config)
    with torch.no_grad():
        assert torch.equal(model.eval().encode(arrays).tokens, model.encode(arrays).tokens)
        torch.manual_seed(0)
        one = model.train().encode(arrays).tokens
        masked = (one[:, 4:-1] == model.inputs.mask_tokens["image"]).all(dim=-1).float().mean()
        assert 0.05 < float(masked) < 0.95
        torch.manual_seed(0)
        assert torch.equal(model.encode(arrays).tokens, one)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["perceiver_io_pixels", "perceiver_io_learned", "perceiver_io_conv"])
def test_images_of_another_size(name: str) -> None:
    model = small(name)
    assert model(torch.rand(1, 17, 11, 3)).shape == (1, 7)


@torch.inference_mode()
@pytest.mark.parametrize(("padding", "side"), [("same", 56), ("transformers", 55)])
def test_tokens_a_side_of_the_convolution(padding: Any, side: int) -> None:
    image = model_config("perceiver_io_conv").inputs[0]
    stem = dataclasses.replace(image.stem, padding=padding)
    model = small("perceiver_io_conv", inputs=(dataclasses.replace(image, stem=stem),))
    assert model.inputs.parts["image"].grid == (side, side)
    assert model.encode(torch.rand(1, 224, 224, 3)).grids == {"image": (side, side)}


@torch.inference_mode()
def test_the_original_shares_what_the_paper_shares() -> None:
    """Eight cross-attends of which two are distinct, and one latent transformer for all."""
    model = small("perceiver_pixels")
    assert (len(model.encoders), len(model.blocks), model.config.num_cross_attends) == (2, 1, 8)
    calls = []
    for index, encoder in enumerate(model.encoders):
        encoder.register_forward_hook(lambda *_, index=index: calls.append(index))
    model(example(model.config))
    assert calls == [0] + [1] * 7


def test_initialisation() -> None:
    """Of DeepMind's release: latents at 0.02, linears at 1 / sqrt(fan in), nothing from the flow's last layer."""
    torch.manual_seed(0)
    model = create_model("perceiver_io_flow", num_layers=1)
    assert float(model.latents.detach().std()) == pytest.approx(0.02 * 0.88, rel=0.02)
    weight = model.blocks[0][0].query.weight.detach()
    assert float(weight.std()) == pytest.approx(512**-0.5, rel=0.02)
    assert not model.decoder.outputs["flow"].projection.weight.any()
    assert all(not m.bias.any() for m in model.modules() if isinstance(m, torch.nn.Linear))


def ids(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("language", {"arrays": ids(3)}, r"'tokens' must be \[batch, length\]"),
        ("language", {"arrays": torch.zeros(1, 3)}, "got torch.float32"),
        ("language", {"arrays": ids(1, 21)}, "has 21 tokens; .* max_length=20"),
        ("language", {"arrays": ids(1, 0)}, "has 0 tokens"),
        ("language", {"arrays": ids(1, 3) + 262}, "ids 262 to 262"),
        ("language", {"arrays": ids(1, 3), "mask": ids(1, 4)}, r"mask of input 'tokens' must be \[1, 3\]"),
        ("language", {"arrays": ids(1, 3), "mask": torch.ones(1, 3)}, "got torch.float32"),
        (
            "language",
            {"arrays": ids(1, 3), "query_mask": ids(1, 3)},
            r"query mask of .* must be \[1, 20\]",
        ),
        ("language", {"arrays": ids(1, 3), "rows": torch.tensor([20])}, "run from 20 to 20, not 0 to 19"),
        ("language", {"arrays": ids(1, 3), "rows": torch.tensor([0.5])}, "must be int64"),
        ("language", {"arrays": ids(1, 3), "rows": {"text": ids(1)}}, "no output 'text'"),
        ("language", {"arrays": ids(1, 3), "piece": 0}, "piece must be at least 1"),
        ("language", {"arrays": {"text": ids(1, 3)}}, "no input 'text'"),
        ("language", {"arrays": {}}, "'tokens' is missing"),
        ("pixels", {"arrays": torch.zeros(8, 12, 3)}, r"'image' must be \[batch, height, width, 3\]"),
        ("pixels", {"arrays": torch.zeros(1, 3, 8, 12)}, r"got shape \(1, 3, 8, 12\)"),
        ("pixels", {"arrays": torch.zeros(1, 8, 12, 3, dtype=torch.uint8)}, "must be a floating tensor"),
        ("flow", {"arrays": torch.zeros(1, 3, 8, 12, 3)}, r"'frames' must be \[batch, 2, height, width, 3\]"),
        ("multimodal", {"arrays": torch.zeros(1, 64)}, "expected a mapping"),
        ("multimodal", {"arrays": {"audio": torch.zeros(1, 60)}}, "cannot be cut into patches"),
        (
            "multimodal",
            {"arrays": {"audio": torch.zeros(1, 64), "label": torch.zeros(2, 5)}},
            "a batch of 2, others of 1",
        ),
        ("multimodal", {"arrays": {}}, "no input given"),
        ("multimodal", {"arrays": {"audio": torch.tensor(0.0)}}, "input 'audio' is a single number"),
        (
            "multimodal",
            {"arrays": {"audio": torch.zeros(1, 64)}, "rows": {"label": torch.tensor([0])}},
            "output 'label' is one vector of classes: it has no rows",
        ),
        ("flow", {"arrays": torch.zeros(1, 2, 0, 12, 3)}, "'frames' has nothing along its axis height"),
    ],
)
def test_what_does_not_fit_is_named(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(f"perceiver_io_{name}")(**arguments)


@pytest.mark.parametrize("what", ["input", "output"])
def test_arrays_masks_and_rows_are_tensors(what: str) -> None:
    """Asked of the function behind the model, whose own types are checked in tests."""
    with pytest.raises(ValueError, match=f"what is given for {what} 'audio' must be a tensor, got list"):
        by_name({"audio": [0.0, 1.0]}, ["audio", "image"], what)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ()}, "no inputs"),
        ({"inputs": (ArrayInputConfig(num_channels=2),) * 2}, "names of their own, got array, array"),
        ({"inputs": (LabelInputConfig(mask_probability=0.5),)}, "'label' is the only one"),
        (
            {"inputs": (FlowInputConfig(positions=FourierPositionsConfig(num_bands=2, max_resolution=(4,))),)},
            "'frames' has 2 axes, its positions 1",
        ),
        ({"outputs": (AverageOutputConfig(),) * 2}, "names of their own, got classes, classes"),
        ({"outputs": (FlowOutputConfig(),)}, "'flow' reads the tokens of frames"),
        ({"outputs": (TokenOutputConfig(),)}, "'tokens' reads logits off the embedding .*; there is none"),
        (
            {
                "outputs": (
                    GridOutputConfig(
                        name="picture",
                        shape=(4, 4),
                        num_channels=1,
                        positions=FourierPositionsConfig(num_bands=2, max_resolution=(4,)),
                    ),
                )
            },
            "'picture' has shape",
        ),
        ({"num_latents": 0}, "num_latents must be at least 1"),
        ({"num_layers": 2.0}, "num_layers must be at least 1 and whole, got 2.0"),
        ({"outputs": (AverageOutputConfig(num_classes=0),)}, "'classes' must have num_classes of at least 1, got 0"),
        ({"num_cross_attends": 2}, "num_cross_attends must lie in 1 to num_blocks=1"),
        ({"process": AttentionConfig(num_heads=3)}, "qk_channels 16 is not divisible by num_heads 3"),
        ({"gelu": "relu"}, "gelu must be tanh or erf, got 'relu'"),
        ({"masked_rows": "none"}, "masked_rows must be zero or uniform, got 'none'"),
    ],
)
def test_a_config_that_contradicts_itself_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceiver(dataclasses.replace(SET, **changes))


def test_a_perceiver_is_refused_where_files_are_classified(tmp_path: Path) -> None:
    small("perceiver_io_pixels").save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="model holds a Perceiver, which does not classify files"):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", ["perceiver_io_language", "perceiver_pixels"])
def test_dropout_acts_in_training_alone(name: str) -> None:
    plain, model = small(name), small(name, dropout=0.5)
    arrays = example(model.config)
    with torch.no_grad():
        assert torch.equal(model(arrays), plain(arrays))
        model.train()
        torch.manual_seed(1)
        one, other = model(arrays), model(arrays)
        assert not torch.allclose(one, other, atol=1e-3)
        torch.manual_seed(1)
        assert torch.equal(model(arrays), one)


def test_dropout_has_three_places() -> None:
    """The weights of attention, what it found, and what the MLP adds."""
    torch.manual_seed(0)
    layer = AttentionLayer(8, None, AttentionConfig(num_heads=2), "tanh", "zero", dropout=0.5).train()
    x = torch.randn(1, 4000, 8)
    with torch.no_grad():
        layer.out.weight.zero_()
        layer.out.bias.fill_(1)
        layer.mlp.fc2.weight.zero_()
        layer.mlp.fc2.bias.fill_(10)
        added = layer(x) - x
    shares = {value: float((added.round() == value).float().mean()) for value in (0, 2, 20, 22)}
    assert shares == pytest.approx(dict.fromkeys(shares, 0.25), abs=0.02)
    values = torch.eye(4)[None, None]
    same = torch.zeros(1, 1, 4, 4)
    weights = torch.stack([_attend_widths(same, same, values, None, 0.5) for _ in range(200)])
    assert set(weights.unique().tolist()) == {0.0, 0.5}
    assert float((weights == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
