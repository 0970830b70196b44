"""One model for pictures and sounds: the label space decides, not the format (paper, section 4.2)."""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import AugmentConfig, ByteFormerConfig, ReadingConfig, Recipe
from anybyte.recipes.byteformer.pieces import IMAGENET_AUGMENT, SPEECH_AUGMENT, imagenet


def joint() -> Recipe:
    """ImageNet (TIFF) and Speech Commands (float32 WAV) in one label space of 1,012 classes; kernel 32, window 128.

    Data: both data sets, each laid out as for its own recipes, with a plus sign between them:
    `--data imagenet+speech_commands`. The sounds are some 7% of the files, and are seen as often as the pictures.
    """
    pictures = imagenet("joint", "tiff", kernel_size=32)
    assert isinstance(pictures.model, ByteFormerConfig)
    assert isinstance(pictures.reading, ReadingConfig)
    return replace(
        pictures,
        name="byteformer/joint",
        model=replace(pictures.model, num_classes=1012),
        data=replace(pictures.data, augment=_both()),
        reading=replace(pictures.reading, format="tiff,wav:f32", rate=16_000, seconds=1.0),
    )


def _both() -> AugmentConfig:
    """The augmentation of pictures and that of sounds: a field leaves files of the other medium alone."""
    pictures, sounds, off = vars(IMAGENET_AUGMENT), vars(SPEECH_AUGMENT), AugmentConfig()
    return AugmentConfig(**(pictures | {name: value for name, value in sounds.items() if value != getattr(off, name)}))
