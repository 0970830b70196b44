"""Draw the picture of the README: how a file becomes a label, and how two files share a batch.

    python scripts/draw_overview.py --out docs/pictures/overview.png

What is drawn is computed by the library on real bytes (a small WAV file, and a shorter text): tokens by the stem,
windows by `cut_windows`, attention, merging and probabilities by a small model. Its weights are random.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

import anybyte
from anybyte.files.media import encode_audio
from anybyte.models.windows import cut_windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KERNEL, STRIDE, WINDOW, SHIFT, DIM = 8, 4, 4, 2, 6
LABELS = ("speech", "music", "text")
INK, GREY, PALE = "#22303c", "#6b7a88", "#e8edf1"
FIRST, SECOND = "#2f6db5", "#d9782d"
"""Colours of the two files."""
CELL = 0.22
"""Width of a byte."""
WIDTH, TOP, INCHES = 16.7, 12.2, 0.75
"""The size of the page, and of its unit."""


def two_files() -> tuple[bytes, bytes]:
    """A WAV file of three samples, and a line of text."""
    samples = np.array([0.02, -0.05, 0.04], dtype=np.float32)
    return encode_audio(samples, 8000, "wav:s16"), b"bytes in, answers out"


class Drawing:
    """Shapes and text on one page."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDTH * INCHES, TOP * INCHES), facecolor="white")
        FigureCanvasAgg(self.figure)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(0, TOP))
        self.axes.axis("off")

    def text(self, x: float, y: float, text: str, size: float = 10, color: str = INK, **options: Any) -> None:
        self.axes.text(x, y, text, fontsize=size, color=color, **({"va": "center", "ha": "left"} | options))

    def label(self, y: float, title: str, *lines: str) -> None:
        """What a row is, on the left."""
        self.text(0.35, y + 0.02, title, 12.5, weight="bold")
        for number, line in enumerate(lines, start=1):
            self.text(0.35, y - 0.29 * number - 0.05, line, 9.3, GREY)

    def cell(self, x: float, y: float, width: float, height: float, color: object, **options: Any) -> None:
        style: dict[str, Any] = {"facecolor": color, "edgecolor": "white", "linewidth": 0.6}
        self.axes.add_patch(Rectangle((x, y), width, height, **(style | options)))

    def box(self, x: float, y: float, width: float, height: float, color: str, **options: Any) -> None:
        """A rounded outline."""
        style: dict[str, Any] = {"facecolor": to_rgba(color, 0.07), "edgecolor": color, "linewidth": 1.4}
        shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.0,rounding_size=0.09", **(style | options))
        self.axes.add_patch(shape)

    def arrow(self, start: tuple[float, float], end: tuple[float, float], color: str = GREY) -> None:
        style = {"arrowstyle": "-|>", "color": color, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 9}
        self.axes.annotate("", end, start, arrowprops=style)

    def line(self, x: list[float], y: list[float], color: str = GREY, width: float = 1.0) -> None:
        self.axes.plot(x, y, color=color, linewidth=width, solid_capstyle="round")


def shade(byte: int, color: str) -> tuple[float, ...]:
    """A tint for a byte: the larger, the stronger."""
    return to_rgba(color, 0.16 + 0.6 * byte / 255)


def heat(value: float) -> tuple[float, ...]:
    """A colour for a number of a token: blue below zero, red above."""
    strength = min(1.0, abs(value) / 1.8) ** 0.8
    base = np.array(to_rgba("#b5433f" if value > 0 else "#3b6ea8"))
    return tuple(1 - strength * (1 - base[:3]))


def scaled(tokens: torch.Tensor) -> np.ndarray:
    """Tokens with a spread of 1, for colours."""
    return (tokens / tokens.std()).numpy()


def draw_token(
    drawing: Drawing, x: float, y: float, token: np.ndarray, height: float = 0.66, width: float = 0.3
) -> None:
    """A token as a column of its numbers, centred at x, standing on y."""
    step = height / len(token)
    for index, value in enumerate(token):
        drawing.cell(x - width / 2, y + index * step, width, step, heat(float(value)), linewidth=0.4)


def draw_bytes(drawing: Drawing, x: float, y: float, data: bytes, padding: int) -> None:
    """Bytes as cells in hex, their letters above, and what the last kernel lacks as hatched cells."""
    for index, byte in enumerate(data):
        left = x + index * CELL
        drawing.cell(left, y, CELL, 0.36, shade(byte, FIRST))
        drawing.text(left + CELL / 2, y + 0.175, f"{byte:02x}", 5.9, ha="center", family="monospace")
        if 32 < byte < 127:
            drawing.text(left + CELL / 2, y + 0.52, chr(byte), 7.5, GREY, ha="center", family="monospace")
    for index in range(len(data), len(data) + padding):
        drawing.cell(x + index * CELL, y, CELL, 0.36, "white", hatch="/////", edgecolor="#b9c4cd")


def draw_one_file(drawing: Drawing, data: bytes, model: anybyte.ByteFormer) -> None:
    """The upper part: bytes, tokens, two blocks' windows, merging, the answer."""
    batch = anybyte.ByteBatch.from_bytes([data])
    with torch.inference_mode():
        tokens, counts = model.stem(batch)
        attended = [model.run_block(0, tokens, counts)]
        attended.append(model.run_block(1, attended[0], counts))
        merged, merged_counts = model.run_merge(1, attended[1], counts)
        mean = model.norm(merged).mean(dim=0)
        scores = model.classifier(mean).softmax(dim=0).numpy()
    count, left = int(counts[0]), 4.75
    centres = [left + (index * STRIDE + KERNEL / 2) * CELL for index in range(count)]

    y = TOP - 1.62
    drawing.label(y + 0.2, f"{len(data)} bytes", "a WAV file, as it is stored")
    draw_bytes(drawing, left, y, data, (count - 1) * STRIDE + KERNEL - len(data))

    for index, centre in enumerate(centres):  # what each token reads: two levels, since neighbours overlap
        start, end = centre - KERNEL / 2 * CELL + 0.03, centre + KERNEL / 2 * CELL - 0.03
        level = y - 0.13 - 0.16 * (index % 2)
        drawing.line([start, start, end, end], [level + 0.07, level, level, level + 0.07], FIRST, 1.2)
        drawing.line([centre, centre], [level, y - 0.52], to_rgba(FIRST, 0.5))  # type: ignore[arg-type]

    y -= 1.2
    reads = f"each reads {KERNEL} bytes, every {STRIDE} bytes;"
    drawing.label(y + 0.5, f"{count} tokens", reads, "a sum of table rows, one a byte")
    for centre, token in zip(centres, scaled(tokens), strict=True):
        draw_token(drawing, centre, y, token)

    for name, shift, x in (("attention", 0, attended[0]), ("attention, shifted", SHIFT, attended[1])):
        y -= 1.12
        lengths = cut_windows(counts, WINDOW, shift)
        starts = [int(start) for start in np.cumsum(lengths) - lengths]
        cuts = ", ".join(map(str, starts))
        drawing.label(y + 0.42, name, f"windows cut at {cuts}:", "none wraps around the end")
        for start, length in zip(starts, lengths.tolist(), strict=True):
            first, last = centres[start], centres[start + length - 1]
            drawing.box(first - 0.34, y - 0.08, last - first + 0.68, 0.72, FIRST)
        for centre, token in zip(centres, scaled(x), strict=True):
            draw_token(drawing, centre, y + 0.03, token, 0.5, 0.26)

    y -= 1.32
    pairs = [(centres[2 * index], centres[2 * index + 1]) for index in range(int(merged_counts[0]))]
    middles = [(first + second) / 2 for first, second in pairs]
    for (first, second), middle in zip(pairs, middles, strict=True):
        drawing.line([first, middle, second], [y + 1.18, y + 0.78, y + 1.18])
    drawing.label(y + 0.42, f"{len(pairs)} merged tokens", "two neighbours become one,", "and on through the blocks")
    for middle, token in zip(middles, scaled(merged), strict=True):
        draw_token(drawing, middle, y, token)
    draw_answer(drawing, y, middles, scaled(mean), scores)


def draw_answer(drawing: Drawing, y: float, middles: list[float], mean: np.ndarray, scores: np.ndarray) -> None:
    """The mean over the file, and the probabilities of the classes."""
    y -= 1.12
    x = (middles[0] + middles[-1]) / 2 - 1.6
    for middle in middles:
        drawing.line([middle, middle], [y + 1.08, y + 0.94])
    drawing.line([middles[0], middles[-1]], [y + 0.94, y + 0.94])
    drawing.arrow((x, y + 0.94), (x, y + 0.7))
    drawing.label(y + 0.42, "one label", "the mean over this file's tokens,", "one linear layer (random weights here)")
    draw_token(drawing, x, y, mean)
    drawing.arrow((x + 0.3, y + 0.33), (x + 0.85, y + 0.33))
    for row, index in enumerate(np.argsort(-scores)):
        bar = y + 0.48 - row * 0.25
        drawing.cell(x + 1.0, bar, 2.6 * float(scores[index]), 0.17, FIRST if row == 0 else "#c3ccd4")
        drawing.text(x + 1.1 + 2.6 * float(scores[index]), bar + 0.08, f"{LABELS[index]} {scores[index]:.2f}", 9.3)


def draw_batch(drawing: Drawing, files: tuple[bytes, bytes], model: anybyte.ByteFormer) -> None:
    """The lower part: the same two files padded to one length, and end to end."""
    lengths = [len(data) for data in files]
    colors, longest = (FIRST, SECOND), max(lengths)
    left, y = 4.75, 2.66
    drawing.text(0.35, 3.62, "Two files in one batch", 14, weight="bold")
    cost = f"{2 * longest} places for {sum(lengths)} bytes"
    drawing.label(y + 0.14, "the usual way", "pad each to the longest:", cost)
    for row, (data, color) in enumerate(zip(files, colors, strict=True)):
        for index in range(longest):
            x, bottom = left + index * CELL, y - row * 0.4
            if index < len(data):
                drawing.cell(x, bottom, CELL, 0.32, shade(data[index], color))
            else:
                drawing.cell(x, bottom, CELL, 0.32, "white", hatch="/////", edgecolor="#b9c4cd")

    batch = anybyte.ByteBatch.from_bytes(files)
    y = 1.3
    scale = CELL * longest * 1.03 / sum(lengths)
    drawing.label(y + 0.02, "here", "end to end, nothing between;", "windows cut file by file")
    x = left
    for data, color in zip(files, colors, strict=True):
        for byte in data:
            drawing.cell(x, y - 0.1, scale, 0.32, shade(byte, color), linewidth=0.4)
            x += scale
    counts = model.stem.num_tokens(batch.lengths.numpy())
    windows = cut_windows(counts, WINDOW, SHIFT)
    ends, step = np.cumsum(windows), (x - left) / int(counts.sum())
    for end, length in zip(ends.tolist(), windows.tolist(), strict=True):
        color = colors[0] if end <= counts[0] else colors[1]
        style = "solid" if length == WINDOW else (0, (2.2, 1.6))
        drawing.box(left + (end - length) * step + 0.05, y - 0.66, length * step - 0.1, 0.38, color, linestyle=style)
        for index in range(end - length, end):
            drawing.cell(left + (index + 0.5) * step - 0.1, y - 0.57, 0.2, 0.2, to_rgba(color, 0.55))
    full = int((windows == WINDOW).sum())
    short = len(windows) - full
    caption = f"{full} full windows (solid): one dense batch, no mask.   {short} short ones (dashed): masked.   "
    drawing.text(left, y - 0.92, caption + "None holds tokens of both files.", 9.3, GREY)


def draw(out: Path) -> None:
    """Writes the picture to `out`."""
    torch.manual_seed(3)
    model = anybyte.create_model(
        "byteformer_nano",
        num_classes=len(LABELS),
        dim=DIM,
        num_heads=2,
        depth=2,
        kernel_size=KERNEL,
        window_sizes=WINDOW,
        merge_after=(1,),
        initialisation="smooth",
    )
    assert isinstance(model, anybyte.ByteFormer)
    torch.nn.init.normal_(model.classifier.weight, std=0.3)  # or all classes would be alike
    model.eval()
    files = two_files()
    drawing = Drawing()
    drawing.text(0.35, TOP - 0.42, "From bytes to a label", 14, weight="bold")
    draw_one_file(drawing, files[0], model)
    drawing.line([0.35, WIDTH - 0.35], [4.0, 4.0], PALE, 1.5)
    draw_batch(drawing, files, model)
    out.parent.mkdir(parents=True, exist_ok=True)
    drawing.figure.savefig(out, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/overview.png"))
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
