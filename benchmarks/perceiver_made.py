"""Made data for any recipe of the Perceivers: real files, random content, as few as a run accepts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np

from anybyte.config import (
    ClipConfig,
    DeclaredConfig,
    FlowConfig,
    GlueConfig,
    MaskedConfig,
    PixelsConfig,
    PointsConfig,
    Recipe,
    SoundConfig,
)
from anybyte.files.glue import TASKS
from anybyte.files.made import PREFIX
from anybyte.files.media import encode_audio, encode_image
from anybyte.files.off import Mesh, write_off
from anybyte.files.video import Clip, write_clip

CLASSES = ("first", "second")
_COPIES = 2
"""Files of each class in each part."""


def with_made_data(recipe: Recipe, folder: Path, words: int = 400, pieces: int = 320) -> Recipe:
    """The recipe on data written to `folder`.

    Args:
        recipe: of any kind of task.
        folder: where files may be written.
        words: different words of a text.
        pieces: of a SentencePiece model, where the recipe reads such.

    Raises:
        ValueError: nothing is known of what the recipe learns from.
    """
    rng, task = np.random.default_rng(0), recipe.task
    if recipe.data.path.startswith(PREFIX):
        return recipe
    if isinstance(task, MaskedConfig):
        text = write_text(folder / "text.txt", rng, words)
        if task.pieces is not None:
            task = dataclasses.replace(task, pieces=str(write_pieces(folder / "pieces.model", text, pieces)))
        return _on(dataclasses.replace(recipe, task=task), folder / "text.txt")
    if isinstance(task, GlueConfig):
        write_glue(folder / "glue", rng, task)
        return _on(recipe, folder / "glue")
    if isinstance(task, FlowConfig) and task.pairs == "made":
        write_pictures(folder / "pictures", rng, (max(task.made.size), max(task.made.size)))
        return _on(recipe, folder / "pictures")
    if isinstance(task, FlowConfig):
        write_pairs(folder / "pairs", rng)
        return _on(recipe, folder / "pairs")
    if isinstance(recipe.reading, PixelsConfig):
        write_pictures(folder / "pictures", rng, (recipe.reading.image_size + 32, recipe.reading.image_size + 20))
        return _on(recipe, folder / "pictures")
    if isinstance(recipe.reading, SoundConfig | ClipConfig):
        if isinstance(recipe.reading, SoundConfig):
            write_sounds(folder / "media", rng, recipe.reading)
        else:
            write_clips(folder / "media", rng, recipe.reading)
        if any(getattr(output, "several", False) for output in getattr(recipe.model, "outputs", ())):
            return _on(recipe, write_manifest(folder / "media", recipe.data.separator))
        return _on(recipe, folder / "media")
    if isinstance(recipe.reading, PointsConfig):
        write_meshes(folder / "meshes", rng)
        return _on(recipe, folder / "meshes")
    what = "arrays" if isinstance(task, DeclaredConfig) else "files"
    raise ValueError(f"{recipe.name}: no {what} are made here")


def _on(recipe: Recipe, path: Path) -> Recipe:
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, path=str(path)))


def _files(folder: Path, ending: str) -> list[Path]:
    """Paths in the parts train, val and test, in class folders."""
    paths = []
    for part in ("train", "val", "test"):
        for name in CLASSES:
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            paths += [place / f"{number}{ending}" for number in range(_COPIES)]
    return paths


def write_text(path: Path, rng: np.random.Generator, words: int) -> bytes:
    """A text of random words, eight times as many as there are different ones."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    known = ["".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(words)]
    lines = [" ".join(known[number] for number in line) for line in rng.integers(words, size=(words // 2, 16))]
    text = "\n".join(lines).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return text


def write_pieces(path: Path, text: bytes, count: int) -> Path:
    """A SentencePiece model of a text."""
    from anybyte.models.pieces import train_pieces

    path.write_bytes(train_pieces([text], count))
    return path


def write_glue(folder: Path, rng: np.random.Generator, config: GlueConfig) -> None:
    """A few sentences of each task."""
    for name in config.tasks:
        task, place = TASKS[name], folder / name
        place.mkdir(parents=True, exist_ok=True)
        for part in ("train", "dev"):
            rows = []
            for number in range(6):
                words = [" ".join(rng.choice(["one", "two", "three", "four"], 12)) for _ in task.sentences]
                label = number / 2 if task.labels is None else number % len(task.labels)
                row = {f"sentence{at + 1}": sentence for at, sentence in enumerate(words)}
                rows.append(json.dumps(row | {"label": label}))
            (place / f"{part}.jsonl").write_text("\n".join(rows) + "\n")


def write_pictures(folder: Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    """Pictures of noise, height and width given."""
    for path in _files(folder, ".png"):
        path.write_bytes(encode_image(rng.integers(0, 256, (*size, 3), dtype=np.uint8), "png:1"))


def write_sounds(folder: Path, rng: np.random.Generator, config: SoundConfig) -> None:
    """Sounds of noise, as long as they are read."""
    for path in _files(folder, ".wav"):
        samples = rng.uniform(-0.5, 0.5, math.ceil(config.rate * config.seconds)).astype(np.float32)
        path.write_bytes(encode_audio(samples, config.rate, "wav:s16"))


def write_clips(folder: Path, rng: np.random.Generator, config: ClipConfig) -> None:
    """Videos of noise with sound, half as long again as they are read."""
    count = math.ceil(1.5 * config.frames)
    samples = math.ceil(count / config.frame_rate * config.sound.rate)
    size = config.image_size + config.image_size % 2
    for path in _files(folder, ".mp4"):
        frames = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        sound = rng.uniform(-0.5, 0.5, samples).astype(np.float32)
        write_clip(path, Clip(frames, sound, config.frame_rate, config.sound.rate))


def write_manifest(folder: Path, separator: str) -> Path:
    """A table of the files, in which every other one has both classes."""
    rows = ["path,label,split"]
    for number, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        part, label, _ = path.relative_to(folder).parts
        labels = separator.join(CLASSES) if number % 2 else label
        rows.append(f"{path.relative_to(folder).as_posix()},{labels},{part}")
    manifest = folder / "files.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def write_pairs(folder: Path, rng: np.random.Generator, size: tuple[int, int] = (384, 512), count: int = 8) -> None:
    """Pairs of noise with flow, named as FlyingChairs names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        for frame in (1, 2):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            (folder / f"{number:05d}_img{frame}.ppm").write_bytes(b"P6 %d %d 255\n" % size[::-1] + pixels.tobytes())
        flow = rng.normal(size=(*size, 2)).astype("<f4")
        head = b"PIEH" + np.array(size[::-1], "<i4").tobytes()
        (folder / f"{number:05d}_flow.flo").write_bytes(head + flow.tobytes())


def write_meshes(folder: Path, rng: np.random.Generator) -> None:
    """Random tetrahedra, a mesh a file, with the parts inside the classes."""
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    for path in _files(folder, ".off"):
        path.write_bytes(write_off(Mesh(rng.normal(size=(4, 3)), faces)))
