"""What other implementations of the Perceiver stumble over, each shown not to trouble this one.

Traps of weights and conversion are in tests/weights.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from anybyte.config import DeclaredConfig, FlowOutputConfig, LossConfig
from anybyte.models.attention import AttentionLayer
from anybyte.models.perceiver import Perceiver
from anybyte.models.positions import fourier_features
from anybyte.models.tokenizer import SPECIALS, ByteTokenizer
from anybyte.models.zoo import create_model, model_config
from anybyte.tasks import Sample
from anybyte.tasks.declared import Declared
from tests.models.perceivers import example, small


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


# transformers


@pytest.mark.parametrize("name", ["perceiver_io_flow", "perceiver_io_multimodal"])
def test_flow_and_multimodal_models_can_be_trained(name: str) -> None:
    """transformers: labels for these two raise NotImplementedError."""
    model = small(name).train()
    out = model(example(model.config))
    sum(value.abs().mean() for value in (out.values() if isinstance(out, dict) else [out])).backward()
    assert model.latents.grad is not None
    assert model.latents.grad.any()


@pytest.mark.parametrize("name", ["perceiver_io_flow", "perceiver_io_multimodal"])
def test_flow_and_multimodal_models_learn_from_targets(name: str) -> None:
    """transformers: labels for these two raise NotImplementedError. Here they are losses like any other."""
    model = small(name).train()
    arrays = example(model.config)
    if not isinstance(arrays, dict):
        arrays = {"frames": arrays}
    answers = model(arrays)
    targets = {name: x.detach() + 1 for name, x in answers.items()} if isinstance(answers, dict) else {"flow": answers}
    losses = [LossConfig(output=name, loss="l1") for name in targets if name != "label"]
    if "label" in targets:
        losses.append(LossConfig(output="label", loss="cross_entropy", weight=1e-4))
        targets["label"] = torch.tensor([1, 2])
    else:
        targets["flow"] = torch.ones_like(targets["flow"]).index_fill_(2, torch.tensor([0]), torch.nan)  # unknown
    task = Declared(model.config, DeclaredConfig(losses=tuple(losses)))
    samples = [
        Sample(
            {key: x[index].numpy() for key, x in arrays.items()},
            {key: x[index].numpy() for key, x in targets.items()},
            np.random.default_rng(index),
        )
        for index in range(2)
    ]
    batch = task.collate(samples)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    values = []
    for _ in range(8):
        loss, count = task.loss(model, *batch)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.9 * values[0]


@torch.inference_mode()
def test_a_multimodal_model_answers_everything_unless_asked_for_less() -> None:
    """transformers: crashes without sub-sampled points, and needs a key for every input."""
    model = small("perceiver_io_multimodal")
    arrays = example(model.config)
    assert set(model(arrays)) == {"audio", "image", "label"}
    assert set(model({"audio": arrays["audio"]}, outputs=["label"])) == {"label"}


@torch.inference_mode()
def test_a_multimodal_model_computes_in_bfloat16() -> None:
    """transformers: fails in bfloat16 on processors."""
    model = small("perceiver_io_multimodal").to(torch.bfloat16)
    arrays = {name: x.to(torch.bfloat16) for name, x in example(model.config).items()}
    for value in model(arrays).values():
        assert value.dtype == torch.bfloat16
        assert value.isfinite().all()


def test_a_text_is_as_long_as_it_is_and_answered_where_it_matters() -> None:
    """transformers: labels of masked language models must have all 2,048 positions."""
    model = small("perceiver_io_language")
    rows = torch.tensor([[0, 7, 12], [3, 4, 5]])
    logits = model(example(model.config), rows=rows)
    assert logits.shape == (2, 3, 262)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.arange(6)).backward()


def test_the_mean_of_the_latents_is_an_output() -> None:
    """transformers: the decoder that projects a mean cannot be instantiated."""
    model = small("perceiver_pixels")
    assert model.decoder is None
    assert model(example(model.config)).shape == (2, 7)


def test_no_setting_is_ignored() -> None:
    """transformers: `layer_norm_eps` is read by nothing. Here it is no field, and unknown fields are errors."""
    with pytest.raises(ValueError, match="perceiver_io_pixels has no field 'layer_norm_eps'"):
        create_model("perceiver_io_pixels", layer_norm_eps=1e-12)


@torch.inference_mode()
def test_the_query_mask_is_heeded() -> None:
    """transformers: the decoder's query mask is ignored."""
    model = small("perceiver_io_language")
    ids = example(model.config)
    mask = torch.arange(20).expand(2, -1) < 13
    whole, masked = model(ids), model(ids, query_mask=mask)
    close(masked[:, :13], whole[:, :13])
    assert (masked[:, 13:] - whole[:, 13:]).abs().amax(dim=-1).min() > 1e-3


@torch.inference_mode()
def test_a_wholly_masked_example_is_read_as_nothing() -> None:
    """transformers: rows that may attend to nothing attend to everything."""
    model = small("perceiver_io_language")
    ids = example(model.config)
    keep = torch.tensor([[1] * 13, [0] * 13])
    one, other = model(ids, keep), model(ids.flip(1), keep)
    close(one[1], other[1])
    assert not torch.allclose(one[0], other[0], atol=1e-3)


def test_a_text_cannot_write_special_tokens() -> None:
    """transformers: a literal "[MASK]" in a user's text becomes the special token."""
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode("a [MASK] b")
    assert SPECIALS["[MASK]"] not in ids
    assert tokenizer.decode(ids) == "a [MASK] b"


@torch.inference_mode()
def test_a_long_array_is_attended_to_without_a_matrix_of_scores() -> None:
    """transformers: no fused attention. The kernel that holds no scores is the only one allowed here."""
    image = model_config("perceiver_io_pixels").inputs[0]
    model = small("perceiver_io_pixels", inputs=(dataclasses.replace(image, shape=(150, 150)),), num_latents=64)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert model(torch.rand(1, 150, 150, 3)).isfinite().all()


def test_layers_can_be_computed_again_instead_of_kept() -> None:
    """transformers: no activation checkpointing."""
    runs = []
    for flag in (False, True):
        model = small("perceiver_io_language", activation_checkpointing=flag)
        count = []
        model.blocks[0][0].norm.register_forward_hook(lambda *_, count=count: count.append(1))
        model(example(model.config)).sum().backward()
        runs.append(len(count))
    assert runs == [1, 2]


# krasserm/perceiver-io


def test_checkpointing_changes_no_class() -> None:
    """krasserm: it patches a class once a layer, until the recursion overflows."""
    forward = AttentionLayer.forward
    model = small("perceiver_io_language", activation_checkpointing=True, num_layers=100)
    assert AttentionLayer.forward is forward
    model(example(model.config)).sum().backward()
    assert model.latents.grad is not None


def test_position_tables_of_grids_are_no_weights() -> None:
    """krasserm: 188 MB of positions are stored with the weights of the flow model."""
    with torch.device("meta"):
        model = create_model("perceiver_io_flow")
    assert max(tensor.numel() for tensor in model.state_dict().values()) == 2048 * 512  # the latents
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@torch.inference_mode()
@pytest.mark.parametrize("size", [(5, 6), (17, 9)])
def test_the_size_of_images_is_not_fixed(size: tuple[int, int]) -> None:
    """krasserm: the image size is part of the model."""
    assert small("perceiver_io_pixels")(torch.rand(1, *size, 3)).shape == (1, 7)
    assert small("perceiver_io_flow")(torch.rand(1, 2, *size, 3)).shape == (1, *size, 2)


# lucidrains/perceiver-pytorch


def test_sharing_shares_what_the_paper_shares() -> None:
    """lucidrains: the paper's tied configuration has 230M parameters, of 44.9M."""
    with torch.device("meta"):
        sizes = {
            name: sum(parameter.numel() for parameter in create_model(name).parameters()) / 1e6
            for name in ("perceiver_pixels", "perceiver_pixels_unshared")
        }
    assert sizes["perceiver_pixels"] == pytest.approx(44.9, abs=0.05)
    assert sizes["perceiver_pixels_unshared"] == pytest.approx(8 * 6 * 6.30 + 8 * 2.78 + 1.55, abs=0.2)


def test_latents_start_small() -> None:
    """lucidrains: latents start with a standard deviation of 1."""
    torch.manual_seed(0)
    model = create_model("perceiver_io_pixels_nano")
    latents = model.latents.detach()
    assert float(latents.std()) == pytest.approx(0.02 * 0.88, rel=0.02)
    assert float(latents.abs().max()) <= 0.04


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_masks_may_be_integers(dtype: torch.dtype) -> None:
    """lucidrains: integer masks fail."""
    model = small("perceiver_io_language")
    ids = example(model.config)
    keep = torch.arange(13).expand(2, -1) < 9
    assert torch.equal(model(ids, keep.to(dtype)), model(ids, keep))


# DeepMind


@torch.inference_mode()
def test_a_clip_is_encoded_once_for_all_pieces() -> None:
    """DeepMind: encodes again for each of 128 pieces."""
    model = small("perceiver_io_multimodal")
    counts = {"encode": 0, "process": 0, "decode": 0}
    layers = {"encode": model.encoders[0], "process": model.blocks[0][0], "decode": model.decoder.layer}
    for name, layer in layers.items():

        def count(*_: object, name: str = name) -> None:
            counts[name] += 1

        layer.register_forward_hook(count)
    model(example(model.config), piece=8)
    assert counts == {"encode": 1, "process": 1, "decode": 1 + 128 // 8 + 1}


@torch.inference_mode()
def test_a_sub_set_of_queries_lies_where_the_whole_lies() -> None:
    """DeepMind: queries follow another grid than the encoder's, up to 1 - 2 / n; the released weights expect it."""
    model = small("perceiver_io_multimodal")
    encoded = model.encode(example(model.config))
    rows = torch.tensor([127, 0, 64])
    whole = model.decode(encoded)["image"].flatten(1, 3)
    close(model.decode(encoded, rows={"image": rows})["image"], whole[:, rows])
    output = model.config.outputs[1]
    resolution, bands = output.positions.max_resolution, output.positions.num_bands
    queries = model.decoder.output("image").queries(rows, encoded.latents, None)[0]
    close(queries, fourier_features(output.shape, bands, resolution, rows, grid="open"))
    assert not torch.allclose(queries, fourier_features(output.shape, bands, resolution, rows), atol=1e-3)


def test_flow_is_in_pixels() -> None:
    """DeepMind's readers multiply by 20, transformers' forget to: the scale belongs to the model."""
    pixels = small("perceiver_io_flow")
    units = Perceiver(dataclasses.replace(pixels.config, outputs=(FlowOutputConfig(scale=1.0),)))
    units.load_state_dict(pixels.state_dict())
    frames = example(pixels.config)
    with torch.inference_mode():
        close(pixels(frames), 20 * units.eval()(frames))
