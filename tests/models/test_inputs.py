"""What Perceivers read: patches, spectrograms, series, points, and positions of every kind."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    ClassOutputConfig,
    ConvStemConfig,
    FourierPositionsConfig,
    ImageInputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    MelInputConfig,
    PerceiverConfig,
    PointsInputConfig,
    TokenInputConfig,
    VideoInputConfig,
)
from anybyte.models import positions
from anybyte.models.perceiver import Perceiver
from anybyte.models.positions import fourier_features, grid_features, point_features
from anybyte.models.zoo import model_config


def fourier(*resolution: int, bands: int = 2) -> FourierPositionsConfig:
    return FourierPositionsConfig(num_bands=bands, max_resolution=resolution)


def build(*inputs: Any, seed: int = 0) -> Perceiver:
    torch.manual_seed(seed)
    config = PerceiverConfig(
        inputs=inputs,
        outputs=(ClassOutputConfig(num_classes=3, query_channels=8),),
        num_latents=4,
        latent_dim=8,
        num_blocks=1,
        num_layers=1,
        process=AttentionConfig(num_heads=2),
    )
    return Perceiver(config).eval()


def close(actual: Any, expected: Any, atol: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, atol=atol, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("config", "shape", "grid", "width"),
    [
        (ImageInputConfig(shape=(8, 12), patch=(4, 4), positions=fourier(2, 3)), (8, 12, 3), (2, 3), 48 + 10),
        (ImageInputConfig(shape=(8, 12), num_channels=1, positions=None), (8, 12, 1), (8, 12), 1),
        (
            ImageInputConfig(
                shape=(8, 12),
                patch=(2, 2),
                stem=LinearStemConfig(num_channels=5),
                positions=LearnedPositionsConfig(num_channels=7),
            ),
            (8, 12, 3),
            (4, 6),
            5 + 7,
        ),
        (
            VideoInputConfig(shape=(4, 8, 8), patch=(2, 8, 8), positions=fourier(2, 1, 1)),
            (4, 8, 8, 3),
            (2, 1, 1),
            384 + 15,
        ),
        (
            VideoInputConfig(shape=(2, 4, 4), patch=(1, 2, 2), positions=LearnedPositionsConfig(num_channels=6)),
            (2, 4, 4, 3),
            (2, 2, 2),
            12 + 6,
        ),
        (AudioInputConfig(num_samples=64, patch=16, positions=fourier(4)), (64,), (4,), 16 + 5),
        (AudioInputConfig(num_samples=64, patch=16, positions=None), (64,), (4,), 16),
        (MelInputConfig(shape=(6, 4), positions=fourier(6, 4)), (6, 4), (6, 4), 1 + 10),
        (MelInputConfig(shape=(6, 4), patch=(1, 4), positions=fourier(6, 1)), (6, 4), (6, 1), 4 + 10),
        (ArrayInputConfig(num_channels=3, shape=(12,), patch=(4,), positions=fourier(3)), (12, 3), (3,), 12 + 5),
        (
            ArrayInputConfig(num_channels=3, shape=(12,), positions=LearnedPositionsConfig(num_channels=2)),
            (12, 3),
            (12,),
            3 + 2,
        ),
        (ArrayInputConfig(num_channels=3, shape=(2, 3), positions=None), (2, 3, 3), (2, 3), 3),
        (ArrayInputConfig(num_channels=3), (9, 3), (9,), 3),
        (PointsInputConfig(num_channels=2, positions=fourier(4, 4, 4)), (9, 5), (9,), 2 + 15),
    ],
)
def test_tokens_and_their_widths(config: Any, shape: Any, grid: Any, width: int) -> None:
    model = build(config)
    encoded = model.encode(torch.rand(2, *shape) * 2 - 1)
    assert encoded.grids == {config.name: grid}
    assert encoded.tokens is not None
    assert encoded.tokens.shape == (2, math.prod(grid), width)
    assert model.inputs.num_channels == width
    assert model.inputs.parts[config.name].grid in (grid, None)


def test_patches_are_space_to_depth() -> None:
    """The place in the patch comes before the channel: (dt, dh, dw, c)."""
    video = torch.rand(1, 2, 4, 4, 3)
    tokens = build(VideoInputConfig(shape=(2, 4, 4), patch=(2, 2, 2), positions=None)).encode(video).tokens
    assert tokens is not None
    assert torch.equal(tokens[0, 1], video[0, :, 0:2, 2:4].flatten())
    assert torch.equal(tokens[0, 2], video[0, :, 2:4, 0:2].flatten())


@torch.inference_mode()
@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (ImageInputConfig(shape=(4, 4), patch=(2, 2), positions=LearnedPositionsConfig(num_channels=3)), (8, 6, 3)),
        (ArrayInputConfig(num_channels=1, shape=(6,), positions=LearnedPositionsConfig(num_channels=3)), (9, 1)),
        (
            VideoInputConfig(shape=(2, 4, 4), patch=(1, 2, 2), positions=LearnedPositionsConfig(num_channels=3)),
            (3, 4, 6, 3),
        ),
        (ArrayInputConfig(num_channels=1, shape=(6,), patch=(3,), positions=fourier(2)), (9, 1)),
    ],
)
def test_other_sizes_than_the_configs(config: Any, shape: Any) -> None:
    assert build(config)(torch.rand(1, *shape)).isfinite().all()


@torch.inference_mode()
def test_points_are_placed_where_they_lie() -> None:
    """On the places of a grid, points have the features of the grid; elsewhere those of their own coordinates."""
    config = fourier(6, 10, bands=3)
    axes = [torch.linspace(-1, 1, length) for length in (4, 5)]
    points = torch.cartesian_prod(*axes)
    close(point_features(points, 3, (6, 10)), fourier_features((4, 5), 3, (6, 10)), atol=1e-4)
    model = build(PointsInputConfig(num_channels=1, positions=config))
    cloud = torch.rand(2, 9, 3) * 2 - 1
    close(model(cloud[:, torch.randperm(9)]), model(cloud))
    assert not torch.allclose(model(cloud + 0.01), model(cloud), atol=1e-6)


@torch.inference_mode()
def test_clouds_of_different_sizes() -> None:
    model = build(PointsInputConfig(positions=fourier(4, 4, 4)))
    clouds = [torch.rand(1, size, 3) * 2 - 1 for size in (9, 4)]
    padded = torch.full((2, 9, 3), torch.nan)
    keep = torch.zeros(2, 9, dtype=torch.int64)
    for row, cloud in enumerate(clouds):
        padded[row, : cloud.shape[1]], keep[row, : cloud.shape[1]] = cloud[0], 1
    close(model(padded.nan_to_num(0.7), keep), torch.cat([model(cloud) for cloud in clouds]))


def test_the_papers_arrays() -> None:
    """Tokens and widths of section 3 and appendix tables: AudioSet, ModelNet40."""
    with torch.device("meta"):
        audioset = Perceiver(model_config("perceiver_io_audioset"))
        assert audioset.inputs.num_channels == 487
        assert {name: math.prod(part.grid) for name, part in audioset.inputs.parts.items()} == {
            "audio": 480,
            "image": 12_544,
        }
        mel = Perceiver(model_config("perceiver_io_audioset_mel"))
        assert math.prod(mel.inputs.parts["audio"].grid) == 4_800
        points = Perceiver(model_config("perceiver_modelnet40"))
        assert (points.inputs.num_channels, points.config.num_cross_attends) == (387, 2)
        assert points.config.inputs[0].positions.max_resolution == (2240, 2240, 2240)


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "none"])
def test_positions_of_tokens(kind: Any) -> None:
    model = build(TokenInputConfig(vocabulary=9, num_channels=8, max_length=12, positions=kind))
    ids = torch.tensor([[1, 2, 3, 4]])
    same = torch.allclose(model(ids), model(ids.flip(1)), atol=1e-6)
    assert same == (kind == "none")


def test_features_of_grids_are_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    config = fourier(4, 6)
    with torch.inference_mode():
        first = grid_features((4, 6), config, torch.device("cpu"), torch.float32)
    assert not first.is_inference()
    assert grid_features((4, 6), config, torch.device("cpu"), torch.float32) is first
    assert grid_features((4, 6), config, torch.device("cpu"), torch.float64) is not first
    for size in range(2, 40):
        grid_features((size, 3), config, torch.device("cpu"), torch.float32)
    assert positions._kept_features.cache_info().currsize <= 4
    monkeypatch.setattr(positions, "_CACHED_FEATURES", 100)
    large = grid_features((4, 7), config, torch.device("cpu"), torch.float32)
    assert grid_features((4, 7), config, torch.device("cpu"), torch.float32) is not large
    assert torch.equal(large, fourier_features((4, 7), 2, (4, 6)))


def test_what_inference_keeps_serves_training() -> None:
    model = build(ImageInputConfig(shape=(5, 4), positions=fourier(5, 4)))
    with torch.inference_mode():
        model(torch.rand(1, 5, 4, 3))
    model(torch.rand(1, 5, 4, 3)).sum().backward()
    assert model.latents.grad is not None


def test_inputs_that_no_padding_fits_are_not_padded() -> None:
    """Equal widths and no room asked for: nothing is learned that has no size."""
    two = (ArrayInputConfig(name="a", num_channels=4), ArrayInputConfig(name="b", num_channels=4))
    model = build(*two)
    bare = Perceiver(dataclasses.replace(model.config, input_padding=0))
    assert set(model.inputs.padding) == {"a", "b"}
    assert not bare.inputs.padding
    assert bare({"a": torch.rand(1, 2, 4), "b": torch.rand(1, 3, 4)}).shape == (1, 3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ImageInputConfig(shape=(8, 9), patch=(4, 4), positions=None), r"'image' of shape \(8, 9\) cannot be cut"),
        (ImageInputConfig(shape=(8, 8), patch=(0, 4), positions=None), r"patches of \(0, 4\)"),
        (
            ImageInputConfig(shape=(8, 8), patch=(2, 2), stem=ConvStemConfig(), positions=None),
            r"patches of \(2, 2\) and a convolution",
        ),
        (ArrayInputConfig(num_channels=1, shape=(8,), patch=(2, 2)), r"'array' has 1 axes, but patches of \(2, 2\)"),
        (ArrayInputConfig(num_channels=1, positions=LearnedPositionsConfig(num_channels=2)), "need a shape"),
        (
            ArrayInputConfig(num_channels=1, shape=(2,) * 4, positions=LearnedPositionsConfig(num_channels=2)),
            "'array' has 4 axes",
        ),
        (ArrayInputConfig(num_channels=1, shape=(2, 2), positions=fourier(2)), "'array' has 2 axes, its positions 1"),
        (ArrayInputConfig(num_channels=1, shape=(4,), mask_probability=0.5), "'array' is the only one"),
    ],
)
def test_a_config_that_contradicts_itself_is_named(config: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config)


def test_only_inputs_with_a_shape_can_be_hidden() -> None:
    for probability, config in ((0.5, ArrayInputConfig(num_channels=1, mask_probability=0.5)), (2.0, None)):
        part = config or LabelInputConfig(name="b", num_classes=2, mask_probability=probability)
        with pytest.raises(ValueError, match=rf"must lie in \[0, 1\] and needs a shape, got {probability}"):
            build(part, LabelInputConfig(num_classes=3))


@pytest.mark.parametrize(
    ("config", "x", "message"),
    [
        (MelInputConfig(shape=(6, 4), positions=None), torch.zeros(1, 6, 4, 1), r"must be \[batch, frames, mels\]"),
        (PointsInputConfig(positions=fourier(4, 4)), torch.zeros(1, 5, 3), r"must be \[batch, points, 2\]"),
        (ArrayInputConfig(num_channels=2, shape=(4,), patch=(2,)), torch.zeros(1, 5, 2), "cannot be cut into patches"),
        (ArrayInputConfig(num_channels=2), torch.zeros(1, 5, 3), r"must be \[batch, entities, 2\]"),
        (ArrayInputConfig(num_channels=2), torch.zeros(1, 5, 2, dtype=torch.int64), "must be a floating tensor"),
        (
            TokenInputConfig(positions="none", max_length=4, vocabulary=9, num_channels=8),
            torch.zeros(1, 5, dtype=torch.int64),
            "max_length=4",
        ),
    ],
)
def test_what_does_not_fit_is_named(config: Any, x: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config)(x)
