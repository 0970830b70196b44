"""The bytes of a file in a terminal, coloured by their scores.

Red backgrounds are for the label, blue ones against it. Each line ends in its own sum, so that nothing is said by
colour alone: rich leaves colours out where NO_COLOR is set or the output is no terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

import numpy as np
from jaxtyping import Float
from rich.console import Console
from rich.text import Text

from anybyte.explain.overlay import AGAINST, FOR, strengths
from anybyte.explain.result import Explanation, stretch_sums

LINES = 32
"""Lines of a file that are shown, unless the caller says otherwise."""
_LINE = 16
_WIDTH = 88
"""Columns that a line of 16 bytes takes; in narrower terminals lines are of 8 bytes."""
_WEAK = 0.08
"""Strength below which a byte has no colour."""


def describe(explanation: Explanation) -> str:
    """What the scores are, in a few sentences."""
    share = f"{explanation.label} ({explanation.probability:.1%}, logit {explanation.logit:.2f})"
    parts = [f"{explanation.name}: {share}, explained by {explanation.method} over {explanation.length:,} bytes."]
    if explanation.method == "attention":
        parts.append("Scores are shares of what reaches the answer by attention; they know of no label.")
    if explanation.baseline is not None and explanation.completeness_error is not None:
        parts.append(
            f"Scores add up to {float(explanation.scores.sum(dtype=np.float64)):.3f}: the logit is "
            f"{explanation.logit - explanation.baseline:.3f} above that of a file of padding "
            f"(error {explanation.completeness_error:.2%})."
        )
    if explanation.altered:
        parts.append(
            "The model does not read this file as it is stored: the bytes are those that it reads, after its format, "
            "order, noise or permutation."
        )
    return " ".join(parts)


def shown_lines(explanation: Explanation, size: int, most: int) -> tuple[list[int], Float[np.ndarray, "lines"]]:
    """Numbers of the lines to show, in the order of the file: all, or of a longer file the strongest; all lines' sums.

    Raises:
        ValueError: `most` is not positive.
    """
    if most < 1:
        raise ValueError(f"{most} lines to show, expected at least 1")
    sums = stretch_sums(explanation.scores, size)
    strongest = np.argsort(-np.abs(sums), kind="stable")[:most]
    return sorted(strongest.tolist()), sums


def printed(data: bytes) -> str:
    """Bytes as text: what is printable ASCII, and dots."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def print_hexdump(explanation: Explanation, out: TextIO, most: int = LINES, width: int | None = None) -> None:
    """Writes what the scores are, and the bytes with their colours.

    Args:
        explanation: of a file.
        out: where to.
        most: lines to show; of a longer file the strongest, in their order.
        width: columns to write in. None: the terminal's.
    """
    console = Console(file=out, highlight=False, width=width)
    size = _LINE if console.width >= _WIDTH else _LINE // 2
    lines, sums = shown_lines(explanation, size, most)
    console.print(Text(describe(explanation)))
    left_out = len(sums) - len(lines)
    if left_out:
        console.print(
            Text(f"The strongest {len(lines):,} of {len(sums):,} lines of {size} bytes; {left_out:,} are left out.")
        )
    strength = strengths(explanation.scores.astype(np.float64))
    before = -1
    for line in lines:
        if line > before + 1:
            console.print(Text(f"  ... {(line - before - 1) * size:,} bytes", style="dim"))
        console.print(_line(explanation.data, strength, line * size, size, float(sums[line])), no_wrap=True, crop=False)
        before = line
    if before + 1 < len(sums):
        console.print(Text(f"  ... {explanation.length - (before + 1) * size:,} bytes", style="dim"))


def _line(data: bytes, strength: Float[np.ndarray, "bytes"], start: int, size: int, total: float) -> Text:
    """Offset, bytes, text, sum."""
    text = Text(f"{start:08x}  ")
    part = data[start : start + size]
    styles = [_style(value) for value in strength[start : start + size].tolist()]
    for byte, style in zip(part, styles, strict=True):
        text.append(f"{byte:02x}", style)
        text.append(" ")
    text.append("   " * (size - len(part)) + " ")
    for char, style in zip(printed(part), styles, strict=True):
        text.append(char, style)
    return text.append(" " * (size - len(part)) + f"  {total:+.3g}")


def _style(strength: float) -> str:
    if abs(strength) < _WEAK:
        return ""
    red, green, blue = (round(channel) for channel in pale(strength))
    return f"black on rgb({red},{green},{blue})"


def pale(strength: float) -> Iterator[float]:
    """Red, green and blue of a strength in [-1, 1] on white, light enough for black text."""
    weight = 0.2 + 0.55 * abs(strength)
    return (255 * (1 - weight) + channel * weight for channel in (FOR if strength > 0 else AGAINST))
