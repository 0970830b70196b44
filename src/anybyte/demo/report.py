"""The demo's page: what was read, what was learned, how well, and how to go on. One file that needs no other."""

from __future__ import annotations

import html
import platform
import shlex
from collections.abc import Iterator
from importlib.resources import files as resources
from pathlib import Path

import numpy as np
import torch

from anybyte import __version__
from anybyte.config import ByteFormerConfig
from anybyte.demo.data import DIGITS, PICTURE_FORMATS, SOUND_FORMATS, is_spoken
from anybyte.demo.pictures import show_bytes, show_confusion, show_medium, show_png
from anybyte.demo.run import DemoResult, Example, pooled_accuracy

FORMAT_NAMES = {
    "tiff": "TIFF picture",
    "png:0": "PNG picture, stored without compression",
    "ppm": "PGM picture",
    "wav:u8": "WAV sound, 8 bits a sample",
    "wav:s16": "WAV sound, 16 bits a sample",
}
_MOST_BYTES = 144


def write_report(result: DemoResult) -> None:
    """Writes `result.report`.

    Raises:
        OSError: it cannot be written.
    """
    sections = (_summary, _files, _bytes, _training, _results, _examples, _further, _making)
    style = (resources("anybyte.demo") / "report.css").read_text(encoding="utf-8")
    body = "\n".join(section(result) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Anybyte demo: {result.written:.1%} of written, {result.spoken:.1%} of spoken digits right</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    result.report.write_text(page, encoding="utf-8")


def _summary(result: DemoResult) -> str:
    seconds = sum(result.seconds.values())
    cards = (
        (f"{result.written:.1%}", "of written digits right"),
        (f"{result.spoken:.1%}", "of spoken digits right"),
        (f"{len(result.by_format)} formats", "one model, nothing decoded"),
        (f"{seconds / 60:.1f} minutes", "from nothing to this page"),
    )
    boxes = "".join(f'<div class="card"><b>{value}</b>{text}</div>' for value, text in cards)
    return (
        "<h1>One model that reads pictures and sounds as bytes</h1>\n"
        "<p>A ByteFormer has learned the ten digits from small files: handwritten ones as pictures, spoken ones as "
        "sounds. It is never told which is which. It reads each file as it is stored, from the first byte to the "
        "last, header included; the label says only which digit it is. The shares below are of files kept apart: "
        "spoken by voices, and for the most part written by people, that it has never met.</p>\n"
        f'<div class="cards">{boxes}</div>'
    )


def _files(result: DemoResult) -> str:
    train = result.folder / "data/train"
    pictures = "".join(_figure(path, "small") for path in _one_a_digit(train, ".png"))
    sounds = "".join(_figure(path, "") for path in _one_a_digit(train, ".wav"))
    counts = {part: len(list((result.folder / "data" / part).glob("*/*"))) for part in ("train", "val", "test")}
    return (
        "<h2>The files</h2>\n"
        f"<p>{counts['train']:,} files to learn from, {counts['val']:,} to choose the best weights by and "
        f"{counts['test']:,} to test with, each in a folder that is named after its digit.</p>\n"
        "<h3>Written</h3>\n<p>8 x 8 pixels, from scikit-learn's handwritten digits; each as a TIFF, a PNG and a PGM "
        f'file.</p>\n<div class="grid small">{pictures}</div>\n'
        "<h3>Spoken</h3>\n<p>8,000 samples a second, by Anybyte's own speech synthesiser: a buzz and a hiss through "
        "the moving resonances of a throat and a mouth. Every voice is drawn at random and speaks in one part of "
        f'the data only. Half of the files have 8 bits a sample, half 16.</p>\n<div class="grid">{sounds}</div>'
    )


def _bytes(result: DemoResult) -> str:
    test = result.folder / "data/test"
    views = []
    for suffix, format in (PICTURE_FORMATS | SOUND_FORMATS).items():
        path = next(_one_a_digit(test, suffix, DIGITS[3:]))
        data = path.read_bytes()
        title = f"{FORMAT_NAMES[format]}: {path.parent.name}, {len(data):,} bytes"
        views.append(f"<h3>{html.escape(title)}</h3>\n{show_bytes(data, _MOST_BYTES)}")
    return (
        "<h2>What the model reads</h2>\n"
        "<p>Nothing but numbers from 0 to 255, darker here the greater they are. Names, sizes and checksums stand "
        "among the pixels and samples; what is what, the model has to find out.</p>\n" + "\n".join(views)
    )


def _training(result: DemoResult) -> str:
    config, run, best = result.recipe.model, result.recipe.run, result.training.best
    assert isinstance(config, ByteFormerConfig)
    curves = show_png(
        result.folder / "run/curves.png", "Training loss falling, validation accuracy rising, over epochs."
    )
    return (
        "<h2>Training</h2>\n"
        f"<p>{config.depth} blocks of width {config.dim}, kernels of {config.kernel_size} bytes, neighbouring tokens "
        f"merged after {len(config.merge_after)} of the blocks. {run.epochs} passes over the files in "
        f"{result.seconds['train']:.0f} seconds; the best weights are those after epoch {best.get('epoch', 0):.3g}."
        f"</p>\n{curves}"
    )


def _results(result: DemoResult) -> str:
    rows = [(FORMAT_NAMES[name], scores.top1, scores.files) for name, scores in result.by_format.items()]
    for text, formats, accuracy in (
        ("All pictures", PICTURE_FORMATS, result.written),
        ("All sounds", SOUND_FORMATS, result.spoken),
    ):
        rows.append((text, accuracy, sum(result.by_format[name].files for name in formats.values())))
    rows.append(("All files", pooled_accuracy(list(result.by_format.values())), sum(row[2] for row in rows[:-2])))
    body = "".join(
        f'<tr><th scope="row">{text}</th><td class="n">{accuracy:.1%}</td><td class="n">{count:,}</td></tr>'
        for text, accuracy, count in rows
    )
    parts = []
    for title, formats in (("Written", PICTURE_FORMATS), ("Spoken", SOUND_FORMATS)):
        counts = np.sum([result.by_format[name].confusion for name in formats.values()], axis=0)
        parts.append(f'<h3>{title}</h3>\n<div class="scroll">{show_confusion(counts.tolist(), DIGITS)}</div>')
    return (
        "<h2>How well it does on files it has not seen</h2>\n"
        '<table><tr><th scope="col">files</th><th scope="col" class="n">right</th><th scope="col" class="n">of</th>'
        f"</tr>{body}</table>\n<p>What is taken for what, in files:</p>\n" + "\n".join(parts)
    )


def _examples(result: DemoResult) -> str:
    shown = "".join(map(_example, result.examples))
    return (
        "<h2>A few files, one by one</h2>\n"
        "<p>Drawn at random from the test files, right or wrong, with the model's three likeliest answers.</p>\n"
        f'<div class="grid">{shown}</div>'
    )


def _example(example: Example) -> str:
    answer, path = example.answer, example.path
    verdict = "right" if answer.label == example.truth else f"wrong: it is {example.truth}"
    scores = "".join(
        f'<div class="score"><span>{html.escape(label)}</span>'
        f'<meter min="0" max="1" value="{score:.3f}" aria-label="probability of {html.escape(label)}"></meter>'
        f"<span>{score:.1%}</span></div>"
        for label, score in answer.top
    )
    medium = show_medium(path.read_bytes(), f"the digit {example.truth}")
    return (
        f"<figure>{medium}<p><strong>{html.escape(answer.label)}</strong> ({verdict})</p>{scores}"
        f"<figcaption>{html.escape(path.name)}</figcaption></figure>"
    )


def _further(result: DemoResult) -> str:
    folder = shlex.quote(str(result.folder))
    commands = (
        f"anybyte classify {folder}/data/test/seven/* --model {folder}/run --top 3\n"
        f"anybyte evaluate {folder}/run\n"
        "anybyte train small/... --data YOUR_FOLDER    # one folder a class; `anybyte recipes` lists what there is\n\n"
        "import anybyte\n"
        f"anybyte.load({str(result.folder / 'run')!r}).classify(['a.tiff', 'b.wav'])"
    )
    return (
        f"<h2>Go on from here</h2>\n<pre>{html.escape(commands)}</pre>\n"
        "<p>JPEG, compressed PNG and MP3 are left out here. They pack their bits so that bytes no longer line up with "
        "pixels and samples: a ByteFormer learns to read them, but not within two minutes.</p>"
    )


def _making(result: DemoResult) -> str:
    times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())
    rows = (
        ("stages", times),
        ("seed", str(result.seed)),
        ("threads", str(result.recipe.run.threads)),
        ("software", f"anybyte {__version__}, torch {torch.__version__}, Python {platform.python_version()}"),
        ("machine", f"{platform.system()} {platform.machine()}"),
        ("settings", str(Path(result.recipe.run.out) / "recipe.json")),
    )
    body = "".join(f'<tr><th scope="row">{name}</th><td>{html.escape(value)}</td></tr>' for name, value in rows)
    return f"<h2>How this was made</h2>\n<table>{body}</table>"


def _one_a_digit(folder: Path, suffix: str, digits: tuple[str, ...] = DIGITS) -> Iterator[Path]:
    """The first file of each digit that ends in `suffix`, if it has one."""
    for digit in digits:
        found = sorted((folder / digit).glob(f"*{suffix}"))
        yield from found[:1]


def _figure(path: Path, size: str) -> str:
    word = "spoken" if is_spoken(path.name) else "written"
    medium = show_medium(path.read_bytes(), f"the digit {path.parent.name}, {word}")
    name = path.parent.name if size else f"{path.parent.name}, {path.name.removeprefix('spoken-')}"
    return f"<figure>{medium}<figcaption>{html.escape(name)}</figcaption></figure>"
