"""What the report shows of files, as HTML that needs nothing from outside: pictures, sounds, bytes, curves."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anybyte.files.media import Audio, decode, encode

_WAVE_COLUMNS = 160
_BYTES_A_ROW = 16


def data_uri(data: bytes, kind: str) -> str:
    """`data` as an address; `kind` is its media type, such as `image/png`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def show_medium(data: bytes, label: str) -> str:
    """A picture or sound file, to look at or to listen to; `label` tells those who cannot see it what it is.

    Raises:
        ValueError: it is neither.
    """
    medium = decode(data, label)
    alt = html.escape(label, quote=True)
    if isinstance(medium, Audio):
        wave = _wave(medium)
        sound = data_uri(encode(medium, "wav:s16"), "audio/wav")
        return f'{wave}<audio controls preload="none" aria-label="{alt}" src="{sound}"></audio>'
    picture = data_uri(encode(medium, "png:9"), "image/png")  # browsers do not show TIFF
    return f'<img class="digit" alt="{alt}" src="{picture}">'


def _wave(sound: Audio) -> str:
    """The outline of a sound: least and greatest sample of each column."""
    parts = np.array_split(sound.samples.reshape(len(sound.samples), -1)[:, 0], _WAVE_COLUMNS)
    path = "".join(f"M{x} {40 - 38 * part.max():.1f}V{40.8 - 38 * part.min():.1f}" for x, part in enumerate(parts))
    return (
        f'<svg class="wave" viewBox="0 0 {_WAVE_COLUMNS} 80" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}"/></svg>'
    )


def show_bytes(data: bytes, most: int) -> str:
    """The first `most` bytes in hexadecimal, darker the greater they are."""
    rows = []
    for first in range(0, min(len(data), most), _BYTES_A_ROW):
        row = data[first : first + _BYTES_A_ROW]
        cells = "".join(f'<i style="--v:{value}"{" class=d" if value > 127 else ""}>{value:02x}</i>' for value in row)
        rows.append(f"<div>{cells}</div>")
    rest = len(data) - most
    more = f"<p>and {rest:,} more bytes</p>" if rest > 0 else ""
    return f'<div class="bytes">{"".join(rows)}</div>{more}'


def show_png(path: Path, label: str) -> str:
    """A PNG file of any size."""
    return f'<img class="wide" alt="{html.escape(label, quote=True)}" src="{data_uri(path.read_bytes(), "image/png")}">'


def show_confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """A table of true class by answer, each cell as dark as its share of the row."""
    head = "".join(f'<th scope="col">{html.escape(label)}</th>' for label in labels)
    rows = []
    for label, row in zip(labels, counts, strict=True):
        total = max(1, sum(row))
        cells = "".join(
            f'<td style="--v:{255 * count / total:.0f}"{" class=d" if 2 * count > total else ""}>{count or ""}</td>'
            for count in row
        )
        rows.append(f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>')
    return f'<table class="confusion"><tr><th>is \\ answer</th>{head}</tr>{"".join(rows)}</table>'
