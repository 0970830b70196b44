"""The tables of the paper and their rows: 45 trainings in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anybyte.config import Recipe
from anybyte.recipes.byteformer import byte_order, camera, encodings, jpeg_q60, jpeg_q100, mp3, obfuscation, wav
from anybyte.recipes.byteformer.pieces import IMAGENET, SPEECH_COMMANDS

Row = Callable[[], Recipe]


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes:
        name: short, as in `small/camera/keep_10`.
        title: what its rows differ in.
        prefix: of the rows' recipes: `byteformer/imagenet_camera_`.
        rows: the functions that return them, in the paper's order.
    """

    name: str
    title: str
    prefix: str
    rows: tuple[Row, ...]

    @property
    def data(self) -> str:
        """What the paper trained on."""
        return "ImageNet" if self.prefix.startswith(IMAGENET) else "Speech Commands v2"

    @property
    def recipes(self) -> dict[str, Row]:
        """Name of the recipe -> the function that returns it."""
        return {self.prefix + row.__name__: row for row in self.rows}


TABLES = (
    Table("encodings", "file formats of pictures", IMAGENET, encodings.ROWS),
    Table("jpeg_q100", "JPEG of quality 100, by kernel size", IMAGENET + "jpeg_q100_", jpeg_q100.ROWS),
    Table("jpeg_q60", "JPEG of quality 60, by kernel and window size", IMAGENET + "jpeg_q60_", jpeg_q60.ROWS),
    Table("byte_order", "order of the bytes of a JPEG file", IMAGENET + "order_", byte_order.ROWS),
    Table("obfuscation", "noise under a permutation of byte values", IMAGENET, obfuscation.ROWS),
    Table("camera", "share of the pixel channels that a camera forms", IMAGENET + "camera_", camera.ROWS),
    Table("mp3", "MP3, by kernel and window size", SPEECH_COMMANDS + "mp3_", mp3.ROWS),
    Table("wav", "WAV, by sample type and kernel size", SPEECH_COMMANDS + "wav_", wav.ROWS),
)


def table(name: str) -> Table:
    """The table of this short name.

    Raises:
        ValueError: there is none.
    """
    for candidate in TABLES:
        if candidate.name == name:
            return candidate
    raise ValueError(f"no table {name!r}: there are {', '.join(table.name for table in TABLES)}")
