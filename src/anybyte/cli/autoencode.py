"""`anybyte autoencode CLIP -o OUT`: a piece of video with sound, through a few latents and back."""

from __future__ import annotations

import argparse
import sys

from anybyte.cli import printable
from anybyte.cli.computing import add_options, check_out, predictor_for
from anybyte.cli.progress import step_bar
from anybyte.files.video import VideoWriter, check_video, probe, write_clip
from anybyte.predictor import ClipPredictor

MODEL = "perceiver_io_multimodal"

EXAMPLES = """\
examples:
  anybyte autoencode clip.mp4 -o again.mp4 --model models/autoencoder
  anybyte autoencode clip.webm --start 2.5 -o again.mp4 --precision bf16
  anybyte autoencode clip.mp4 -o again.mp4 --piece 2048       with less memory

The paper's model reads 16 frames of 224x224 pixels at 25 a second, and 30,720 samples of sound at 48 kHz; that of
`anybyte train small/autoencoder` 16 frames of 64x64, and 10,240 samples at 16 kHz. Frames are picked by their time
stamps; the square in their middle is taken; sound is mixed to one channel."""


def main(args: list[str]) -> int:
    """Writes the reconstruction and prints how near it is."""
    options = _parser().parse_args(args)
    check_out(options.out, options.clip)
    VideoWriter(options.out, 2, 2, 1)  # refuses what it could not write later
    if options.top < 1:
        raise ValueError(f"--top is {options.top}, expected at least 1")
    check_video(options.clip)
    predictor = predictor_for(options, ClipPredictor, MODEL)
    predictor.piece = options.piece
    if not (options.silence or probe(options.clip).has_sound):
        raise ValueError(
            f"{options.clip} is a video without sound, and the model reads both: --silence takes it as silent"
        )
    clip = predictor.read(options.clip, options.start, silence=True)
    for note in clip.notes:
        print(f"anybyte: {printable(note)}", file=sys.stderr)
    with step_bar() as progress:
        again = predictor.autoencode(clip, top=options.top, progress=progress)
    write_clip(options.out, again.clip)
    frames, height, width = again.video.shape[:3]
    print(
        f"{printable(options.out)}: {frames} frames of {width}x{height} and {len(again.audio):,} samples; "
        f"video {again.psnr:.1f} dB and sound {again.audio_psnr:.1f} dB from {printable(options.clip)}"
    )
    for label, score in again.top:
        print(f"  {printable(label)} ({score:.3f})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anybyte autoencode",
        description="Send a piece of a video and its sound through an autoencoder, and write what comes out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clip", metavar="CLIP", help="a video in any usual format")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="the video to write: .mp4, .mov or .mkv")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="from this second on (0)")
    parser.add_argument("--silence", action="store_true", help="take a video without sound as silent (else an error)")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="labels to name, if the model has any (5)")
    add_options(parser)
    return parser
