"""`anybyte flow A B`: where each pixel of a picture goes in the next one, or all along a video."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from anybyte.cli import printable
from anybyte.cli.computing import add_options, check_out, predictor_for
from anybyte.cli.progress import progress_bar, step_bar
from anybyte.files.flow import Flow, colour_flow, flow_format, write_flow
from anybyte.files.video import VideoWriter, video_frames
from anybyte.predictor import FlowPredictor
from anybyte.predictor.flow import load_pair
from anybyte.reading.frames import check_frames

MODEL = "perceiver_io_flow"

EXAMPLES = """\
examples:
  anybyte flow frame1.png frame2.png -o flow.flo --model models/flow
  anybyte flow frame1.png frame2.png -o flow.png          a picture: the hue says where to, the saturation how far
  anybyte flow frame1.png frame2.png -o flow.png --kitti  16-bit PNG as KITTI's benchmark wants it
  anybyte flow clip.mp4 --start 2 --frames 25 -o flow.mp4

  anybyte flow frame1.png frame2.png -o flow.flo --model runs/flow_small --scales 0.0625,0.125,0.25,0.5

Pictures may have any size. How a model looks at them is kept in its folder: by overlapping tiles of the size that it is
made for, or whole; once, or in several passes from coarse to fine, each of which mends the one before."""


def main(args: list[str]) -> int:
    """Prints how far the pixels move, and writes the flow where it is asked to."""
    options = _parser().parse_args(args)
    if len(options.frame) > 2:
        raise ValueError(f"{len(options.frame)} files given: flow is between two pictures, or along one video")
    return _of_pair(options) if len(options.frame) == 2 else _of_video(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte flow",
        description="Optical flow in pixels: of two pictures, or between the frames of a video.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("frame", nargs="+", metavar="A [B]", help="two pictures, or one video")
    parser.add_argument("-o", "--out", metavar="FILE", help=".flo or .png; for a video .mp4, .mov or .mkv")
    parser.add_argument("--kitti", action="store_true", help="write the .png as KITTI does, 1/64 pixel in 16 bits")
    parser.add_argument("--small", choices=("pad", "refuse"), default="pad", help="pictures below a tile's size (pad)")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="of a video: from this second on (0)")
    parser.add_argument("--frames", type=int, metavar="N", help="of a video: this many frames (all)")
    parser.add_argument(
        "--scales", metavar="S,S", help="sizes of the passes, relative to the pictures (those of the model)"
    )
    add_options(parser)
    return parser


def _of_pair(options: argparse.Namespace) -> int:
    if options.start or options.frames is not None:
        raise ValueError("--start and --frames are for a video, not for two pictures")
    form = flow_format(options.out) if options.out else None  # mistakes first: a model takes its time
    if options.kitti:
        if form != "colour":
            raise ValueError("--kitti writes a .png: name one with -o")
        form = "kitti"
    check_out(options.out, *options.frame)
    first, second = load_pair(*options.frame)
    predictor = _predictor(options)
    with step_bar() as progress:
        flow = predictor.estimate(first, second, options.small, progress)
    if options.out:
        write_flow(options.out, flow, form)
    print(f"{printable(options.out or options.frame[0])}: {_summary(flow)}")
    return 0


def _of_video(options: argparse.Namespace) -> int:
    """Flows are kept in a file until the longest vector is known, so that one colour means one speed in all frames."""
    (path,) = options.frame
    if not options.out:
        raise ValueError(f"{path} alone is taken for a video: name the video to write with -o, or a second picture")
    if options.kitti:
        raise ValueError("--kitti is for two pictures")
    if options.frames is not None and options.frames < 2:
        raise ValueError(f"--frames is {options.frames}, expected at least 2")
    check_out(options.out, path)
    frames = itertools.islice(video_frames(path, options.start), options.frames)
    head = list(itertools.islice(frames, 2))
    if len(head) < 2:
        last = head[0][0]
        if options.start > 0 and last > 0:
            raise ValueError(f"{path} shows its last frame at {last:.3g} s: no flow follows --start {options.start:g}")
        raise ValueError(f"{path} has one frame: flow takes two pictures, or a video of several")
    height, width = head[0][1].shape[:2]
    VideoWriter(options.out, height, width, 1)  # refuses what it could not write later
    predictor = _predictor(options)
    times: list[float] = []
    longest = 0.0
    with tempfile.TemporaryFile() as kept:
        with _frame_bar(options.frames) as advance:
            before: NDArray[np.uint8] | None = None
            for time, pixels in itertools.chain(head, frames):
                if before is not None:
                    vectors = predictor.estimate(before, pixels, options.small).vectors
                    longest = max(longest, float(np.hypot(vectors[..., 0], vectors[..., 1]).max()))
                    kept.write(vectors.astype("<f2").tobytes())  # good enough for colours
                before = pixels
                times.append(time)
                advance(len(times))
        kept.seek(0)
        with VideoWriter(options.out, height, width, (len(times) - 1) / (times[-1] - times[0])) as writer:
            for _ in times[1:]:
                vectors = np.frombuffer(kept.read(4 * height * width), "<f2").reshape(height, width, 2)
                writer.add_frame(colour_flow(Flow(vectors.astype(np.float32)), longest or None))
    print(f"{printable(options.out)}: {len(times) - 1} flows, the longest vector has {longest:.2f} pixels")
    return 0


def _predictor(options: argparse.Namespace) -> FlowPredictor:
    predictor = predictor_for(options, FlowPredictor, MODEL)
    predictor.piece = options.piece
    if options.scales is not None:
        predictor.reading = dataclasses.replace(predictor.reading, scales=_sizes(options.scales))
        check_frames(predictor.reading)
    return predictor


def _sizes(text: str) -> tuple[float, ...]:
    """The numbers of `--scales`."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise ValueError(f"--scales is {text!r}, expected numbers with commas between, such as 0.125,0.25") from error


@contextmanager
def _frame_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of frames done."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    with progress_bar(total, "frames") as advance:
        yield advance


def _summary(flow: Flow) -> str:
    height, width = flow.vectors.shape[:2]
    u, v = flow.vectors[..., 0], flow.vectors[..., 1]
    length = np.hypot(u, v)
    return (
        f"{width}x{height} pixels move by {length.mean():.2f} on average and {length.max():.2f} at most; "
        f"the mean vector is ({u.mean():+.2f}, {v.mean():+.2f})"
    )
