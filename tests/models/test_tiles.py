"""Flow by tiles: which tiles there are, and that nothing shows where they meet."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from anybyte.config import FlowInputConfig, FourierPositionsConfig
from anybyte.models.inputs import frame_patches
from anybyte.models.positions import fourier_features
from anybyte.models.tiles import OVERLAP, fitted, flow_by_tiles, tile_grid, tile_weights, tiles_of
from tests.models.perceivers import small

TILE = (368, 496)
OWN_GOLDEN = Path(__file__).parents[1] / "golden" / "deepmind_perceiver"
NUMBERS = "deepmind_outputs.safetensors"


@pytest.fixture(scope="module")
def deepmind(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    """What DeepMind's code computed: of the folder given with --golden if it holds that, or our own."""
    given = Path(request.config.getoption("--golden") or OWN_GOLDEN)
    return load_file((given if (given / NUMBERS).exists() else OWN_GOLDEN) / NUMBERS)


def frame_like(estimate_of: Tensor) -> Tensor:
    """A flow that says what the first frame has at each pixel, so that it is known for any tile."""
    return estimate_of[:, 0, ..., :2]


def test_the_grid_is_deepminds(deepmind: dict[str, Tensor]) -> None:
    cases = {name: value for name, value in deepmind.items() if name.startswith("tiles.")}
    assert cases
    for name, corners in cases.items():
        height, width = map(int, name.removeprefix("tiles.").split("x"))
        assert tile_grid(height, width, TILE) == [tuple(corner) for corner in corners.tolist()], name


def test_patches_and_fourier_features_are_deepminds(deepmind: dict[str, Tensor]) -> None:
    torch.testing.assert_close(frame_patches(deepmind["patches.input"]), deepmind["patches.output"], atol=0, rtol=0)
    for name, expected in deepmind.items():
        if name.startswith("fourier."):
            _, shape, bands, _, resolution = name.removeprefix("fourier.").split("_")
            size = tuple(int(side) for side in shape.split("x"))
            highest = tuple(int(side) for side in resolution.split("x"))
            features = fourier_features(size, int(bands.removeprefix("bands")), highest)
            torch.testing.assert_close(features, expected, atol=1e-5, rtol=0)


@given(st.integers(8, 90), st.integers(9, 90), st.integers(0, 7))
def test_tiles_are_distinct_lie_inside_and_overlap(height: int, width: int, overlap: int) -> None:
    tile = (8, 9)
    corners = tiles_of(height, width, tile, overlap)
    assert len(set(corners)) == len(corners)
    for axis, size in enumerate((height, width)):
        starts = sorted({corner[axis] for corner in corners})
        assert starts[0] == 0
        assert starts[-1] == size - tile[axis]
        assert all(after - before <= tile[axis] - overlap for before, after in itertools.pairwise(starts))
    assert set(corners) <= set(tile_grid(height, width, tile, overlap))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4))
@settings(deadline=None)
def test_what_is_known_of_each_pixel_comes_back_by_tiles(height: int, width: int, overlap: int) -> None:
    torch.manual_seed(height * 41 + width)
    frames = torch.randn(2, 2, height, width, 3)
    flow = flow_by_tiles(frame_like, frames, (6, 11), overlap)
    torch.testing.assert_close(flow, frames[:, 0, ..., :2])


@pytest.mark.parametrize("size", [(24, 32), (20, 32), (24, 5), (1, 1)])
@torch.inference_mode()
def test_one_tile_is_the_model_alone(size: tuple[int, int]) -> None:
    tile = (24, 32)
    positions = FourierPositionsConfig(num_bands=3, max_resolution=tile)
    model = small("perceiver_io_flow", inputs=(FlowInputConfig(positions=positions),))
    frames = torch.rand(1, 2, *size, 3)
    padded = torch.zeros(1, 2, *tile, 3)
    padded[:, :, : size[0], : size[1]] = frames
    flow = flow_by_tiles(model, frames, tile, 10)  # type: ignore[arg-type]
    torch.testing.assert_close(flow, model(padded)[:, : size[0], : size[1]], atol=0, rtol=0)


@pytest.mark.parametrize(
    ("size", "count"), [((24, 32), 1), ((44, 32), 2), ((25, 33), 4), ((44, 56), 4), ((60, 90), 12)]
)
def test_no_tile_is_computed_twice_and_none_is_larger(size: tuple[int, int], count: int) -> None:
    seen = []

    def estimate(frames: Tensor) -> Tensor:
        seen.append(tuple(frames.shape))
        return frame_like(frames)

    flow_by_tiles(estimate, torch.zeros(1, 2, *size, 3), (24, 32), 4)
    assert seen == [(1, 2, 24, 32, 3)] * count


@pytest.mark.parametrize(
    ("size", "seen"), [((24, 32), {(24, 32)}), ((10, 20), {(10, 20)}), ((10, 50), {(10, 32)}), ((40, 7), {(24, 7)})]
)
def test_tiles_may_be_as_small_as_the_frame(size: tuple[int, int], seen: set[tuple[int, int]]) -> None:
    sizes = set()

    def estimate(frames: Tensor) -> Tensor:
        sizes.add(tuple(frames.shape[2:4]))
        return frame_like(frames)

    frames = torch.rand(1, 2, *size, 3)
    torch.testing.assert_close(flow_by_tiles(estimate, frames, (24, 32), 10, "whole"), frames[:, 0, ..., :2])
    assert sizes == seen
    tile, overlap = fitted((24, 32), 10, *size)
    assert {tile} == seen
    assert overlap <= min(tile) // 2


def test_seams_are_smooth() -> None:
    """Tiles that disagree by one pixel of flow blend in steps of a 21st, where the frame's own edge is not near."""
    answers = iter(range(100))

    def estimate(frames: Tensor) -> Tensor:
        return torch.full((1, *TILE, 2), float(next(answers) % 2))

    flow = flow_by_tiles(estimate, torch.zeros(1, 2, TILE[0], 2 * TILE[1] - OVERLAP, 3), TILE)
    steps = flow[:, OVERLAP:-OVERLAP].diff(dim=2).abs().max()
    assert 0 < steps <= 1 / (OVERLAP + 1) + 1e-6
    assert flow[0, 180, 0, 0] == 0
    assert flow[0, 180, -1, 0] == 1


def test_weights_are_distances_to_the_edge() -> None:
    expected = [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 3, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
    assert tile_weights((5, 5)).tolist() == expected
    assert float(tile_weights((4, 7)).max()) == 2


def test_mistakes_are_named() -> None:
    frames = torch.zeros(1, 2, 20, 40, 3)
    with pytest.raises(ValueError, match=r"20x40 pixels \(height x width\) is smaller than a tile of 24x32"):
        flow_by_tiles(frame_like, frames, (24, 32), 4, "refuse")
    with pytest.raises(ValueError, match="small is 'crop', expected 'pad', 'refuse' or 'whole'"):
        flow_by_tiles(frame_like, frames, (24, 32), 4, "crop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overlap by 0 to 23 of them, not 24"):
        flow_by_tiles(frame_like, frames, (24, 32), 24)
