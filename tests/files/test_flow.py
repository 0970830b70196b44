"""Flow files: what is written comes back, and damage is named."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from anybyte.files.flow import Flow, colour_flow, decode_flow, encode_flow, flow_format, read_flow, write_flow
from anybyte.files.images import decode_image

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@st.composite
def flows(draw: st.DrawFn, longest: float) -> Flow:
    """Flows with vectors up to `longest`, all known or some."""
    height, width = draw(SHAPES)
    values = st.floats(-longest, longest, width=32)
    vectors = draw(arrays.arrays(np.float32, (height, width, 2), elements=values))
    valid = draw(st.none() | arrays.arrays(np.bool_, (height, width)))
    return Flow(vectors if valid is None else np.where(valid[..., None], vectors, np.float32(0)), valid)


def assert_same(found: Flow, expected: Flow, within: float = 0) -> None:
    assert np.array_equal(found.known, expected.known)
    assert np.abs(found.vectors - expected.vectors).max(initial=0) <= within


@given(flows(9.9e8))
@settings(deadline=None)
def test_flo_comes_back_to_the_bit(flow: Flow) -> None:
    assert_same(decode_flow(encode_flow(flow, "flo")), flow)


@given(flows(511.875))
@settings(deadline=None)
def test_kitti_comes_back_to_half_a_step(flow: Flow) -> None:
    found = decode_flow(encode_flow(flow, "kitti"))
    assert_same(found, flow, within=1 / 128 + 1e-6)
    assert_same(decode_flow(encode_flow(found, "kitti")), found)


def png16(channels: NDArray[np.uint16]) -> bytes:
    """A 16-bit PNG, written from its specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = channels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_kitti_is_as_the_format_says() -> None:
    channels = np.array([[[32768, 32768, 1], [32768 + 64, 32768 - 32, 1], [40000, 1, 0]]], np.uint16)
    flow = decode_flow(png16(channels))
    assert flow.vectors.tolist() == [[[0, 0], [1, -0.5], [0, 0]]]
    assert flow.known.tolist() == [[True, True, False]]


def test_flo_is_as_the_format_says() -> None:
    data = b"PIEH" + struct.pack("<ii4f", 2, 1, 1.5, -2, 1e10, 1e10)
    flow = decode_flow(data)
    assert flow.vectors.tolist() == [[[1.5, -2], [0, 0]]]
    assert flow.known.tolist() == [[True, False]]
    assert encode_flow(flow, "flo") == data


def test_what_is_not_a_number_in_a_flo_is_not_known() -> None:
    flow = decode_flow(b"PIEH" + struct.pack("<ii4f", 2, 1, float("nan"), 0, 1, 2))
    assert flow.known.tolist() == [[False, True]]
    assert np.isfinite(flow.vectors).all()


@pytest.mark.parametrize(
    ("vector", "colour"),
    [((1, 0), (255, 0, 0)), ((0, 0), (255, 255, 255)), ((0.5, 0), (255, 127, 127)), ((2, 0), (191, 0, 0))],
)
def test_colours_of_single_vectors(vector: tuple[float, float], colour: tuple[int, int, int]) -> None:
    flow = Flow(np.array([[vector]], np.float32))
    assert tuple(colour_flow(flow, largest=1)[0, 0]) == colour


def test_the_wheel_turns_from_red_over_yellow_to_blue() -> None:
    """Clockwise on the screen, where y grows downwards."""
    down, left, up = (
        colour_flow(Flow(np.array([[v]], np.float32)))[0, 0].astype(int) for v in ((0, 1), (-1, 0), (0, -1))
    )
    assert down[0] > 200 > 150 < down[1]
    assert down[2] == 0
    assert left[1] > 150 < left[2]
    assert left[0] == 0
    assert up[2] == 255
    assert up[0] > 50 > up[1]


def test_unknown_is_black_and_does_not_set_the_scale() -> None:
    vectors = np.array([[[1, 0], [0, 0]]], np.float32)
    valid = np.array([[True, False]])
    assert colour_flow(Flow(vectors, valid)).tolist() == [[[255, 0, 0], [0, 0, 0]]]
    assert colour_flow(Flow(np.zeros((1, 2, 2), np.float32), valid)).tolist() == [[[255] * 3, [0] * 3]]


def test_paths_say_the_format(tmp_path: Path) -> None:
    flow = Flow(np.array([[[1, 2], [3, 4]]], np.float32))
    write_flow(tmp_path / "a.flo", flow)
    assert_same(read_flow(tmp_path / "a.flo"), flow)
    write_flow(tmp_path / "k.png", flow, "kitti")
    assert_same(read_flow(tmp_path / "k.png"), flow)
    write_flow(tmp_path / "c.PNG", flow)
    assert np.array_equal(decode_image((tmp_path / "c.PNG").read_bytes()).pixels, colour_flow(flow))
    with pytest.raises(ValueError, match=r"c\.PNG is a PNG, but not one of 16 bits"):
        read_flow(tmp_path / "c.PNG")
    with pytest.raises(ValueError, match=r"a\.jpg: a flow is written as \.flo or \.png, not \.jpg"):
        flow_format("a.jpg")


FLO = encode_flow(Flow(np.ones((3, 4, 2), np.float32)), "flo")
KITTI = encode_flow(Flow(np.ones((30, 40, 2), np.float32)), "kitti")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.flo is empty"),
        (b"GIF89a", "x.flo is not a flow: it starts neither with PIEH"),
        (FLO[:10], "x.flo is cut short: a .flo file has 12 bytes before its vectors, this one 10"),
        (FLO[:-1], r"x.flo has 107 bytes; a .flo of 4 x 3 pixels has 108"),
        (FLO + b"\0", "x.flo has 109 bytes"),
        (b"PIEH" + struct.pack("<ii", -1, 5), "its header says -1 x 5 pixels"),
        (b"PIEH" + struct.pack("<ii", 2**30, 2**30), "x.flo is damaged"),
        (KITTI[:-20], "x.flo is cut short: the PNG does not end as one"),
        (KITTI[:60] + bytes(20) + KITTI[80:], "x.flo is a damaged PNG"),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_flow(data, "x.flo")


def test_what_a_format_cannot_hold_is_named() -> None:
    with pytest.raises(ValueError, match=r"a KITTI PNG holds -512 to 511.984 pixels, not 600"):
        encode_flow(Flow(np.array([[[1, 600]]], np.float32)), "kitti")
    with pytest.raises(ValueError, match="not finite"):
        encode_flow(Flow(np.array([[[1, np.nan]]], np.float32)), "flo")
    with pytest.raises(ValueError, match="unknown flow format 'jpeg'"):
        encode_flow(Flow(np.zeros((1, 1, 2), np.float32)), "jpeg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a flow is float32 \[H, W, 2\], not float64 \[1, 1, 2\]"):
        Flow(np.zeros((1, 1, 2)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is bool of that shape"):
        Flow(np.zeros((1, 1, 2), np.float32), np.ones((2, 1), np.bool_))
    with pytest.raises(ValueError, match="largest is 0"):
        colour_flow(Flow(np.zeros((1, 1, 2), np.float32)), 0)


@pytest.mark.shared
def test_real_flows_are_read(shared: Path) -> None:
    archive = zipfile.ZipFile(shared / "data/optical_flow/sintel_pairs.zip")
    sintel = decode_flow(archive.read("sintel/flow/market_5/frame_0002.flo"))
    assert sintel.vectors.shape == (436, 1024, 2)
    assert np.hypot(*sintel.vectors.transpose(2, 0, 1)).mean() == pytest.approx(32, abs=0.5)
    archive = zipfile.ZipFile(shared / "data/optical_flow/kitti_pair.zip")
    kitti = decode_flow(archive.read("kitti/flow_gt.png"))
    assert kitti.vectors.shape == (375, 1242, 2)
    assert np.hypot(*kitti.vectors[kitti.known].T).mean() == pytest.approx(51, abs=0.5)
    assert_same(decode_flow(encode_flow(kitti, "kitti")), kitti)
