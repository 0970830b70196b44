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
    assert set(seen) == {(16, 24)}
    assert len(seen) == 1 + 4
    seen.clear()
    flow_as_read(still, frames, FramesConfig(scales=(0.5, 1.0), tiles=False), (16, 24))
    assert seen == [(10, 20), (20, 40)]
    with pytest.raises(ValueError, match="smaller than a tile"):
        flow_as_read(still, frames, FramesConfig(scales=(0.5,)), (16, 24), "refuse")


def test_a_folder_keeps_how_frames_are_read(tmp_path: Path) -> None:
    positions = FourierPositionsConfig(num_bands=2, max_resolution=(10, 70))
    model = small("perceiver_io_flow", inputs=(FlowInputConfig(positions=positions),))
    assert tile_of(model.config) == (10, 70)
    assert overlap_of((10, 70)) == 5
    assert overlap_of((368, 496)) == 20
    model.save_pretrained(tmp_path)
    assert frames_reading(tmp_path) == FramesConfig()
    reading = FramesConfig(scales=(0.25, 0.5), tiles=False)
    model.save_pretrained(tmp_path, reading=reading)
    assert frames_reading(tmp_path) == reading
    model.save_pretrained(tmp_path, reading=ReadingConfig(format="png"))
    with pytest.raises(ValueError, match="this one reads frames"):
        frames_reading(tmp_path)
    (tmp_path / "reading.json").write_text('{"kind": "frames", "scales": [2.0]}')
    with pytest.raises(ValueError, match=r"reading.scales are above 0 and up to 1, got 2"):
        frames_reading(tmp_path)
