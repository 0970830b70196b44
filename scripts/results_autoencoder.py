"""What the small autoencoder of clips reaches: measured on held-out clips, and written as docs/results/autoencoder.md.

    python scripts/results_autoencoder.py data CLIPS OUT        # a folder with train/ and test/, as links
    anybyte train small/autoencoder --data OUT --out runs/autoencoder
    python scripts/results_autoencoder.py measure runs/autoencoder --commit COMMIT
    python scripts/results_autoencoder.py page

`measure` looks at the test part: run it once, when everything has been chosen. It writes docs/results/autoencoder.json
and the pictures, `page` the page from the JSON file.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anybyte.evaluate.clips import AUDIO, VIDEO, bicubic, measure_clips, numbers_of_latents, reconstruct
from anybyte.files.video import Clip, write_clip
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import load_pretrained
from anybyte.tasks.clips import Clips, Stretch, clip_names, open_clips
from anybyte.train.settings import read_recipe

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PICTURES = ROOT / "docs/results", ROOT / "docs/pictures"
SPLIT = {
    "train": (
        "mdn_elf.webm",
        "mdn_frog.webm",
        "mdn_rabbit.webm",
        "mdn_monster.webm",
        "big_buck_bunny_0_30.webm",
    ),
    "test": ("mdn_crystal.webm", "nasa_13013.mp4"),
}
"""Which recordings are learned from. Copies of the same recording in other formats are in neither."""
SHOWN = SPLIT["test"]
"""Files that may be shown: CC0, and public domain."""
PER_FILE = 8
START = "before training"
"""The method of a model as it is initialised."""
_ZOOM, _COLUMNS = 2, (0, 5, 10, 15)


def link_data(clips: Path, out: Path) -> None:
    """Makes OUT/train and OUT/test, with links to the files of the collection."""
    for part, names in SPLIT.items():
        (out / part).mkdir(parents=True, exist_ok=True)
        for name in names:
            link = out / part / name
            if not link.is_symlink():
                link.symlink_to((clips / name).resolve(strict=True))


def measure(run: Path, hardware: str, commit: str, remark: str = "") -> dict[str, Any]:
    """The numbers of a run on its test part, and its pictures."""
    recipe = read_recipe(run / "recipe.json")
    model, _ = load_pretrained(run / "model")
    assert isinstance(model, Perceiver)
    names = clip_names(model.config)
    test = open_clips(dataclasses.replace(recipe.data, clips=PER_FILE), recipe.reading, names).test  # type: ignore[arg-type]
    found = measure_clips(model, test)
    torch.manual_seed(recipe.run.seed)
    start = {name: errors.psnr() for name, errors in measure_clips(Perceiver(model.config).eval(), test).items()}
    videos = {video.record.name: video for video in test.videos}
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    validations = [row for row in rows if row["event"] == "validation"]
    best = max(validations, key=lambda row: row["best"] * row["step"])
    video, audio = numbers_of_latents(model.config, names)
    draw(model, test)
    return {
        "recipe": recipe.name,
        "seed": recipe.run.seed,
        "steps": validations[-1]["step"],
        "clips_a_step": recipe.run.batch_files,
        "minutes": validations[-1]["minutes"],
        "hardware": hardware,
        "commit": commit,
        "remark": remark,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "latents": [model.config.num_latents, model.config.latent_dim],
        "numbers": {"video": video, "audio": audio, "clip": [math.prod(shape) for shape in _shapes(model)]},
        "validation": {
            "first": {key: validations[0][key] for key in ("step", "image_psnr", "audio_psnr")},
            "kept": {key: best[key] for key in ("step", "image_psnr", "audio_psnr")},
        },
        "files": {
            name: {
                "seen": videos[name].stretch != Stretch(),
                "clips": errors.clips,
                **{
                    medium: methods | {START: start[name][medium]["model"]} for medium, methods in errors.psnr().items()
                },
            }
            for name, errors in found.items()
        },
    }


def _shapes(model: Perceiver) -> list[tuple[int, ...]]:
    return [(*part.shape, 3) if part.kind == "video" else (part.num_samples,) for part in model.config.inputs]  # type: ignore[union-attr]


def draw(model: Perceiver, test: Clips) -> None:
    """Frames of the middle clip of each file that may be shown; a video of the first one's beside its original."""
    names, numbers = test.names, numbers_of_latents(model.config, test.names)[0]
    panels = []
    for file in SHOWN:
        indices = [index for index in range(len(test)) if test.file_name(index).endswith(file)]
        clip = test.clip(indices[len(indices) // 2])
        frames, samples = reconstruct(model, clip, names)
        truth = clip.frames.astype(np.float32) / np.float32(255)
        panels.append((file, truth, frames, bicubic(truth, numbers)))
        if file == SHOWN[0]:
            beside = np.concatenate([_zoomed(truth), _zoomed(frames)], axis=2)
            PICTURES.mkdir(parents=True, exist_ok=True)
            write_clip(PICTURES / "autoencoder.mp4", Clip(beside, samples, clip.frame_rate, clip.rate))
    strip(panels).save(PICTURES / "autoencoder.png", optimize=True)


def strip(panels: Sequence[tuple[str, NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]) -> Image.Image:
    """A picture of rows (as it is, model, bicubic) by frames of each clip [T, H, W, 3] in [0, 1]."""
    left, top, gap = 90, 20, 12
    side = panels[0][1].shape[1] * _ZOOM
    width = left + len(panels) * (len(_COLUMNS) * side + gap)
    picture = Image.new("RGB", (width, top + 3 * side), "white")
    pen = ImageDraw.Draw(picture)
    for row, label in enumerate(("as it is", "model", "bicubic")):
        pen.text((6, top + row * side + side // 2), label, fill="black")
    for number, (name, *variants) in enumerate(panels):
        begin = left + number * (len(_COLUMNS) * side + gap)
        pen.text((begin, 4), f"{name}, frames {', '.join(str(place + 1) for place in _COLUMNS)}", fill="black")
        for row, frames in enumerate(variants):
            for column, place in enumerate(_COLUMNS):
                tile = Image.fromarray(_zoomed(frames[place : place + 1])[0])
                picture.paste(tile, (begin + column * side, top + row * side))
    return picture


def _zoomed(frames: NDArray[np.float32]) -> NDArray[np.uint8]:
    large = frames.repeat(_ZOOM, axis=1).repeat(_ZOOM, axis=2)
    return np.rint(large.clip(0, 1) * 255).astype(np.uint8)


_PROSE = {
    "what": """`anybyte train {recipe}`: a Perceiver IO of {parameters:.1f} million parameters takes 16 frames of 64 x
64 pixels and their sound (0.64 s at 16 kHz), {values:,} numbers, through {latents} latents of {width} numbers,
{held:,}, and back. Losses are the paper's (Jaegle et al. 2022, section 4.3): L1, 0.03 for video and 1 for sound.
There are no labels.""",
    "run": """Trained for {steps:,} steps of {clips} clips, {minutes:.0f} minutes, seed {seed}, on {hardware}. On
validation clips it went from {first[image_psnr]:.1f} dB (video) and {first[audio_psnr]:.1f} dB (sound) after
{first[step]} steps to {kept[image_psnr]:.1f} and {kept[audio_psnr]:.1f} dB.""",
    "split": """PSNR in dB, peak 1, over eight clips of each file, evenly spaced; one seed. Two recordings were not
learned from at all (crystal, NASA); how loud they are was known when the scale of sound was chosen. Of the five
others the first 65% were learned from, the next 15% chose the weights, and the last 20% are measured here,
0.2 s behind: other moments of a scene that is known. Those are no clean test: short trials and untrained
models were measured on four of these files, last parts included (all but frog), while the model was designed.""",
    "baselines": """The baselines have as many numbers as the latents: {video:,} for the pixels of a clip and
{audio:,} for its samples, as the model's own latents are divided when it begins. *Mean colour* is one colour for a
clip. *Bicubic* makes frames smaller and large again; with *half the frames* each gets twice the numbers, and time is
interpolated in the same way. *Silence* is no sound, *band limit* sound at a lower rate and back. *Before training* is
the model as it is initialised, which is much: see below.""",
    "picture": """Frames of the middle clip of each unseen recording. [autoencoder.mp4](../pictures/autoencoder.mp4)
shows the first of them beside what the model makes of it, with the model's sound. Recordings: crystal from MDN's
learning area, CC0; NASA, public domain. Big Buck Bunny (measured, not shown): Blender Foundation, CC BY 3.0.""",
    "start": """In the paper latents have to find out where to look, in a training that is thousands of times as long.
Here each latent begins at a place (`latent_grids`): its query is solved for so that it reads the tokens of one patch
of video or of sound, and its key so that the queries of that patch read it. With `transform`, values begin as the low
frequencies of a cosine transform of the patch and its inverse. All of it is learned from there on. Queries answer
patches of 4 x 8 x 8 pixels and of 320 samples (`GridOutputConfig.patch`), not single pixels as in the paper. So this
is not the paper's model made small, and its numbers say nothing of that one.""",
}
"""The paragraphs of the page."""


def page(results: Mapping[str, Any]) -> str:
    """The page, from what `measure` found."""
    numbers, files = results["numbers"], results["files"]
    facts = {
        **{name: results[name] for name in ("recipe", "steps", "minutes", "seed", "hardware")},
        **results["validation"],
        "parameters": results["parameters"] / 1e6,
        "clips": results["clips_a_step"],
        "values": sum(numbers["clip"]),
        "latents": results["latents"][0],
        "width": results["latents"][1],
        "held": numbers["video"] + numbers["audio"],
        "video": numbers["video"],
        "audio": numbers["audio"],
    }
    prose = {name: textwrap.fill(text.format(**facts), 120) for name, text in _PROSE.items()}
    lines = ["# Video and sound through few latents", "", "<!-- Written by scripts/results_autoencoder.py. -->", ""]
    lines += [prose["what"], "", prose["run"], "", "## Held-out clips", "", prose["split"], ""]
    for title, seen in (("Recordings that training did not see", False), ("Later in recordings that it saw", True)):
        chosen = {name: row for name, row in files.items() if row["seen"] == seen}
        if chosen:
            lines += [f"### {title}", "", *_table(chosen), ""]
    lines += [prose["baselines"], "", *_verdict(files), ""]
    lines += ["![Frames of two clips as they are, from the model, and bicubic](../pictures/autoencoder.png)", ""]
    lines += [textwrap.fill(results["remark"], 120), ""] if results["remark"] else []
    lines += [prose["picture"], "", "## How the model begins", "", prose["start"], "", "## Again", ""]
    lines += [
        "    python scripts/results_autoencoder.py data av_clips clips",
        f"    anybyte train {results['recipe']} --data clips --out runs/autoencoder --run.max_steps {results['steps']}",
        f"    python scripts/results_autoencoder.py measure runs/autoencoder --commit {results['commit']}",
        "    python scripts/results_autoencoder.py page",
    ]
    lines += ["", f"Trained with the code of commit {results['commit']}; that of others may begin elsewhere."]
    return "\n".join(lines) + "\n"


_COLUMNS_OF = (("video", (*VIDEO, START)), ("audio", (*AUDIO, START)))


def _table(files: Mapping[str, Any]) -> list[str]:
    columns = [(medium, method) for medium, methods in _COLUMNS_OF for method in methods]
    words = {"video": "video", "audio": "sound"}
    head = ["recording", *(f"{words[medium]}: {method}" for medium, method in columns)]
    lines = [head, ["---"] * len(head)]
    lines += [[Path(name).name, *(f"{row[m][method]:.1f}" for m, method in columns)] for name, row in files.items()]
    if len(files) > 1:
        means = [float(np.mean([row[m][method] for row in files.values()])) for m, method in columns]
        lines.append(["mean", *(f"{mean:.1f}" for mean in means)])
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _verdict(files: Mapping[str, Any]) -> list[str]:
    """How many files the model is better on, against each baseline."""
    lines = []
    for medium, word, methods in (("video", "Video", VIDEO), ("audio", "Sound", AUDIO)):
        parts = []
        for method in methods[1:]:
            gains = [row[medium]["model"] - row[medium][method] for row in files.values()]
            better = sum(gain > 0 for gain in gains)
            parts.append(f"{method} on {better} of {len(gains)} files ({np.mean(gains):+.1f} dB on average)")
        lines.append(f"{word}: the model is above {'; '.join(parts)}.")
    return [lines[0], "", lines[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    linking = verbs.add_parser("data")
    linking.add_argument("clips", type=Path)
    linking.add_argument("out", type=Path)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("run", type=Path)
    measuring.add_argument(
        "--hardware",
        default="2 cores of an AMD EPYC (Zen 4), shared; one thread a run; torch 2.13 CPU",
        help="what it was trained on",
    )
    measuring.add_argument("--commit", required=True, help="whose code it was trained with")
    measuring.add_argument("--remark", default="", help="a paragraph on what is seen in the pictures")
    verbs.add_parser("page")
    options = parser.parse_args()
    file = RESULTS / "autoencoder.json"
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.verb == "data":
        link_data(options.clips, options.out)
    elif options.verb == "measure":
        file.write_text(
            json.dumps(measure(options.run, options.hardware, options.commit, options.remark), indent=1) + "\n"
        )
    else:
        (RESULTS / "autoencoder.md").write_text(page(json.loads(file.read_text())))


if __name__ == "__main__":
    main()
