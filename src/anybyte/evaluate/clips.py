"""How well clips come back: PSNR of video and sound, beside what as many numbers can do without learning.

The baselines are what anybody would try first:

    mean colour   one colour for the whole clip
    bicubic       each frame made smaller and large again, with as many numbers in all as the video's latents hold; with
                  all frames, or with half of them (in time, too, by cubic interpolation) and each of more pixels
    silence       no sound
    band limit    the sound at a lower rate and back, with as many samples as the sound's latents hold numbers

Which latents are the video's and which the sound's is known where a model begins with `latent_grids`; otherwise they
are shared in proportion to the numbers that video and sound have. PSNR is 10 log10(1 / mean square error) over all
clips of a file: of video in [0, 1], of sound in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from anybyte.config import AudioInputConfig, LabelInputConfig, PerceiverConfig, VideoInputConfig
from anybyte.files.audio import resample
from anybyte.files.video import Clip
from anybyte.models.perceiver import Perceiver
from anybyte.tasks.clips import ClipNames, Clips

VIDEO = ("model", "mean colour", "bicubic", "bicubic, half the frames")
AUDIO = ("model", "silence", "band limit")
_PIECE = 8192


@dataclass
class Errors:
    """Mean square errors of one file, by method; each is a sum over clips, and `clips` says over how many."""

    clips: int = 0
    video: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VIDEO, 0.0))
    audio: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AUDIO, 0.0))
    right: dict[str, int] = field(default_factory=lambda: {"hidden": 0, "shown": 0})

    def psnr(self) -> dict[str, dict[str, float]]:
        """dB by medium and method."""
        return {
            medium: {method: to_psnr(total / self.clips) for method, total in sums.items()}
            for medium, sums in (("video", self.video), ("audio", self.audio))
        }


def to_psnr(error: float) -> float:
    """dB of a mean square error, relative to a peak of 1."""
    return 10 * math.log10(1 / error) if error > 0 else math.inf


def numbers_of_latents(config: PerceiverConfig, names: ClipNames) -> tuple[int, int]:
    """How many numbers the latents hold for video and for sound."""
    total = config.num_latents * config.latent_dim
    grids = {grid.input: math.prod(grid.shape) * config.latent_dim for grid in config.latent_grids}
    if names.video in grids and names.audio in grids:
        return grids[names.video], grids[names.audio]
    video = sum(math.prod(part.shape) * 3 for part in config.inputs if isinstance(part, VideoInputConfig))
    audio = sum(part.num_samples for part in config.inputs if isinstance(part, AudioInputConfig))
    share = total * audio // (video + audio)
    return total - share, share


def bicubic(frames: NDArray[np.float32], numbers: int, every: int = 1) -> NDArray[np.float32]:
    """Frames [T, H, W, 3] made of at most `numbers` numbers: smaller, and large again, by bicubic interpolation.

    Args:
        frames: in [0, 1].
        numbers: at most.
        every: keeps one frame in so many, averaged and interpolated as smoothly in time as in space.
    """
    count, height, width, channels = frames.shape
    kept = max(1, count // every)
    scale = min(1.0, math.sqrt(numbers / (kept * height * width * channels)))
    small = (max(1, math.floor(height * scale)), max(1, math.floor(width * scale)))
    x = torch.from_numpy(frames)
    if kept < count:
        x = _resize(x.flatten(1)[None, None], (kept, height * width * channels)).view(kept, height, width, channels)
    x = _resize(x.movedim(-1, 1), small).clamp(0, 1)
    x = _resize(x, (height, width)).movedim(1, -1)
    if kept < count:
        x = _resize(x.flatten(1)[None, None], (count, height * width * channels)).view(frames.shape)
    return x.clamp(0, 1).numpy()


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    out: Tensor = F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=True)
    return out


def band_limit(samples: NDArray[np.float32], numbers: int) -> NDArray[np.float32]:
    """Samples [N] as `numbers` of them can hold: at a lower rate, and back."""
    if numbers >= len(samples):
        return samples
    low = resample(samples, len(samples), numbers)
    again = resample(low, numbers, len(samples))[: len(samples)]
    return np.pad(again, (0, len(samples) - len(again)))


def measure_clips(
    model: Perceiver, examples: Clips, progress: Callable[[int, int], None] | None = None
) -> dict[str, Errors]:
    """The errors of each file of some examples.

    Raises:
        ValueError: there are none, or one cannot be used; the message names it.
        OSError: one cannot be read.
    """
    if not len(examples):
        raise ValueError("there are no clips to measure on")
    numbers = numbers_of_latents(model.config, examples.names)
    device = next(model.parameters()).device
    found: dict[str, Errors] = {}
    for index in range(len(examples)):
        inputs, target = examples.read(index, None)
        errors = found.setdefault(examples.file_name(index), Errors())
        arrays = {name: torch.from_numpy(values).to(device)[None] for name, values in inputs.items()}
        with torch.no_grad():
            answers = model(arrays, piece=_PIECE)
        assert isinstance(answers, Mapping)
        truth = {name: np.asarray(values, np.float32) for name, values in inputs.items()}
        _add(errors, examples.names, {name: _numpy(values[0]) for name, values in answers.items()}, truth, numbers)
        label = int(target[examples.names.answer]) if examples.names.answer in target else -1
        if label >= 0 and examples.names.answer is not None:
            errors.right["hidden"] += int(answers[examples.names.answer][0].argmax()) == label
            errors.right["shown"] += _with_label(model, arrays, examples.names, label) == label
        if progress is not None:
            progress(index + 1, len(examples))
    return found


def _with_label(model: Perceiver, arrays: Mapping[str, Tensor], names: ClipNames, label: int) -> int:
    """The class that the model answers when it is told one; -1 if it cannot be told."""
    if names.label is None or names.answer is None:
        return -1
    count = next(part.num_classes for part in model.config.inputs if isinstance(part, LabelInputConfig))
    told = F.one_hot(torch.tensor([label]), count).float().to(next(iter(arrays.values())).device)
    with torch.no_grad():
        answers = model({**arrays, names.label: told}, outputs=[names.answer])
    return int(answers[names.answer][0].argmax())


def _add(
    errors: Errors,
    names: ClipNames,
    answers: Mapping[str, NDArray[np.float32]],
    truth: Mapping[str, NDArray[np.float32]],
    numbers: tuple[int, int],
) -> None:
    frames, samples = truth[names.video], truth[names.audio]
    colour = np.broadcast_to(frames.mean(axis=(0, 1, 2), keepdims=True), frames.shape)
    videos = (
        answers[names.video].clip(0, 1),
        colour,
        bicubic(frames, numbers[0]),
        bicubic(frames, numbers[0], every=2),
    )
    sounds = (answers[names.audio].reshape(-1), np.zeros_like(samples), band_limit(samples, numbers[1]))
    for method, video in zip(VIDEO, videos, strict=True):
        errors.video[method] += float(np.mean((video - frames) ** 2, dtype=np.float64))
    for method, sound in zip(AUDIO, sounds, strict=True):
        errors.audio[method] += float(np.mean((sound - samples) ** 2, dtype=np.float64))
    errors.clips += 1


def reconstruct(model: Perceiver, clip: Clip, names: ClipNames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Frames [T, H, W, 3] in [0, 1] and samples [N] that a model makes of a clip."""
    device = next(model.parameters()).device
    arrays = {
        names.video: torch.from_numpy(clip.frames).to(device).float()[None] / 255,
        names.audio: torch.from_numpy(clip.samples).to(device)[None],
    }
    with torch.no_grad():
        answers = model(arrays, piece=_PIECE)
    assert isinstance(answers, Mapping)
    return _numpy(answers[names.video][0]).clip(0, 1), _numpy(answers[names.audio][0]).reshape(-1)


def table(found: Mapping[str, Errors]) -> Iterator[tuple[str, ...]]:
    """Rows of text: each file's PSNR by method, and the mean over files."""
    yield ("file", "clips", *(f"video: {method}" for method in VIDEO), *(f"sound: {method}" for method in AUDIO))
    rows = {name: errors.psnr() for name, errors in found.items()}
    for name, row in rows.items():
        cells = [row["video"][method] for method in VIDEO] + [row["audio"][method] for method in AUDIO]
        yield (name, str(found[name].clips), *(f"{value:.2f}" for value in cells))
    if len(rows) > 1:
        means = [np.mean([row["video"][method] for row in rows.values()]) for method in VIDEO]
        means += [np.mean([row["audio"][method] for row in rows.values()]) for method in AUDIO]
        yield ("mean over files", str(sum(e.clips for e in found.values())), *(f"{value:.2f}" for value in means))


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
