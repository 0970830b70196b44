"""Latents that start with a place, and models that start as a block transform."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from anybyte.config import (
    AttentionConfig,
    AudioInputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    LatentGridConfig,
    PerceiverConfig,
    VideoInputConfig,
)
from anybyte.models import attention
from anybyte.models.inputs.patches import from_patches, to_patches
from anybyte.models.perceiver import Perceiver
from anybyte.models.starts.transform import low_frequencies


def config(transform: bool = False, cells: tuple[int, int, int] = (1, 2, 3), **changes: Any) -> PerceiverConfig:
    """Two frames of 8x12 in patches of 2x4x4 (1x2x3 of them), and 48 samples in patches of 12."""
    video = FourierPositionsConfig(num_bands=6, max_resolution=(2, 4, 6))
    audio = FourierPositionsConfig(num_bands=6, max_resolution=(8,))
    fields: dict[str, Any] = {
        "inputs": (
            AudioInputConfig(num_samples=48, patch=12, positions=audio, scale=2.0),
            VideoInputConfig(shape=(2, 8, 12), patch=(2, 4, 4), positions=video),
        ),
        "outputs": (
            GridOutputConfig(
                name="audio", shape=(48,), num_channels=1, patch=(12,), positions=audio, flatten=True, scale=0.5
            ),
            GridOutputConfig(name="image", shape=(2, 8, 12), num_channels=3, patch=(2, 4, 4), positions=video),
        ),
        "num_latents": math.prod(cells) + 4,
        "latent_dim": 40,
        "num_blocks": 1,
        "num_layers": 2,
        "encode": AttentionConfig(qk_channels=64, v_channels=48),
        "process": AttentionConfig(num_heads=4),
        "decode": AttentionConfig(qk_channels=64, v_channels=48),
        "query_padding": 48,
        "decoder_channels": 48,
        "latent_grids": (
            LatentGridConfig(input="audio", output="audio", shape=(4,), transform=transform),
            LatentGridConfig(input="image", output="image", shape=cells, transform=transform),
        ),
    }
    return PerceiverConfig(**(fields | changes))


def clips(seed: int = 0, batch: int = 3) -> dict[str, Tensor]:
    """Smooth ones: noise that was blurred."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(batch, 3, 2, 3, 4, generator=generator)
    video = torch.nn.functional.interpolate(rough, (2, 8, 12), mode="trilinear").movedim(1, -1)
    sound = torch.nn.functional.interpolate(
        torch.randn(batch, 1, 6, generator=generator) * 0.2, 48, mode="linear", align_corners=True
    )[:, 0]
    return {"image": video, "audio": sound}


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The weights of every attention that is computed, [batch, heads, queries, keys]."""
    found: list[Tensor] = []
    plain = attention.attend

    def attend(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None = None, dropout: float = 0.0) -> Tensor:
        found.append((q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1).detach())
        return plain(q, k, v, keys, dropout)

    monkeypatch.setattr(attention, "attend", attend)
    return found


@pytest.mark.parametrize("transform", [False, True])
def test_latents_begin_by_reading_their_own_tokens(scores: list[Tensor], transform: bool) -> None:
    torch.manual_seed(0)
    model = Perceiver(config(transform))
    model(clips())
    encode, audio, video = scores[0], scores[-2], scores[-1]
    own = torch.eye(10)
    assert (encode * own).sum(-1).min() > 0.8, "one token each, in the order of the latents"
    assert (audio[..., :4] * torch.eye(4)).sum(-1).min() > 0.8
    assert (video[..., 4:] * torch.eye(6)).sum(-1).min() > 0.8


def test_a_cell_may_hold_several_tokens(scores: list[Tensor]) -> None:
    model = Perceiver(config(cells=(1, 2, 1)))  # three tokens beside each other are a cell
    model(clips())
    inside = torch.arange(6).div(3, rounding_mode="floor")[None] == torch.arange(2)[:, None]
    assert (scores[0][0, 0, 4:, 4:] * inside).sum(-1).min() > 0.8
    assert (scores[-1][0, 0, :, 4:] * inside.T).sum(-1).min() > 0.8


def test_a_model_begins_as_a_blurred_copy() -> None:
    torch.manual_seed(0)
    given = clips()
    found = Perceiver(config(transform=True))(given)
    assert isinstance(found, dict)
    for name, values in given.items():
        mean = values.flatten(1).mean(1).view(-1, *[1] * (values.dim() - 1))
        error, spread = (found[name] - values).square().mean(), (values - mean).square().mean()
        assert error < 0.4 * spread, name


def test_low_frequencies_are_orthonormal_and_begin_with_the_mean() -> None:
    patterns = low_frequencies((2, 3, 4), 10)
    assert patterns.shape == (10, 24)
    assert torch.allclose(patterns @ patterns.T, torch.eye(10, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(patterns[0], torch.full((24,), 24**-0.5, dtype=torch.float64))
    assert low_frequencies((2, 2), 99).shape == (4, 4)


def test_patches_go_and_come_back() -> None:
    x = torch.randn(2, 4, 6, 8, 3)
    assert torch.equal(from_patches(to_patches(x, "x", (2, 3, 4)), (2, 3, 4)), x)


def test_patches_of_an_output_are_the_rows_that_are_asked_for() -> None:
    model = Perceiver(config()).eval()
    given = clips()
    whole = model(given)
    rows = torch.tensor([[0, 4], [5, 1], [2, 3]])
    some = model(given, rows={"image": rows})
    assert isinstance(whole, dict)
    assert isinstance(some, dict)
    assert whole["image"].shape == given["image"].shape
    assert whole["audio"].shape == given["audio"].shape
    cut = to_patches(whole["image"], "image", (2, 4, 4)).flatten(1, 3)
    expected = cut.gather(1, rows[..., None].expand(-1, -1, cut.shape[2]))
    assert some["image"].shape == (3, 2, 96)
    assert torch.allclose(some["image"], expected, atol=1e-5)


def test_scales_are_those_of_the_signal() -> None:
    """Twice as loud a sound with half the scale is the same to the model, and twice as loud behind it."""
    torch.manual_seed(0)
    model = Perceiver(config()).eval()
    audio, video = model.config.inputs
    sound, picture = model.config.outputs
    other = Perceiver(
        dataclasses.replace(
            model.config,
            inputs=(dataclasses.replace(audio, scale=1.0), video),  # type: ignore[call-arg]
            outputs=(dataclasses.replace(sound, scale=1.0), picture),  # type: ignore[call-arg]
        )
    ).eval()
    other.load_state_dict(model.state_dict())
    given = clips()
    one, two = model(given), other(given | {"audio": given["audio"] * 2})
    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert torch.allclose(one["image"], two["image"], atol=1e-5)
    assert torch.allclose(one["audio"] * 2, two["audio"], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_latents": 9}, "10 latents and 9 channels of places; the model has 9 latents"),
        ({"latent_dim": 8}, "the model has 10 latents of 8 channels"),
        ({"encode": AttentionConfig(qk_channels=4, v_channels=48)}, "encode.qk_channels gives a head 4 channels"),
        ({"decode": AttentionConfig(qk_channels=4, v_channels=48)}, "decode.qk_channels gives a head 4 channels"),
        ({"input_padding": 1}, "input_padding of at least 3"),
        ({"query_padding": 2}, "query_padding of at least 3"),
        ({"cells": (1, 4, 3)}, r"does not divide the \(1, 2, 3\) places"),
        ({"transform": True, "cells": (1, 2, 1)}, "with transform need a latent for each patch"),
        (
            {"transform": True, "decode": AttentionConfig(qk_channels=64, v_channels=8)},
            "decode.v_channels has room for 8",
        ),
        ({"transform": True, "query_padding": 8}, "query_padding has room for"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceiver(config(**changes))


def test_an_output_in_patches_that_do_not_fill_it_is_named() -> None:
    output = dataclasses.replace(config().outputs[1], patch=(2, 3, 4))  # type: ignore[call-arg]
    plain = config()
    with pytest.raises(ValueError, match=r"output 'image' of shape \(2, 8, 12\) cannot be answered in patches of"):
        Perceiver(dataclasses.replace(plain, outputs=(plain.outputs[0], output), latent_grids=()))
