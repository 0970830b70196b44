"""Settings of files: where they come from, how they are changed in training, and what a model reads of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes to the media inside a training file, before it is encoded again. All off by default.

    A field that does not fit the medium of a file (a flip for audio) is left out for that file.
    """

    crop_size: int | None = None
    """Images: cut a rectangle of random size, shape and place, and resize it to a square of this side (bicubic)."""
    crop_area: tuple[float, float] = (0.08, 1.0)
    """Images, with `crop_size`: share of the picture's area that is cut, from and to."""
    crop_aspect: tuple[float, float] = (3 / 4, 4 / 3)
    """Images, with `crop_size`: width by height of what is cut, from and to."""
    crop_padding: int = 0
    """Images: zero-pad by this many pixels on each side, then crop at random back to the size."""
    flip: bool = False
    """Images: mirror left-right with probability 1/2."""
    rand_augment: int = 0
    """Images: RandAugment (Cubuk et al. 2020, arXiv 1909.13719): this many of its 14 operations, one after the other.
    The paper's recipes use 2."""
    rand_augment_magnitude: int = 9
    """Images, with `rand_augment`: strength of the operations, 0 to 30."""
    brightness: float = 0.0
    """Images: scale pixel values by a factor drawn from [1 - b, 1 + b]."""
    erase: float = 0.0
    """Images: probability of overwriting a random rectangle. The paper's recipes use 0.25."""
    erase_area: tuple[float, float] = (0.02, 0.33)
    """Images, with `erase`: share of the area that is overwritten, from and to."""
    erase_value: int | None = None
    """Images, with `erase`: what is written, 0 (as in the paper's recipes) to 255. None: a random colour."""
    speed: float = 0.0
    """Audio: resample by a factor drawn from [1 - s, 1 + s] (pitch and length change together)."""
    shift_seconds: float = 0.0
    """Audio: delay drawn from [-s, s]; the gap is silence, the end is cut, the length stays."""
    roll: float = 0.0
    """Audio: delay by a share of the length drawn from [-r, r]; what leaves at one end comes in at the other. The
    paper's recipes use 0.1."""
    gain_db: float = 0.0
    """Audio: gain drawn from [-g, g] decibels."""
    noise_db: float | None = None
    """Audio: add white noise at a level drawn from [noise_db - 30, noise_db] dB relative to the clip's peak."""
    noise_dbfs: float | None = None
    """Audio: add white noise at this level (RMS) in dB relative to full scale. The paper's recipes use -50."""
    time_mask_seconds: float = 0.0
    """Audio: silence one random stretch of up to this length."""
    mixup: float = 0.0
    """Probability of mixing a file with another training file of its medium: w times the one plus 1 - w times the
    other, and the labels likewise (Zhang et al. 2018, arXiv 1710.09412). Pictures must be of one size
    (`reading.image_size`)."""
    mixup_alpha: float = 1.0
    """With `mixup`: w is drawn from Beta(a, a). 1 draws it evenly from [0, 1]; less stays nearer to 0 and 1."""
    cutmix: float = 0.0
    """Images: probability of pasting a rectangle of another training picture of the same size over a file, which then
    counts by its share of the area (Yun et al. 2019, arXiv 1905.04899). A file is mixed or pasted, not both, so that
    `mixup` and `cutmix` add up to at most 1."""
    cutmix_alpha: float = 1.0
    """With `cutmix`: the share of the picture that stays is drawn from Beta(a, a), before the rectangle is cut off at
    the picture's edges."""
    turn: Literal["none", "upright", "any"] = "none"
    """Points: rotate at random about the third axis, or in any way."""
    point_scale: float = 0.0
    """Points: each coordinate of each point by a factor drawn from [1 - s, 1 + s], before they are normalised. 0.01 in
    the Perceiver's ModelNet40."""
    point_shift: float = 0.0
    """Points: each coordinate of each point by up to this share of the largest distance from the mean."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where labelled files come from and how they are cut into train, validation and test."""

    path: str = ""
    """Folder, zip, tar shards, manifest (.csv, .jsonl), parquet, or `hf:name` (see docs/guide.md). A plus sign joins
    several: classes of equal names are one, unless a name and `=` stand before their data set (`digits=a.zip+b`)."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    val_fraction: float = 0.1
    """Share of the training files held out for validation when the source has no `val` part. 0: none, and the newest
    weights are the ones that are kept."""
    test_fraction: float = 0.1
    """Share of all files held out for testing when the source has no `test` part."""
    split_seed: int = 0
    split_by: Literal["file", "time"] = "file"
    """Videos to reconstruct: what is drawn when the source has no parts. time: of each video the last stretches are
    held out, for validation and behind it for testing."""
    split_gap: float = 1.0
    """Videos, with `split_by time`: seconds between two stretches that none of them has."""
    clips: int = 1
    """Videos to reconstruct: clips of each that make an epoch, which begin anywhere. Held-out videos have at most
    eight, evenly spaced."""
    separator: str = ";"
    """For models of several classes at once (`several` of their output): stands between the classes of a label, as in
    `dog;rain`. For all others a label is one class."""
    max_bytes: int = 256 * 2**20
    """A training file longer than this is an error that names it."""
    on_error: Literal["fail", "skip"] = "fail"
    """What an unreadable or undecodable file does: stop the run, or be left out with a line in the log."""


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """What is done to the bytes of an encoded file, in the order of the fields (Horton et al. 2023, section 4.3)."""

    order: Literal["stored", "reverse", "random", "roll", "stride", "window"] = "stored"
    """Order of the bytes: reversed, shuffled anew for each file, rolled by half the length, every 1,024th byte first,
    or each 1,024 bytes shuffled in one fixed way."""
    camera_keep: float | None = None
    """Share of the bytes (pixel channels of `fhwc`) that are ever formed, at fixed places drawn by `seed`; the kept
    ones stay in order. None: all."""
    noise: int | None = None
    """Add a whole number drawn from [-noise, noise] to each byte, modulo 256."""
    permutation: bool = False
    """Replace byte values by a permutation of them: that of `key`, a secret; or without one, drawn by `seed`, which is
    none, since the model's folder and the recipe hold it."""
    key: str | None = None
    """Path of a key file (`anybyte privacy keygen`). Model folders keep its fingerprint, never its path or content."""
    fingerprint: str | None = None
    """Of the key that is meant (`anybyte privacy fingerprint`): any other is refused. Model folders fill it in."""
    seed: int = 0
    """Draws the camera's mask, the fixed shuffle of `window` and, without a key, the permutation. Whoever knows it
    knows these: it stands in the model's folder, and a small one can be found by trying."""


@dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """From a stored file to the bytes that a model reads: the same in training, evaluation and use, so that a model's
    folder keeps it. By default a model reads files as they are stored."""

    kind: Literal["bytes"] = field(default="bytes", init=False)
    format: str | None = None
    """Write every picture or sound anew in this format (`tiff`, `png:0`, `jpeg:q60`, `fhwc`, `wav:s16`, `mp3`).
    Several, with commas between: in training one is drawn for each file among those that fit its medium, otherwise the
    first of those is taken. None: the bytes as they are stored."""
    image_size: int | None = None
    """Pictures: resize the short side to 256/224 of this, and take the square of this size in the middle. A picture
    that is a square of this size stays as it is."""
    rate: int | None = None
    """Sounds: resample to this many samples a second, and mix channels down to one."""
    seconds: float | None = None
    """Sounds: cut or pad with silence at the end to this length."""
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)


@dataclass(frozen=True, kw_only=True)
class PixelsConfig:
    """Pictures as decoded pixels, float32 [size, size, 3], for a Perceiver with one image input."""

    kind: Literal["pixels"] = field(default="pixels", init=False)
    image_size: int = 224
    """Pixels a side."""
    fit: Literal["crop", "resize"] = "crop"
    """crop: the square of 224/256 of the short side in the middle, resized (Jaegle et al. 2022). resize: the whole
    picture, stretched to a square where it is none; a picture of this size stays as it is."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from red, green and blue in [0, 1]: the averages of ImageNet."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What the difference is divided by."""


@dataclass(frozen=True, kw_only=True)
class SoundConfig:
    """Sounds as decoded samples, float32 [samples], or as a log-mel spectrogram, float32 [frames, mels]."""

    kind: Literal["sound"] = field(default="sound", init=False)
    rate: int = 16_000
    """Samples a second; channels are mixed down to one."""
    seconds: float = 1.0
    """Cut to this length, or padded with silence."""
    form: Literal["samples", "mel"] = "samples"
    level: Literal["stored", "equal"] = "stored"
    """stored: samples in [-1, 1], as loud as the file has them. equal: a mean square of 1, however loud it was."""
    num_mels: int = 64
    """mel: bands, evenly spaced on the mel scale."""
    window: int = 512
    """mel: samples that a frame looks at."""
    hop: int = 320
    """mel: samples from one frame to the next."""
    low: float = 50.0
    """mel: hertz at which the lowest band begins."""
    high: float | None = None
    """mel: hertz at which the highest one ends. None: half the rate."""
    views: int = 1
    """In use, the probabilities are averaged over this many stretches of a longer sound, evenly spread over it; one is
    its middle. The paper takes 16."""


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Videos with sound as `image`, float32 [frames, size, size, 3] in [0, 1], and `audio`, as `SoundConfig` says."""

    kind: Literal["clip"] = field(default="clip", init=False)
    frames: int = 32
    frame_rate: float = 25.0
    """Frames a second that are taken, whatever the file has."""
    image_size: int = 224
    """Pixels a side of a frame: the square in its middle, resized."""
    sound: SoundConfig = field(default_factory=lambda: SoundConfig(rate=48_000, seconds=1.28))
    """As long as the frames are: `seconds` is `frames / frame_rate`."""
    missing: Literal["refuse", "absent"] = "refuse"
    """What becomes of a video without sound, and of a sound without pictures. refuse: it is an error. absent: the model
    gets what there is, and puts its learned mask in the place of the rest; that is for models that have learned to do
    without (`drop_probability` of their inputs). Training always refuses."""
    views: int = 1
    """In use, the probabilities are averaged over this many stretches of a longer clip, evenly spread over it."""


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """Meshes and point clouds (OFF, PLY, STL, OBJ, .npy, .xyz) as points, float32 [points, 3]."""

    kind: Literal["points"] = field(default="points", init=False)
    num_points: int = 2048
    normalise: Literal["cube", "ball", "none"] = "cube"
    """Around their mean, and as large as the cube [-1, 1]³ (Jaegle et al. 2021) or the unit ball. none: as they are."""


@dataclass(frozen=True, kw_only=True)
class FramesConfig:
    """Two frames of any size, for optical flow: how a model looks at them, once or from coarse to fine."""

    kind: Literal["frames"] = field(default="frames", init=False)
    scales: tuple[float, ...] = (1.0,)
    """Size of the frames in each pass, relative to what they are; in every pass but the first the second frame is
    warped by the flow so far (models/passes.py). The paper's model takes one pass over frames as they are."""
    tiles: bool = True
    """Whether frames are read by overlapping tiles of the size that the model is made for, as in the paper, or as a
    whole, whatever their size. In several passes, frames made smaller than a tile are read as they are."""
    median: int = 1
    """After each pass the flow at each pixel becomes the median over the square of this many pixels a side around it,
    for each axis alone: what few pixels say does not lead the next pass astray. Odd; 1: it stays."""
    check: int | None = None
    """A pass changes the flow only where the second frame, warped by it, then differs less from the first, over the
    square of this many pixels a side: a classical check, in which nothing learnt takes part. Odd; None: no check."""


AnyReadingConfig = ReadingConfig | PixelsConfig | SoundConfig | ClipConfig | PointsConfig | FramesConfig
"""What a model reads of a file. The first is meant where settings do not name a kind."""
