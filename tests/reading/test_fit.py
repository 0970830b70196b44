"""Whether a model can classify what a reading gives, said before anything is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anybyte.config import (
    AnyReadingConfig,
    AudioInputConfig,
    AverageOutputConfig,
    ByteFormerConfig,
    BytesInputConfig,
    ClassOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    PerceiverConfig,
    PixelsConfig,
    ReadingConfig,
)
from anybyte.reading import make_reading
from anybyte.reading.fit import check_fit

POSITIONS = FourierPositionsConfig(num_bands=2, max_resolution=(8, 8))
IMAGE = ImageInputConfig(shape=(8, 8), positions=POSITIONS)
PIXELS = PerceiverConfig(inputs=(IMAGE,), outputs=(ClassOutputConfig(),))
FILES = PerceiverConfig(inputs=(BytesInputConfig(),), outputs=(AverageOutputConfig(),))
READ = PixelsConfig(image_size=8)


@pytest.mark.parametrize(
    ("model", "reading"),
    [(PIXELS, READ), (FILES, ReadingConfig(format="tiff")), (ByteFormerConfig(), ReadingConfig())],
)
def test_what_fits(model: PerceiverConfig, reading: AnyReadingConfig) -> None:
    check_fit(model, make_reading(reading))


@pytest.mark.parametrize(
    ("model", "reading", "message"),
    [
        (ByteFormerConfig(), READ, "a ByteFormer reads bytes, but reading.kind is 'pixels'"),
        (FILES, READ, "input 'file' of the model reads bytes, but reading.kind is 'pixels'"),
        (PIXELS, ReadingConfig(), "input 'image' of the model reads image, but reading.kind is 'bytes'"),
        (PIXELS, PixelsConfig(), r"'image' of the model \(image\) is made for 8 x 8 x 3, .* gives 224 x 224 x 3"),
        (
            replace(PIXELS, inputs=(replace(IMAGE, num_channels=1),)),
            READ,
            r"is made for 8 x 8 x 1, but the reading \(pixels\) gives 8 x 8 x 3",
        ),
        (
            replace(PIXELS, inputs=(AudioInputConfig(positions=None),)),
            READ,
            "input 'audio' of the model reads audio, but reading.kind is 'pixels'",
        ),
        (
            replace(PIXELS, inputs=(IMAGE, AudioInputConfig(positions=None))),
            READ,
            r"the reading \(pixels\) gives one array, but the model reads image and audio",
        ),
        (replace(PIXELS, outputs=()), READ, "one output, of classes; this one reads image and answers nothing"),
        (
            replace(PIXELS, outputs=(GridOutputConfig(name="a", shape=(2,), num_channels=1, positions=POSITIONS),)),
            READ,
            "one output, of classes; this one reads image and answers grid",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    model: PerceiverConfig | ByteFormerConfig, reading: AnyReadingConfig, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_fit(model, make_reading(reading))
