"""A model of flow that begins by comparing pixels: it finds whole and half shifts before any training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from anybyte.config import ClassOutputConfig, FlowInputConfig, FourierPositionsConfig, PerceiverConfig
from anybyte.models.inputs import frame_patches
from anybyte.models.perceiver import Perceiver
from anybyte.models.starts.matching import displacements
from anybyte.recipes.small.flow import MODEL


def matching(**changes: object) -> PerceiverConfig:
    """The small recipe's model with another input."""
    (part,) = MODEL.inputs
    return replace(MODEL, inputs=(replace(part, **changes),))  # type: ignore[arg-type]


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    """A frame with detail of a few pixels, [1, H, W, 3] in [-1, 1]."""
    torch.manual_seed(seed)
    frame = F.avg_pool2d(torch.randn(1, 3, height + 2, width + 2), 3, stride=1)
    return (frame / frame.abs().max()).movedim(1, -1)


@pytest.fixture(scope="module")
def model() -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(MODEL).eval()


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -1), (-2, 1), (2, 2)])
@torch.inference_mode()
def test_whole_shifts_are_found_without_training(model: Perceiver, shift: tuple[int, int]) -> None:
    frame = noise(32, 40)
    moved = torch.roll(frame, (shift[1], shift[0]), (1, 2))
    flow = model(torch.stack([frame, moved], dim=1))
    assert isinstance(flow, Tensor)
    error = (flow - torch.tensor(shift, dtype=torch.float32)).norm(dim=-1)[:, 8:-8, 8:-8]
    assert error.mean() < 0.3


@torch.inference_mode()
def test_other_brightness_does_not_change_what_is_found(model: Perceiver) -> None:
    frame = 0.7 * noise(32, 40)
    moved = torch.roll(frame, (1, 1), (1, 2))
    plain, brighter = (model(torch.stack([frame, moved + level], dim=1)) for level in (0.0, 0.2))
    assert isinstance(plain, Tensor)
    assert isinstance(brighter, Tensor)
    torch.testing.assert_close(plain[:, 8:-8, 8:-8], brighter[:, 8:-8, 8:-8], atol=0.01, rtol=0)


def test_everything_can_be_learnt(model: Perceiver) -> None:
    frames = torch.stack([noise(16, 20, 1), noise(16, 20, 2)], dim=1)
    flow = Perceiver(MODEL)(frames)
    assert isinstance(flow, Tensor)
    flow.square().sum().backward()


def test_displacements_are_x_and_y() -> None:
    found = displacements(
        FlowInputConfig(reach=1, positions=FourierPositionsConfig(num_bands=1, max_resolution=(4, 4)))
    )
    assert found[:4].tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 0]]
    assert len(found) == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": 40}, "hidden is 40, below 50"),
        ({"hidden": None, "around": 1}, "hidden is 0, below 50"),
        ({"num_channels": 26}, "num_channels is 26, below 27"),
        ({"patch": 3}, "a patch of at least 5 pixels a side"),
        ({"reach": 3}, "of 49 displacements"),
        ({"patch": 4}, "has patch=4: it must be odd"),
        ({"around": 0}, "has around=0"),
        ({"hidden": None}, "has around=5, but no hidden layer"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceiver(matching(**changes))


def test_it_is_for_flow_alone() -> None:
    with pytest.raises(ValueError, match="is for models of flow"):
        Perceiver(replace(MODEL, outputs=(ClassOutputConfig(num_classes=3),)))


def test_values_around_are_spread() -> None:
    frames = torch.arange(25.0).view(1, 5, 5, 1)
    around = frame_patches(frames, 3, 2)[0, 2, 2]
    assert around.tolist() == [0, 2, 4, 10, 12, 14, 20, 22, 24]
    assert frame_patches(frames, 3, 2)[0, 0, 0].tolist() == [0, 0, 0, 0, 0, 2, 0, 10, 12]


@pytest.mark.parametrize("spread", [1, 2])
def test_gradients_are_finite_in_bfloat16(spread: int) -> None:
    """torch 2.13's convolution has none on a CPU where it is spread; the layer is a product for that reason."""
    torch.manual_seed(0)
    model = Perceiver(matching(spread=spread))
    frames = torch.stack([noise(24, 32, 1), noise(24, 32, 2)], dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        flow = model(frames)
    assert isinstance(flow, Tensor)
    flow.float().norm(dim=-1).mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
