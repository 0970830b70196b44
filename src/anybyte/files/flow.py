"""Optical flow as files: Middlebury's .flo, KITTI's 16-bit PNG, and pictures in the colours of Middlebury's wheel."""

from __future__ import annotations

import functools
import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from anybyte.files.images import encode_image

FlowFormat: TypeAlias = Literal["flo", "kitti", "colour"]
FLOW_FORMATS: tuple[FlowFormat, ...] = ("flo", "kitti", "colour")
"""`flo`: float32, any flow. `kitti`: 16-bit PNG in steps of 1/64 of a pixel. `colour`: an 8-bit PNG to look at."""

_FLO_MAGIC = b"PIEH"
_UNKNOWN, _UNKNOWN_FROM = 1e10, 1e9
"""What .flo files hold where the flow is not known, and the least that is read as such."""
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_KITTI_ZERO, _KITTI_STEPS = 2**15, 64
_KITTI_RANGE = (-_KITTI_ZERO / _KITTI_STEPS, (2**16 - 1 - _KITTI_ZERO) / _KITTI_STEPS)
_MAX_PIXELS = 2**28
"""More than any camera has: a damaged header should not ask for all of the memory."""

_WHEEL = (("red", 15), ("yellow", 6), ("green", 4), ("cyan", 11), ("blue", 13), ("magenta", 6))
"""Middlebury's colour wheel: its corners, and the steps from each to the next. Eyes tell reds apart best."""
_CORNERS = {
    "red": (1, 0, 0),
    "yellow": (1, 1, 0),
    "green": (0, 1, 0),
    "cyan": (0, 1, 1),
    "blue": (0, 0, 1),
    "magenta": (1, 0, 1),
}


@dataclass(frozen=True, eq=False)
class Flow:
    """Where each pixel of a frame goes: pixel (x, y) is at (x + u, y + v) in the next frame.

    Attributes:
        vectors: float32 [H, W, 2], (u, v) in pixels, to the right and down; 0 where it is not known.
        valid: bool [H, W], where it is known. None: everywhere.
    """

    vectors: NDArray[np.float32]
    valid: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or self.vectors.shape[2] != 2 or self.vectors.dtype != np.float32:
            raise ValueError(f"a flow is float32 [H, W, 2], not {self.vectors.dtype} {list(self.vectors.shape)}")
        if self.valid is not None and (self.valid.shape != self.vectors.shape[:2] or self.valid.dtype != np.bool_):
            raise ValueError(
                f"where a flow of {list(self.vectors.shape[:2])} pixels is valid is bool of that shape, "
                f"not {self.valid.dtype} {list(self.valid.shape)}"
            )

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool [H, W]: where the flow is known, whether or not all of it is."""
        return np.ones(self.vectors.shape[:2], dtype=np.bool_) if self.valid is None else self.valid


def read_flow(path: str | os.PathLike[str]) -> Flow:
    """The flow in a .flo file or a KITTI PNG, told by its first bytes.

    Raises:
        ValueError: it is neither, or damaged; the message names the file.
        OSError: it cannot be read.
    """
    return decode_flow(Path(path).read_bytes(), os.fspath(path))


def write_flow(path: str | os.PathLike[str], flow: Flow, format: FlowFormat | None = None) -> None:
    """Writes a flow.

    Args:
        path: where; a file that is there is replaced.
        flow: what.
        format: None: by the ending of the path, `.flo` or `.png` (a picture in colours).

    Raises:
        ValueError: an unknown ending, or a flow that the format cannot hold.
        OSError: the file cannot be written.
    """
    Path(path).write_bytes(encode_flow(flow, format or flow_format(path)))


def flow_format(path: str | os.PathLike[str]) -> FlowFormat:
    """The format that the ending of a path stands for: `flo`, or `colour` for .png.

    Raises:
        ValueError: another ending.
    """
    formats: dict[str, FlowFormat] = {".flo": "flo", ".png": "colour"}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise ValueError(f"{os.fspath(path)}: a flow is written as .flo or .png, not {suffix or 'without an ending'}")
    return formats[suffix]


def encode_flow(flow: Flow, format: FlowFormat) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: no such format, or a flow that it cannot hold.
    """
    if format == "flo":
        return _encode_flo(flow)
    if format == "kitti":
        return _encode_kitti(flow)
    if format == "colour":
        return encode_image(colour_flow(flow), "png")
    raise ValueError(f"unknown flow format {format!r}; known are {', '.join(FLOW_FORMATS)}")


def decode_flow(data: bytes, name: str = "") -> Flow:
    """The flow in the bytes of a .flo file or a KITTI PNG. `name` stands in messages.

    Raises:
        ValueError: it is neither, or damaged.
    """
    name = name or "these bytes"
    if not data:
        raise ValueError(f"{name} is empty: expected a .flo file or a KITTI flow PNG")
    if data.startswith(_FLO_MAGIC):
        return _decode_flo(data, name)
    if data.startswith(_PNG_MAGIC):
        return _decode_kitti(data, name)
    raise ValueError(f"{name} is not a flow: it starts neither with PIEH (.flo) nor as a PNG (KITTI)")


def colour_flow(flow: Flow, largest: float | None = None) -> NDArray[np.uint8]:
    """A flow as a picture, uint8 [H, W, 3]: the hue says where to, the saturation how far; unknown pixels are black.

    Args:
        flow: what to draw.
        largest: length in pixels that gets the full colour; longer ones are darker. None: that of the longest vector.

    Raises:
        ValueError: `largest` is not positive.
    """
    if largest is not None and not largest > 0:
        raise ValueError(f"largest is {largest}, expected a positive number of pixels")
    u, v = np.where(flow.known[..., None], flow.vectors, 0).astype(np.float64).transpose(2, 0, 1)
    length = np.hypot(u, v)
    length /= (largest or length.max(initial=0)) or 1
    # Middlebury's convention: red is to the right; then, clockwise on the screen, yellow, green, cyan, blue, magenta.
    wheel = _wheel()
    place = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    lower = np.floor(place).astype(np.intp)
    share = (place - lower)[..., None]
    hue = (1 - share) * wheel[lower] + share * wheel[(lower + 1) % len(wheel)]
    inside = (length <= 1)[..., None]
    colours = np.where(inside, 1 - length[..., None] * (1 - hue), 0.75 * hue)
    picture: NDArray[np.uint8] = (np.floor(255 * colours) * flow.known[..., None]).astype(np.uint8)
    return picture


@functools.cache
def _wheel() -> NDArray[np.float64]:
    """The colours of the wheel, [55, 3] in [0, 1]."""
    names = [name for name, _ in _WHEEL]
    rows = []
    for (name, steps), following in zip(_WHEEL, [*names[1:], names[0]], strict=True):
        start, end = np.array(_CORNERS[name]), np.array(_CORNERS[following])
        # In steps of whole 8-bit values, as the original computes them.
        share = np.floor(255 * np.arange(steps) / steps)[:, None] / 255
        rows.append(start + share * (end - start))
    return np.concatenate(rows)


def _encode_flo(flow: Flow) -> bytes:
    height, width = flow.vectors.shape[:2]
    vectors = np.where(flow.known[..., None], flow.vectors, np.float32(_UNKNOWN))
    if not np.isfinite(vectors).all():
        raise ValueError("a flow has vectors that are not finite numbers: mark them as not valid")
    return _FLO_MAGIC + struct.pack("<ii", width, height) + vectors.astype("<f4").tobytes()


def _decode_flo(data: bytes, name: str) -> Flow:
    if len(data) < 12:
        raise ValueError(
            f"{name} is cut short: a .flo file has 12 bytes before its vectors, this one {len(data)} in all"
        )
    width, height = struct.unpack_from("<ii", data, 4)
    if width < 1 or height < 1 or width * height > _MAX_PIXELS:
        raise ValueError(f"{name} is damaged: its header says {width} x {height} pixels")
    expected = 12 + 8 * width * height
    if len(data) != expected:
        raise ValueError(f"{name} has {len(data):,} bytes; a .flo of {width} x {height} pixels has {expected:,}")
    vectors = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)
    # Not a number is as unknown as too large a one.
    known: NDArray[np.bool_] = np.abs(vectors).max(axis=2) < _UNKNOWN_FROM
    if known.all():
        return Flow(vectors)
    return Flow(np.where(known[..., None], vectors, np.float32(0)), known)


def _encode_kitti(flow: Flow) -> bytes:
    """16-bit RGB: u and v in 1/64 pixel around 2^15, and 1 where the flow is known."""
    known = flow.known
    vectors = np.where(known[..., None], flow.vectors, 0)
    low, high = _KITTI_RANGE
    if not ((vectors >= low) & (vectors <= high)).all():  # not a number is in no range
        worst = vectors.flat[np.argmax(np.where(np.isfinite(vectors), np.abs(vectors), np.inf))]
        raise ValueError(f"a KITTI PNG holds {low:g} to {high:g} pixels, not {worst:g}: write a .flo file")
    steps = np.rint(vectors.astype(np.float64) * _KITTI_STEPS).astype(np.int64) + _KITTI_ZERO
    channels = np.concatenate([np.where(known[..., None], steps, 0), known[..., None]], axis=2)
    # Pillow would cut 16 bits a channel to 8.
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(channels, dtype=np.uint16), format="rgb48le")
    encoder = av.VideoCodecContext.create("png", "w")
    encoder.height, encoder.width = known.shape
    encoder.pix_fmt, encoder.time_base = "rgb48be", Fraction(1)
    packets = [*encoder.encode(frame.reformat(format="rgb48be")), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def _decode_kitti(data: bytes, name: str) -> Flow:
    if len(data) < 26 or data[24:26] != b"\x10\x02":
        raise ValueError(
            f"{name} is a PNG, but not one of 16 bits in red, green and blue as KITTI's flow is; "
            "a picture of a flow in colours cannot be read back"
        )
    if not data.rstrip(b"\0").endswith(b"IEND\xaeB`\x82"):
        raise ValueError(f"{name} is cut short: the PNG does not end as one")
    try:
        decoder = av.VideoCodecContext.create("png", "r")
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.error.FFmpegError as error:
        raise ValueError(f"{name} is a damaged PNG: {error.strerror}") from error
    if not frames:
        raise ValueError(f"{name} is a damaged PNG: there is no picture in it")
    channels = frames[0].to_ndarray(format="rgb48le")
    known = channels[..., 2] > 0
    vectors = (channels[..., :2].astype(np.float32) - _KITTI_ZERO) / _KITTI_STEPS
    return Flow(np.where(known[..., None], vectors, np.float32(0)), known)
