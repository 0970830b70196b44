from __future__ import annotations

import pickle

import numpy as np
import pytest

from anybyte.config import AugmentConfig, ReadingConfig
from anybyte.files.media import Audio, decode, encode_audio, encode_image
from anybyte.reading import Reading

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
SAMPLES = np.random.default_rng(0).uniform(-0.9, 0.9, 4000).astype(np.float32)
PNG, WAV = encode_image(PIXELS, "png:0"), encode_audio(SAMPLES, 8000, "wav")
IMAGE = AugmentConfig(crop_padding=2, flip=True, brightness=0.2, erase=0.5)
AUDIO = AugmentConfig(gain_db=6, shift_seconds=0.1, noise_db=-30, time_mask_seconds=0.1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_with_nothing_to_do_the_bytes_are_handed_through_unread() -> None:
    data = b"not a picture at all"
    assert Reading()(data, "a", rng()) is data
    assert Reading(augment=IMAGE)(data, "a") is data


def test_changes_for_the_other_medium_leave_a_file_alone() -> None:
    assert Reading(augment=IMAGE)(WAV, "a", rng()) is WAV
    assert Reading(augment=AUDIO)(PNG, "a", rng()) is PNG


@pytest.mark.parametrize(
    "data",
    [
        b"plain text",
        b"P2 is a level of support",
        b"P6\n# a title",
        b"BM is a car's plate, not a picture",
        b"ID3 is an algorithm",
        "text in UTF-16".encode("utf-16-le").join((b"\xff\xfe", b"")),
        bytes(100),
    ],
)
def test_changes_leave_what_is_neither_picture_nor_sound_alone(data: bytes) -> None:
    both = AugmentConfig(flip=True, brightness=0.5, gain_db=6)
    assert Reading(augment=both)(data, "a", rng()) is data


@pytest.mark.parametrize("format", ["png:0", "png", "tiff", "bmp", "ppm", "jpeg:q60"])
def test_a_changed_picture_stays_what_it_was(format: str) -> None:
    data = encode_image(PIXELS, format)
    changed = Reading(augment=IMAGE)(data, "a", rng())
    assert changed != data
    assert decode(changed).format == format


def test_a_changed_sound_stays_what_it_was() -> None:
    changed = Reading(augment=AUDIO)(WAV, "a", rng())
    assert changed != WAV
    assert changed[:44] == WAV[:44]
    sound = decode(Reading(augment=AugmentConfig(speed=0.2))(WAV, "a", rng()))
    assert isinstance(sound, Audio)
    assert (sound.format, sound.rate) == ("wav:s16", 8000)


def test_equal_generators_give_equal_bytes() -> None:
    for augment, data in ((IMAGE, PNG), (AUDIO, WAV)):
        transform = Reading(augment=augment)
        results = [transform(data, "a", rng(seed)) for seed in (1, 1, 2, 3, 4)]
        assert results[0] == results[1]
        assert len(set(results)) > 2


@pytest.mark.parametrize("source", ["png", "tiff", "jpeg:q100"])
@pytest.mark.parametrize("target", ["fhwc", "fchw", "tiff", "png:0", "jpeg:q60"])
def test_pictures_are_written_in_the_format_asked_for(source: str, target: str) -> None:
    data = encode_image(PIXELS, source)
    assert Reading(ReadingConfig(format=target))(data, "a") == encode_image(decode(data).pixels, target)
    assert Reading(ReadingConfig(format=target), IMAGE)(data, "a", None) == Reading(ReadingConfig(format=target))(
        data, "a", rng()
    )


def test_sounds_are_written_in_the_format_asked_for() -> None:
    assert Reading(ReadingConfig(format="wav:f32"))(WAV, "a") == encode_audio(decode(WAV).samples, 8000, "wav:f32")


def test_a_transform_can_be_sent_to_a_worker() -> None:
    transform = Reading(ReadingConfig(format="tiff"), IMAGE, 10_000)
    copy = pickle.loads(pickle.dumps(transform))
    assert (copy.config, copy.augment, copy.max_bytes) == (transform.config, transform.augment, transform.max_bytes)
    assert copy(PNG, "a", rng()) == transform(PNG, "a", rng())


@pytest.mark.parametrize(
    ("transform", "data", "message"),
    [
        (Reading(), b"", "x/1: the file is empty"),
        (Reading(max_bytes=10), bytes(11), "x/1: 11 bytes are more than max_bytes, 10"),
        (
            Reading(ReadingConfig(format="fhwc"), max_bytes=200),
            encode_image(PIXELS * 0, "png"),
            "x/1: 576 bytes are more than max_bytes",
        ),
        (Reading(ReadingConfig(format="tiff")), WAV, "x/1: a sound cannot be written as tiff"),
        (Reading(ReadingConfig(format="wav")), PNG, "x/1: a picture cannot be written as wav"),
        (Reading(ReadingConfig(format="tiff")), PNG[:100], "x/1: .*truncated"),
        (Reading(augment=IMAGE), PNG[:100], "x/1: .*truncated"),
        (
            Reading(ReadingConfig(format="png"), IMAGE),
            b"plain text",
            r"x/1: neither a picture nor a sound .*70 6c 61 69",
        ),
        (Reading(ReadingConfig(format="wav"), AUDIO), b"BM is a car's plate", "x/1: neither a picture nor a sound"),
    ],
)
def test_errors_name_the_file(transform: Reading, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform(data, "x/1", rng())


def test_senseless_settings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"unknown format 'tif'; pictures can be fhwc.*; sounds can be wav"):
        Reading(ReadingConfig(format="tif"))
    with pytest.raises(ValueError, match=r"augment\.erase is 2"):
        Reading(augment=AugmentConfig(erase=2))
