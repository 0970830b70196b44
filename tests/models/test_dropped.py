"""Inputs that a model learns to do without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from anybyte.config import (
    AudioInputConfig,
    ClassOutputConfig,
    FourierPositionsConfig,
    MelInputConfig,
    PerceiverConfig,
    VideoInputConfig,
)
from anybyte.models.perceiver import Perceiver

VIDEO = VideoInputConfig(
    shape=(2, 4, 4), patch=(1, 2, 2), positions=FourierPositionsConfig(num_bands=2, max_resolution=(2, 2, 2))
)
SOUND = AudioInputConfig(num_samples=32, patch=8, positions=FourierPositionsConfig(num_bands=2, max_resolution=(4,)))
CONFIG = PerceiverConfig(
    inputs=(SOUND, VIDEO),
    outputs=(ClassOutputConfig(num_classes=3, query_channels=8),),
    num_latents=4,
    latent_dim=8,
    num_blocks=1,
    num_layers=1,
    process=replace(PerceiverConfig(inputs=()).process, num_heads=2),
)


def model_with(share: float) -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(replace(CONFIG, inputs=(SOUND, replace(VIDEO, drop_probability=share))))


def arrays() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"audio": torch.randn(64, 32), "image": torch.rand(64, 2, 4, 4, 3)}


def test_a_dropped_input_is_an_absent_one() -> None:
    model, given = model_with(1.0).train(), arrays()
    torch.testing.assert_close(model(given), model({"audio": given["audio"]}))


def test_in_use_nothing_is_dropped() -> None:
    given = arrays()
    torch.testing.assert_close(model_with(1.0).eval()(given), model_with(0.0).eval()(given))


def test_examples_lose_all_of_it_or_nothing_as_often_as_asked_for() -> None:
    model, given = model_with(0.3).train(), arrays()
    dropped, whole = model({"audio": given["audio"]}), model_with(0.0)(given)
    count = 0
    for _ in range(20):
        found = model(given)
        is_dropped = torch.isclose(found, dropped, atol=1e-6).all(1)
        is_whole = torch.isclose(found, whole, atol=1e-6).all(1)
        assert (is_dropped ^ is_whole).all()
        count += int(is_dropped.sum())
    assert 0.25 < count / 1280 < 0.35


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_named(share: float) -> None:
    with pytest.raises(ValueError, match=r"drop_probability of input 'image' must lie in \[0, 1\] .* got"):
        model_with(share)


def test_the_only_input_cannot_be_dropped() -> None:
    mel = MelInputConfig(
        shape=(4, 4), positions=FourierPositionsConfig(num_bands=2, max_resolution=(4, 4)), drop_probability=0.5
    )
    with pytest.raises(ValueError, match="drop_probability is for models of several inputs; 'audio' is the only one"):
        Perceiver(replace(CONFIG, inputs=(mel,)))
