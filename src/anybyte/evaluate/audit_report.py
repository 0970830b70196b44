"""An audit on paper: `audit.json` for programs, `audit.md` for people, and a PNG of what came back."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from anybyte.evaluate.audit import MOST_DECIBELS, Findings, Row

HEADS = (
    "attack", "what the attacker has", "files", "key: values", "of those in use", "of the bytes", "mean error",
    "mask: exact", "within a pixel", "PSNR, dB", "SSIM", "seconds",
)  # fmt: skip
_LABEL_WIDTH = 78
_SIDE = 64
"""Small pictures are drawn at this size, at least."""
_LARGE = 128
"""And large ones at this."""


@dataclass(frozen=True)
class Section:
    """The findings on one protection: its name for files, a title, and in a sentence what it does."""

    name: str
    title: str
    findings: Findings


@dataclass(frozen=True)
class Audit:
    """All that an audit found: what it was about, by name, and a section a protection."""

    about: Mapping[str, str]
    sections: tuple[Section, ...]


def write_audit(audit: Audit, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes `audit.json`, `audit.md` and a PNG a section that has pictures; the paths of what was written.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {folder / "audit.json": to_json(audit).encode(), folder / "audit.md": to_markdown(audit).encode()}
    for section in audit.sections:
        if section.findings.pictures:
            contents[folder / f"{section.name}.png"] = draw(section.findings.pictures)
    for path, data in contents.items():
        path.write_bytes(data)
    return list(contents)


def to_json(audit: Audit) -> str:
    """Every number of the audit, as one object."""
    sections = [
        {
            "name": section.name,
            "title": section.title,
            "rows": [dataclasses.asdict(row) for row in section.findings.rows],
            "left_out": section.findings.left_out,
        }
        for section in audit.sections
    ]
    return json.dumps({"about": dict(audit.about), "sections": sections}, indent=2) + "\n"


def to_markdown(audit: Audit) -> str:
    """A page: what was audited, and a table a protection."""
    parts = ["# Privacy audit\n", _markdown_table(("what", "value"), list(audit.about.items()))]
    for section in audit.sections:
        heads, rows = tabulate(section.findings.rows)
        parts += [f"## {section.title}\n", _markdown_table(heads, rows)]
        parts += [f"Not done: {reason}.\n" for reason in section.findings.left_out]
        if section.findings.pictures:
            parts.append(f"![what each attack gives back]({section.name}.png)\n")
    return "\n".join(parts)


def tabulate(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and cells of a table, without the columns that no row fills."""
    cells = [_cells(row) for row in rows]
    used = [index for index in range(len(HEADS)) if any(line[index] for line in cells)]
    return tuple(HEADS[index] for index in used), [tuple(line[index] for index in used) for line in cells]


def _cells(row: Row) -> tuple[str, ...]:
    key, mask = row.key, row.mask
    return (
        row.attack,
        row.attacker,
        f"{row.files:,}" if row.files else "-",
        *((f"{key.values:.1%}", f"{key.occurring:.1%}", f"{key.bytes:.1%}", f"{key.error:.2f}") if key else ("",) * 4),
        *((f"{mask.exact:.1%}", f"{mask.near:.1%}") if mask else ("",) * 2),
        "" if row.psnr is None else "equal" if row.psnr >= MOST_DECIBELS else f"{row.psnr:.1f}",
        "" if row.ssim is None else f"{row.ssim:.3f}",
        f"{row.seconds:.1f}",
    )


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def draw(pictures: Sequence[tuple[str, NDArray[np.uint8]]], most: int = 8, side: int | None = None) -> bytes:
    """A PNG with a row of pictures for each name, its name before it.

    Args:
        pictures: names, and uint8 [N, H, W, C] each.
        most: pictures in a row.
        side: the longer side that they are drawn with. None: small ones are enlarged to 64 or so, and of those beyond
            128 only four are drawn, at that.
    """
    first = pictures[0][1]
    height, width = first.shape[1:3]
    longer = max(height, width)
    if side is None and longer > _LARGE:
        side, most = _LARGE, min(most, 4)
    factor = max(1, round(_SIDE / longer)) if side is None else side / longer
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    across = min(most, *(len(row) for _, row in pictures))
    gap = 2
    sheet = Pillow.new("RGB", (_LABEL_WIDTH + across * (size[0] + gap), len(pictures) * (size[1] + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for line, (name, row) in enumerate(pictures):
        top = line * (size[1] + gap)
        pen.text((2, top + size[1] // 2 - 6), name, fill="black")
        for column in range(across):
            drawn = Pillow.fromarray(np.ascontiguousarray(np.broadcast_to(row[column], (height, width, 3))))
            method = Pillow.Resampling.NEAREST if size[0] >= width else Pillow.Resampling.BOX
            sheet.paste(drawn.resize(size, method), (_LABEL_WIDTH + column * (size[0] + gap), top))
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()
