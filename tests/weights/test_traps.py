"""Where weights went wrong in other people's Perceivers; whose trap it was is said at each."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AverageOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    PerceiverConfig,
)
from anybyte.models.perceiver import Perceiver
from anybyte.models.positions import fourier_features
from anybyte.models.zoo import create_model
from anybyte.weights import from_deepmind, from_transformers
from anybyte.weights.transformers import parse_options
from tests.weights.golden import OWN, read_index
from tests.weights.test_transformers import Case

TEXTS = torch.tensor([[7, 8, 9, 10], [70, 80, 90, 100]])


@pytest.fixture(scope="module")
def case() -> Case:
    folder = OWN / "hf_perceiver"
    return Case(
        folder, next(entry for entry in read_index(folder)["cases"] if entry["name"] == "sequence_classification")
    )


def test_no_position_table_is_stored_in_the_flow_weights() -> None:
    """krasserm/perceiver-io: 188 MB of Fourier features in each checkpoint."""
    with torch.device("meta"):
        model = create_model("perceiver_io_flow")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == parameters == 41_057_134
    assert not list(model.buffers())


def test_a_stored_table_is_named_as_left_over(case: Case) -> None:
    """krasserm/perceiver-io: its checkpoints hold one."""
    table = {"perceiver.input_preprocessor.position_encoding": torch.zeros(9, 4)}
    with pytest.raises(ValueError, match=r"has unknown perceiver\.input_preprocessor\.position_encoding$"):
        from_transformers(case.state() | table, case.config)


@pytest.mark.parametrize("eps", [1e-12, 1e-5])
def test_layer_norms_add_what_transformers_adds(case: Case, eps: float) -> None:
    """transformers: layer_norm_eps is ignored; what its configs state is not what is computed."""
    model = from_transformers(case.state(), case.config | {"layer_norm_eps": eps})
    norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert len(norms) == 3 + 2 * 2 + 3
    assert all(norm.eps == 1e-5 for norm in norms)


def test_another_epsilon_is_refused_instead_of_ignored(case: Case) -> None:
    """transformers: layer_norm_eps is ignored."""
    with pytest.raises(ValueError, match=r"layer_norm_eps is 0\.001, but transformers computes with 1e-05"):
        parse_options(case.config | {"layer_norm_eps": 1e-3})


@torch.inference_mode()
@pytest.mark.parametrize(("semantics", "equal"), [("deepmind", True), ("transformers", False)])
def test_a_text_that_is_all_padding_says_nothing(case: Case, semantics: Any, equal: bool) -> None:
    """transformers: fully masked rows attend everywhere, so that padding is read. DeepMind's semantics mend it."""
    model = from_transformers(case.state(), case.config, semantics)
    one, other = model(TEXTS, torch.zeros_like(TEXTS))
    assert torch.equal(one, other) == equal


def test_a_checkpoint_with_several_faults_names_three_and_counts(case: Case) -> None:
    """Loaders that report the first fault only, or none (strict=False)."""
    state = {name: tensor for name, tensor in case.state().items() if "decoder" not in name}
    with pytest.raises(ValueError, match=r"it has unknown x; lacks decoder.+; lacks decoder.+ \(and 19 more\)"):
        from_transformers(state | {"x": torch.zeros(1)}, case.config)


def test_names_of_another_class_are_left_over_not_dropped(case: Case) -> None:
    """Loaders that keep what fits: a head of another class would be lost in silence."""
    with pytest.raises(ValueError, match=r"has unknown embedding_decoder\.bias"):
        from_transformers(case.state() | {"embedding_decoder.bias": torch.zeros(262)}, case.config)


@torch.inference_mode()
def test_weights_of_half_precision_are_computed_in_full(case: Case) -> None:
    """transformers: the multimodal class fails in bfloat16 on a processor."""
    state = {name: tensor.bfloat16() for name, tensor in case.state().items()}
    model = from_transformers(state, case.config)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model(TEXTS).isfinite().all()


def test_the_checkpoint_is_not_shared_with_the_model(case: Case) -> None:
    """Loaders that assign: training the model would change the checkpoint under one's hands."""
    state = case.state()
    before = copy.deepcopy(state)
    model = from_transformers(state, case.config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    for name, tensor in before.items():
        assert torch.equal(state[name], tensor), name


def test_the_averaging_decoder_can_be_made_and_read() -> None:
    """transformers: the projection decoder cannot be instantiated. Here it is an output, under DeepMind's name."""
    config = PerceiverConfig(
        inputs=(ArrayInputConfig(num_channels=4),),
        outputs=(AverageOutputConfig(num_classes=3),),
        num_latents=2,
        latent_dim=4,
        num_blocks=1,
        num_layers=1,
        process=AttentionConfig(num_heads=1),
    )
    model = Perceiver(config)
    linear = {"w": np.zeros((4, 4), np.float32), "b": np.zeros(4, np.float32)}
    norm = {"scale": np.ones(4, np.float32), "offset": np.zeros(4, np.float32)}
    names = [
        "attention/linear",
        "attention/linear_1",
        "attention/linear_2",
        "attention/linear_3",
        "mlp/linear",
        "mlp/linear_1",
    ]
    cross = dict.fromkeys(names, linear) | dict.fromkeys(["layer_norm", "layer_norm_1", "layer_norm_2"], norm)
    own = dict.fromkeys(names, linear) | dict.fromkeys(["layer_norm", "layer_norm_1"], norm)
    latents = np.arange(8, dtype=np.float32).reshape(2, 4)
    head = {"w": np.eye(4, 3, dtype=np.float32), "b": np.array([1, 2, 3], np.float32)}
    tree = {f"perceiver_encoder/~/cross_attention/{name}": value for name, value in cross.items()}
    tree |= {f"perceiver_encoder/~/self_attention/{name}": value for name, value in own.items()}
    tree |= {
        "perceiver_encoder/~/trainable_position_encoding": {"pos_embs": latents},
        "projection_decoder/~/logits": head,
    }
    converted = from_deepmind(tree, model=config)
    assert converted.state_dict().keys() == model.state_dict().keys()
    # Layers of zeros add nothing: what is averaged are the latents themselves.
    assert converted(torch.randn(1, 5, 4)).tolist() == [[2 + 1, 3 + 2, 4 + 3]]


@torch.inference_mode()
def test_queries_keep_the_grid_that_checkpoints_were_trained_on() -> None:
    """DeepMind: queries of a part of the output follow another grid than the inputs, -1 + 2 i / n. It is kept for parts
    and for the whole, so that decoding in pieces changes nothing."""
    positions = FourierPositionsConfig(num_bands=2, max_resolution=(6,))
    config = PerceiverConfig(
        inputs=(ArrayInputConfig(num_channels=4),),
        outputs=(GridOutputConfig(name="signal", shape=(6,), num_channels=5, positions=positions),),
        num_latents=2,
        latent_dim=8,
        num_blocks=1,
        num_layers=1,
    )
    model = Perceiver(config).eval()
    seen: list[torch.Tensor] = []
    assert model.decoder is not None
    model.decoder.layer.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    array = torch.randn(1, 3, 4)
    whole, part = model(array), model(array, rows=torch.tensor([4, 1]))
    coordinates = -1 + 2 * torch.arange(6) / 6
    torch.testing.assert_close(seen[0][0, :, 0], coordinates)
    torch.testing.assert_close(seen[1][0, :, 0], coordinates[[4, 1]])
    torch.testing.assert_close(part, whole[:, [4, 1]])
    closed = fourier_features((6,), 2, (6,))[:, 0]
    assert (closed[1:] - coordinates[1:]).abs().min() > 0.01
