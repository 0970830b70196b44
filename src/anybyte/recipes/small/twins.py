"""Small twins of the paper's experiments: the same rows on real data at hand, minutes each on one processor core.

A twin is the paper's recipe with three things replaced: the data, the size of the model, and the length of training.
What the rows of a table differ in (format, byte order, noise, camera, kernel, window) is taken from the paper's recipe,
so that it cannot drift apart. All rows of a table see the same files, as often, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from anybyte.config import AugmentConfig, ByteFormerConfig, DataConfig, OptimConfig, ReadingConfig, Recipe, RunConfig
from anybyte.recipes.byteformer.tables import TABLES, Row, Table, table

CLOTHES, PHOTOS, DIGITS = "fashion_mnist_png.zip", "cifar10_tiff.zip", "fsdd.zip"
"""Archives that `scripts/prepare_data.py` writes. Both kinds of pictures are stored without loss."""

SUBJECTS = {CLOTHES: "Fashion-MNIST", PHOTOS: "CIFAR-10", DIGITS: "spoken digits"}


MODEL = ByteFormerConfig(num_classes=10, dim=64, num_heads=2, depth=4, merge_after=(0, 1), initialisation="smooth")
"""The model of all twins, but for what a row decides: 0.2 million parameters."""

INTEGER_SAMPLES = ("wav:s16", "wav:s32")
"""Formats whose bytes are halves or quarters of samples: here `initialisation` is "samples" (docs/design.md)."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the rows of one table are made small.

    Attributes:
        data: archive of the files.
        steps: optimiser steps.
        batch_files: files a step.
        optim: of training.
        augment: of training.
        format: what files are written as, where the paper's format does not fit. None: the row's.
        image_size: pictures: pixels a side. None: as stored.
        rate: sounds: samples a second. None: as stored.
        val_fraction: share of the training files that chooses the weights.
        why: what differs from the paper besides data, size and length, in words for the page of results.
    """

    data: str
    steps: int
    batch_files: int = 64
    optim: OptimConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    format: str | None = None
    image_size: int | None = None
    rate: int | None = None
    val_fraction: float = 0.02
    why: str = ""


_OPTIM = OptimConfig(learning_rate=3e-3, warmup_steps=100, ema_decay=0.99)

_PIXELS = Scale(data=CLOTHES, steps=900, optim=_OPTIM)
_HARDER = replace(_PIXELS, steps=1_500)
_SPEECH = Scale(
    data=DIGITS,
    steps=480,
    batch_files=32,
    optim=replace(_OPTIM, learning_rate=1e-3, stem_scale=0.3),
    rate=4_000,
    val_fraction=0.05,
    why="Sounds are resampled to 4 kHz, and are as long as they are.",
)

SCALES = {
    "encodings": replace(_HARDER, data=PHOTOS),
    "jpeg_q100": _HARDER,
    "jpeg_q60": replace(_PIXELS, steps=600),
    "byte_order": replace(
        _PIXELS,
        steps=500,
        image_size=56,
        why="Pictures are scaled up to 56 x 56: files are then longer than the 1,024 bytes of stride and window.",
    ),
    "obfuscation": _PIXELS,
    "camera": _PIXELS,
    "mp3": replace(
        _SPEECH,
        format="mp3:16k",
        rate=8_000,
        why="Sounds are resampled to 8 kHz, MP3's lowest rate, and are as long as they are; 16 kbit/s.",
    ),
    "wav": _SPEECH,
}
"""Table -> how its rows are made small."""


@dataclass(frozen=True)
class Twin:
    """One row of a table, made small.

    Attributes:
        table: that it belongs to.
        paper: the name of the paper's recipe.
        row: the function that returns it.
        label: what the row is called.
    """

    table: Table
    paper: str
    row: Row
    label: str

    @property
    def name(self) -> str:
        return f"small/{self.table.name}/{self.label}"

    @property
    def scale(self) -> Scale:
        return SCALES[self.table.name]

    @property
    def function(self) -> Row:
        """A function of its own, as the other recipes have one, with a line on what it trains on."""

        def recipe() -> Recipe:
            return self.recipe()

        recipe.__doc__ = f"Minutes on {SUBJECTS[self.scale.data]}: the small twin of `{self.paper}`."
        return recipe

    def recipe(self) -> Recipe:
        """The small recipe."""
        paper, scale = self.row(), self.scale
        assert isinstance(paper.model, ByteFormerConfig)
        assert isinstance(paper.reading, ReadingConfig)
        reading = replace(
            paper.reading,
            format=scale.format or paper.reading.format,
            image_size=scale.image_size,
            rate=scale.rate,
            seconds=None,
        )
        model = replace(
            MODEL,
            kernel_size=paper.model.kernel_size,
            window_sizes=paper.model.window_sizes,
            initialisation="samples" if reading.format in INTEGER_SAMPLES else MODEL.initialisation,
        )
        return Recipe(
            name=self.name,
            model=model,
            data=DataConfig(augment=scale.augment, val_fraction=scale.val_fraction),
            reading=reading,
            optim=scale.optim,
            run=RunConfig(
                out=f"runs/{self.name.removeprefix('small/').replace('/', '_')}",
                epochs=1_000,
                max_steps=scale.steps,
                batch_files=scale.batch_files,
                precision="bf16",
                evaluate_every=2,
            ),
        )


def _twins() -> Iterator[Twin]:
    for each in TABLES:
        yield from (Twin(each, name, row, row.__name__) for name, row in each.recipes.items())
    # What the orders are compared with stands in another table of the paper, and is made small in another way there.
    plain = table("jpeg_q100").recipes
    yield Twin(
        table("byte_order"), "byteformer/imagenet_jpeg_q100_k32", plain["byteformer/imagenet_jpeg_q100_k32"], "stored"
    )


TWINS = tuple(_twins())
