"""Flow from coarse to fine: warping, sizes, and passes of an estimate that is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from anybyte.config import FlowInputConfig, FourierPositionsConfig, FramesConfig, ReadingConfig
from anybyte.models.passes import (
    flow_as_read,
    flow_by_passes,
    frames_reading,
    median_flow,
    misfit,
    overlap_of,
    resize_flow,
    resize_frames,
    scaled,
    tile_of,
    warp,
)
from tests.models.perceivers import small


def ramp(height: int, width: int) -> Tensor:
    """A frame whose colours are the place itself: [1, H, W, 3]."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    return torch.stack([x, y, x + y], dim=-1)[None]


def test_a_warp_shows_what_is_where_the_flow_leads() -> None:
    frame = ramp(6, 9)
    flow = torch.tensor([1.5, -0.5]).expand(1, 6, 9, 2)
    warped = warp(frame, flow)
    torch.testing.assert_close(warped[:, 1:, :7, 0], frame[:, 1:, :7, 0] + 1.5)
    torch.testing.assert_close(warped[:, 1:, :7, 1], frame[:, 1:, :7, 1] - 0.5)
    assert warped[0, 3, 8, 0] == 8  # the edge goes on
    torch.testing.assert_close(warp(frame, torch.zeros(1, 6, 9, 2)), frame)
    assert warp(torch.ones(1, 1, 1, 3), torch.full((1, 1, 1, 2), 4.0)).tolist() == [[[[1, 1, 1]]]]


def test_a_smaller_frame_is_the_mean_of_its_pixels_and_its_flow_is_shorter() -> None:
    frames = torch.rand(2, 2, 8, 12, 3)
    smaller = resize_frames(frames, (4, 6))
    torch.testing.assert_close(smaller, frames.unflatten(2, (4, 2)).unflatten(4, (6, 2)).mean((3, 5)))
    assert resize_frames(frames, (8, 12)) is frames
    flow = torch.tensor([4.0, 2.0]).expand(2, 8, 12, 2)
    torch.testing.assert_close(resize_flow(flow, (4, 6)), torch.tensor([2.0, 1.0]).expand(2, 4, 6, 2))
    torch.testing.assert_close(resize_flow(flow, (8, 36))[..., 0], torch.full((2, 8, 36), 12.0))
    assert scaled(436, 1024, 0.25) == (109, 256)
    assert scaled(3, 3, 0.01) == (1, 1)


def test_passes_add_up() -> None:
    """An estimate that sees half of what is left: each pass halves the error."""
    frames = torch.cat([ramp(32, 48), ramp(32, 48)])[None]
    frames[:, 1, ..., 0] -= 8  # what is at x in the first frame is at x + 8 in the second
    sizes = []

    def half(frames: Tensor) -> Tensor:
        sizes.append(tuple(frames.shape[2:4]))
        scale = 48 / frames.shape[3]
        left = (frames[:, 0] - frames[:, 1])[..., 0] / scale
        return torch.stack([left / 2, torch.zeros_like(left)], dim=-1)

    for scales, expected in (((1.0,), 4), ((1.0, 1.0), 6), ((0.5, 1.0, 1.0), 7)):
        flow = flow_by_passes(half, frames, scales)
        assert flow.shape == (1, 32, 48, 2)
        torch.testing.assert_close(flow[0, 8:-8, 8:32, 0], torch.full((16, 24), float(expected)))
    assert sizes == [(32, 48)] * 3 + [(16, 24)] + [(32, 48)] * 2
    with pytest.raises(ValueError, match="one pass at least"):
        flow_by_passes(half, frames, ())


def test_a_pass_may_be_by_tiles_or_over_the_whole() -> None:
    seen: list[tuple[int, ...]] = []

    def still(frames: Tensor) -> Tensor:
        seen.append(tuple(frames.shape[2:4]))
        return torch.zeros(*frames[:, 0].shape[:3], 2)

    frames = torch.rand(1, 2, 20, 40, 3)
    flow_as_read(still, frames, FramesConfig(scales=(0.5, 1.0)), (16, 24))
    assert seen == [(10, 20)] + [(16, 24)] * 4  # frames made smaller than a tile are read as they are
    seen.clear()
    flow_as_read(still, frames[:, :, :8], FramesConfig(), (16, 24))
    assert set(seen) == {(16, 24)}  # in one pass they are padded, as the paper's model wants it
    seen.clear()
    flow_as_read(still, frames, FramesConfig(scales=(0.5, 1.0), tiles=False), (16, 24))
    assert seen == [(10, 20), (20, 40)]
    with pytest.raises(ValueError, match="smaller than a tile"):
        flow_as_read(still, frames, FramesConfig(scales=(0.5,)), (16, 24), "refuse")


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (40, 21)])
@pytest.mark.parametrize("side", [3, 5])
def test_the_median_is_that_of_the_square_around(size: tuple[int, int], side: int) -> None:
    flow = torch.randn(2, *size, 2, generator=torch.Generator().manual_seed(side))
    found, half = median_flow(flow, side), side // 2
    assert found.shape == flow.shape
    for y, x in ((0, 0), (size[0] // 2, size[1] // 2), (size[0] - 1, size[1] - 1)):
        rows = [min(max(y + step, 0), size[0] - 1) for step in range(-half, half + 1)]
        columns = [min(max(x + step, 0), size[1] - 1) for step in range(-half, half + 1)]
        around = flow[:, rows][:, :, columns].flatten(1, 2)
        torch.testing.assert_close(found[:, y, x], around.median(dim=1).values, atol=0, rtol=0)
    assert median_flow(flow, 1) is flow


def test_what_few_pixels_say_does_not_last() -> None:
    def one_is_wrong(frames: Tensor) -> Tensor:
        flow = torch.ones(*frames[:, 0].shape[:3], 2)
        flow[:, 4, 5] = 99
        return flow

    frames = torch.zeros(1, 2, 9, 12, 3)
    assert flow_by_passes(one_is_wrong, frames, (1.0,)).max() == 99
    assert flow_by_passes(one_is_wrong, frames, (1.0,), median=3).unique().tolist() == [1]


def test_frames_fit_whatever_their_brightness() -> None:
    frame = torch.rand(1, 16, 20, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(misfit(frame, frame + 0.3, 5), torch.zeros(1, 16, 20), atol=1e-6, rtol=0)
    other = frame.clone()
    other[0, 8, 10] += 1
    differs = misfit(frame, other, 5)
    assert differs[0, 8, 10] > 0.01
    assert differs[0, 0, 0] == 0
    assert float(differs[0, 8, 10]) > float(differs[0, 8, 14])


def test_a_pass_that_makes_things_worse_is_dropped() -> None:
    """A frame that moves by two pixels; the estimate knows that on the left and is wrong on the right."""
    frame = torch.rand(1, 24, 40, 3, generator=torch.Generator().manual_seed(1))
    frames = torch.stack([frame, torch.roll(frame, 2, dims=2)], dim=1)
    answer = torch.zeros(1, 24, 40, 2)
    answer[:, :, :20, 0] = 2
    answer[:, :, 20:, 1] = 3
    flow = flow_by_passes(lambda _: answer, frames, (1.0,), check=5)
    assert flow[0, :, 4:16, 0].eq(2).all()
    share = flow[0, :, 24:, 1].eq(0).float().mean()
    assert share > 0.4  # nothing fits there: which of the two answers fits better is left to chance
    still = torch.stack([frame, frame], dim=1)
    assert not flow_by_passes(lambda _: answer, still, (1.0, 1.0), check=5).any()
    assert flow_by_passes(lambda _: answer, still, (1.0,)).any()


def test_a_folder_keeps_how_frames_are_read(tmp_path: Path) -> None:
    positions = FourierPositionsConfig(num_bands=2, max_resolution=(10, 70))
    model = small("perceiver_io_flow", inputs=(FlowInputConfig(positions=positions),))
    assert tile_of(model.config) == (10, 70)
    assert overlap_of((10, 70)) == 5
    assert overlap_of((368, 496)) == 20
    model.save_pretrained(tmp_path)
    assert frames_reading(tmp_path) == FramesConfig()
    reading = FramesConfig(scales=(0.25, 0.5), tiles=False, median=5, check=3)
    model.save_pretrained(tmp_path, reading=reading)
    assert frames_reading(tmp_path) == reading
    model.save_pretrained(tmp_path, reading=ReadingConfig(format="png"))
    with pytest.raises(ValueError, match="this one reads frames"):
        frames_reading(tmp_path)
    (tmp_path / "reading.json").write_text('{"kind": "frames", "scales": [2.0]}')
    with pytest.raises(ValueError, match=r"reading.scales are above 0 and up to 1, got 2"):
        frames_reading(tmp_path)
