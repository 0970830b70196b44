"""A clip through an autoencoder: video, sound and label out of one array of latents.

predictor = anybyte.load("models/autoencoder")
again = predictor.autoencode("clip.mp4", start=2.0)
again.video, again.audio, again.logits
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anybyte.config import AudioInputConfig, ClassOutputConfig, ClipConfig, GridOutputConfig, VideoInputConfig
from anybyte.files.video import SAMPLE_RATE, Clip, check_video, probe, read_clip
from anybyte.models.contradictions import num_places
from anybyte.models.perceiver import Perceiver
from anybyte.predictor.compute import PIECE, Compute, Precision, Progress, check_piece, watched
from anybyte.tasks.clips import check_reading_fits


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What an autoencoder makes of a clip.

    Attributes:
        source: the clip as the model read it.
        video: float32 [frames, H, W, 3]; 0 is black and 1 is white, but nothing keeps values between.
        audio: float32 [N], nominally in [-1, 1].
        logits: float32 [classes]; None for a model without a label.
        top: the most probable labels and their probabilities, best first; empty where the model's folder names none.
    """

    source: Clip
    video: NDArray[np.float32]
    audio: NDArray[np.float32]
    logits: NDArray[np.float32] | None
    top: tuple[tuple[str, float], ...] = field(default=())

    @property
    def clip(self) -> Clip:
        """Video and sound, cut to what a file can hold."""
        frames = np.rint(self.video.clip(0, 1) * 255).astype(np.uint8)
        return Clip(frames, self.audio.clip(-1, 1), self.source.frame_rate, self.source.rate)

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio of the video in dB; infinite if it is the same."""
        return psnr(self.video.clip(0, 1), self.source.frames.astype(np.float32) / np.float32(255))

    @property
    def audio_psnr(self) -> float:
        """That of the sound, relative to a peak of 1."""
        return psnr(self.audio, self.source.samples)


def psnr(answer: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """10 log10(1 / mean square error), in dB; infinite if both are the same."""
    error = float(np.mean((answer - truth) ** 2, dtype=np.float64))
    return 10 * math.log10(1 / error) if error else math.inf


def reads_clips(model: Perceiver) -> bool:
    """Whether a model is an autoencoder of video with sound."""
    video = {part.name for part in model.config.inputs if isinstance(part, VideoInputConfig)}
    audio = {part.name for part in model.config.inputs if isinstance(part, AudioInputConfig)}
    grids = {part.name for part in model.config.outputs if isinstance(part, GridOutputConfig)}
    return len(video) == len(audio) == 1 and video | audio == grids


class ClipPredictor(Compute):
    """An autoencoder of video, sound and label in use (Jaegle et al. 2022, section 4.3).

    Attributes:
        labels: names of the classes, or None.
        piece: queries decoded at once.
        frames: that a clip has.
        size: height and width of a frame.
        samples: of a clip's sound.
        rate: samples a second: what the model's folder says, or 48,000.
    """

    model: Perceiver

    def __init__(
        self,
        model: Perceiver,
        labels: tuple[str, ...] | None = None,
        device: str | torch.device = "cpu",
        precision: Precision | None = None,
        piece: int = PIECE,
        reading: ClipConfig | None = None,
    ) -> None:
        super().__init__(model, device, precision)
        (video,) = (part for part in model.config.inputs if isinstance(part, VideoInputConfig))
        (audio,) = (part for part in model.config.inputs if isinstance(part, AudioInputConfig))
        self.labels, self.piece = labels, check_piece(piece)
        self.frames, *size = video.shape
        self.size = (size[0], size[1])
        self.samples = audio.num_samples
        if reading is not None:
            check_reading_fits(model.config, reading)
        self.rate = SAMPLE_RATE if reading is None else reading.sound.rate
        self._video, self._audio = video.name, audio.name

    @property
    def frame_rate(self) -> float:
        """Frames a second: those of a clip in the time of its sound."""
        return self.frames * self.rate / self.samples

    def read(self, path: str | os.PathLike[str], start: float = 0.0, silence: bool = False) -> Clip:
        """A clip as the model reads it, from a file.

        Args:
            path: of a video.
            start: seconds after the first frame.
            silence: whether silence may stand for the sound of a video that has none.

        Raises:
            ValueError: not a video, one without sound, or too short a one; the message names it.
            OSError: it cannot be read.
        """
        check_video(path)
        if not silence and not probe(path).has_sound:
            raise ValueError(f"{os.fspath(path)} is a video without sound, and the model reads both")
        return read_clip(path, start, self.frames, self.size, self.frame_rate, self.rate)

    def autoencode(
        self,
        clip: Clip | str | os.PathLike[str],
        start: float = 0.0,
        top: int = 5,
        progress: Progress | None = None,
    ) -> Reconstruction:
        """The clip that the model decodes from the latents of this one. The label is not shown to it, but guessed.

        It is encoded once; video and sound are decoded in pieces.

        Args:
            clip: of the model's own shape, or a path.
            start: seconds after the first frame, for a path.
            top: labels to name, at most.
            progress: is called with the number of steps done, and of all.

        Raises:
            ValueError: not a clip of this shape; the message names what is wrong.
            OSError: a path cannot be read.
        """
        if not isinstance(clip, Clip):
            clip = self.read(clip, start)
        expected = (self.frames, *self.size, 3)
        if clip.frames.shape != expected or clip.samples.shape != (self.samples,):
            raise ValueError(
                f"the model reads clips of {list(expected)} and {self.samples} samples, "
                f"not {list(clip.frames.shape)} and {len(clip.samples)}"
            )
        arrays = {
            self._video: torch.from_numpy(clip.frames).to(self.device).float()[None] / 255,
            self._audio: torch.from_numpy(clip.samples).to(self.device)[None],
        }
        with self.running(), watched(self.model, [self._pieces()], progress):
            out = self.model(arrays, piece=self.piece)
        assert isinstance(out, dict)
        values = {name: _to_numpy(value[0]) for name, value in out.items()}
        logits = next((values[name] for name in self._class_outputs()), None)
        return Reconstruction(
            clip, values[self._video], values[self._audio].reshape(-1), logits, self._top(logits, top)
        )

    def _class_outputs(self) -> list[str]:
        return [output.name for output in self.model.config.outputs if isinstance(output, ClassOutputConfig)]

    def _pieces(self) -> int:
        return sum(-(-num_places(output) // self.piece) for output in self.model.config.outputs)

    def _top(self, logits: NDArray[np.float32] | None, top: int) -> tuple[tuple[str, float], ...]:
        if logits is None or self.labels is None:
            return ()
        scores = torch.from_numpy(logits).softmax(dim=0)
        best = np.argsort(-logits, kind="stable")[:top]
        return tuple((self.labels[index], float(scores[index])) for index in best)


def _to_numpy(value: Tensor) -> NDArray[Any]:
    return np.asarray(value.float().cpu().numpy())
