"""`anybyte evaluate` of a model that reconstructs clips; what is measured is in clips.py."""

from __future__ import annotations

from dataclasses import replace

import torch

from anybyte.config import ClipConfig, DataConfig
from anybyte.evaluate.clips import measure_clips, numbers_of_latents, table
from anybyte.evaluate.request import Findings, Request, columns
from anybyte.models.perceiver import Perceiver
from anybyte.models.pretrained import read_reading
from anybyte.tasks.clips import Clips, check_reading_fits, clip_names, open_clips

_CLIPS = 8


def evaluate(request: Request) -> Findings:
    """PSNR of video and sound for each file beside the baselines, and how often a hidden label is guessed.

    Raises:
        ValueError: the model is none of clips, or a file cannot be used; the message names it.
        OSError: the data cannot be read.
    """
    model = request.load()
    if not isinstance(model, Perceiver):
        raise ValueError(f"{request.name} is no model of clips")
    names = clip_names(model.config)
    reading = read_reading(request.folder)
    if not isinstance(reading, ClipConfig):
        raise ValueError(f"{request.folder} has no reading.json that says what of a clip the model reads")
    check_reading_fits(model.config, reading)
    data = replace(request.recipe.data if request.recipe else DataConfig(), path=request.path)
    if request.data is not None and request.split is None:
        request = replace(request, split="all")
    part = request.split or "test"
    if part == "all":  # whole files
        data = replace(data, split_by="file")
    splits = open_clips(data, reading, names)
    if part == "all":
        videos = [video for each in (splits.train, splits.val, splits.test) for video in each.videos]
        examples = Clips(videos, splits.test.reading, _CLIPS, splits.test.names)
    else:
        parts = {"train": splits.train, "val": splits.val, "test": splits.test}
        if part not in parts:
            raise ValueError(f"--split {part}: clips have the parts {', '.join(parts)} and all")
        examples = Clips(parts[part].videos, splits.test.reading, _CLIPS, splits.test.names)
    with torch.autocast(request.device.type, torch.bfloat16, enabled=request.precision == "bf16"):
        found = measure_clips(model, examples, request.progress)
    video, audio = numbers_of_latents(model.config, names)
    rows = list(table(found))
    text = columns(rows)
    numbers = {"part": part, "files": {name: errors.psnr() for name, errors in found.items()}}
    if splits.classes:
        count = sum(errors.clips for errors in found.values())
        shares = {how: sum(errors.right[how] for errors in found.values()) / count for how in ("hidden", "shown")}
        text += "\n" + "\n".join(f"right class, label {how}: {share:.3f}" for how, share in shares.items())
        numbers |= {"class_accuracy": shares}
    about = {
        "data": request.path,
        "part": f"{part}, {len(examples):,} clips of {len(found):,} files",
        "numbers": f"{video:,} for video and {audio:,} for sound in a clip's latents; PSNR in dB",
    }
    return Findings(about=about, text=text, numbers=numbers | {"latent_numbers": {"video": video, "audio": audio}})
