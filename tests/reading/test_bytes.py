from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anybyte.config import AugmentConfig, PrivacyConfig, ReadingConfig
from anybyte.files.images import centre_square
from anybyte.files.media import Audio, decode, encode_audio, encode_image
from anybyte.privacy.keys import create_key
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.protect import Protection
from anybyte.privacy.seal import seal
from anybyte.reading import ByteReading, as_json, reading_digest

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
SAMPLES = np.random.default_rng(0).uniform(-0.9, 0.9, 4000).astype(np.float32)
PNG, WAV = encode_image(PIXELS, "png:0"), encode_audio(SAMPLES, 8000, "wav")
IMAGE = AugmentConfig(crop_padding=2, flip=True, brightness=0.2, erase=0.5)
KEY = Permutation.random(9)
AUDIO = AugmentConfig(gain_db=6, shift_seconds=0.1, noise_db=-30, time_mask_seconds=0.1)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_with_nothing_to_do_the_bytes_are_handed_through_unread() -> None:
    data = b"not a picture at all"
    assert ByteReading()(data, "a", rng()) is data
    assert ByteReading(augment=IMAGE)(data, "a") is data


def test_changes_for_the_other_medium_leave_a_file_alone() -> None:
    assert ByteReading(augment=IMAGE)(WAV, "a", rng()) is WAV
    assert ByteReading(augment=AUDIO)(PNG, "a", rng()) is PNG


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
    assert ByteReading(augment=both)(data, "a", rng()) is data


@pytest.mark.parametrize("format", ["png:0", "png", "tiff", "bmp", "ppm", "jpeg:q60"])
def test_a_changed_picture_stays_what_it_was(format: str) -> None:
    data = encode_image(PIXELS, format)
    changed = ByteReading(augment=IMAGE)(data, "a", rng())
    assert changed != data
    assert decode(changed).format == format


def test_a_changed_sound_stays_what_it_was() -> None:
    changed = ByteReading(augment=AUDIO)(WAV, "a", rng())
    assert changed != WAV
    assert changed[:44] == WAV[:44]
    sound = decode(ByteReading(augment=AugmentConfig(speed=0.2))(WAV, "a", rng()))
    assert isinstance(sound, Audio)
    assert (sound.format, sound.rate) == ("wav:s16", 8000)


def test_equal_generators_give_equal_bytes() -> None:
    for augment, data in ((IMAGE, PNG), (AUDIO, WAV)):
        transform = ByteReading(augment=augment)
        results = [transform(data, "a", rng(seed)) for seed in (1, 1, 2, 3, 4)]
        assert results[0] == results[1]
        assert len(set(results)) > 2


@pytest.mark.parametrize("source", ["png", "tiff", "jpeg:q100"])
@pytest.mark.parametrize("target", ["fhwc", "fchw", "tiff", "png:0", "jpeg:q60"])
def test_pictures_are_written_in_the_format_asked_for(source: str, target: str) -> None:
    data = encode_image(PIXELS, source)
    assert ByteReading(ReadingConfig(format=target))(data, "a") == encode_image(decode(data).pixels, target)
    assert ByteReading(ReadingConfig(format=target), IMAGE)(data, "a", None) == ByteReading(
        ReadingConfig(format=target)
    )(data, "a", rng())


def test_sounds_are_written_in_the_format_asked_for() -> None:
    assert ByteReading(ReadingConfig(format="wav:f32"))(WAV, "a") == encode_audio(decode(WAV).samples, 8000, "wav:f32")


def test_a_transform_can_be_sent_to_a_worker() -> None:
    transform = ByteReading(ReadingConfig(format="tiff"), IMAGE, 10_000)
    copy = pickle.loads(pickle.dumps(transform))
    assert (copy.config, copy.augment, copy.max_bytes) == (transform.config, transform.augment, transform.max_bytes)
    assert copy(PNG, "a", rng()) == transform(PNG, "a", rng())


@pytest.mark.parametrize(
    ("transform", "data", "message"),
    [
        (ByteReading(), b"", "x/1: the file is empty"),
        (ByteReading(max_bytes=10), bytes(11), "x/1: 11 bytes are more than max_bytes, 10"),
        (
            ByteReading(ReadingConfig(format="fhwc"), max_bytes=200),
            encode_image(PIXELS * 0, "png"),
            "x/1: 576 bytes are more than max_bytes",
        ),
        (ByteReading(ReadingConfig(format="tiff")), WAV, "x/1: a sound cannot be written as tiff"),
        (ByteReading(ReadingConfig(format="wav")), PNG, "x/1: a picture cannot be written as wav"),
        (ByteReading(ReadingConfig(format="tiff")), PNG[:100], "x/1: .*truncated"),
        (ByteReading(augment=IMAGE), PNG[:100], "x/1: .*truncated"),
        (
            ByteReading(ReadingConfig(format="png"), IMAGE),
            b"plain text",
            r"x/1: neither a picture nor a sound .*70 6c 61 69",
        ),
        (ByteReading(ReadingConfig(format="wav"), AUDIO), b"BM is a car's plate", "x/1: neither a picture nor a sound"),
    ],
)
def test_errors_name_the_file(transform: ByteReading, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform(data, "x/1", rng())


def test_senseless_settings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"unknown format 'tif'; pictures can be fhwc.*; sounds can be wav"):
        ByteReading(ReadingConfig(format="tif"))
    with pytest.raises(ValueError, match=r"augment\.erase is 2"):
        ByteReading(augment=AugmentConfig(erase=2))


def test_of_several_formats_one_that_fits_is_taken() -> None:
    reading = ByteReading(ReadingConfig(format="tiff, wav:u8,png:0,jpeg:q60"))
    assert reading(PNG, "a") == encode_image(PIXELS, "tiff")
    assert decode(reading(WAV, "a")).format == "wav:u8"
    drawn = {decode(reading(PNG, "a", rng(seed))).format for seed in range(30)}
    assert drawn == {"tiff", "png:0", "jpeg:q60"}
    assert reading(PNG, "a", rng(3)) == reading(PNG, "a", rng(3))


def test_pictures_are_brought_to_a_size() -> None:
    reading = ByteReading(ReadingConfig(image_size=8))
    for augment in (AugmentConfig(), IMAGE, AugmentConfig(crop_size=8)):
        data = ByteReading(ReadingConfig(image_size=8), augment)(PNG, "a", rng())
        assert decode(data).format == "png:0"
        assert decode(data).pixels.shape == (8, 8, 3)
    assert decode(reading(PNG, "a")).pixels.tolist() == centre_square(PIXELS, 8).tolist()
    assert reading(WAV, "a") is WAV


def test_a_square_of_the_size_stays() -> None:
    data = encode_image(PIXELS[:12], "png:0")
    assert ByteReading(ReadingConfig(image_size=12))(data, "a") == data


def test_sounds_are_brought_to_a_rate_and_length() -> None:
    stereo = encode_audio(np.stack([SAMPLES, -SAMPLES], axis=1), 8000, "wav:s16")
    sound = decode(ByteReading(ReadingConfig(rate=16_000, seconds=0.75))(stereo, "a"))
    assert (sound.rate, sound.samples.shape) == (16_000, (12_000,))
    assert not sound.samples.any()  # the two channels cancel out
    short = decode(ByteReading(ReadingConfig(seconds=0.25))(WAV, "a"))
    assert (short.rate, short.samples.tolist()) == (8000, decode(WAV).samples[:2000].tolist())
    assert ByteReading(ReadingConfig(rate=16_000))(PNG, "a") is PNG


def test_a_size_or_rate_cannot_be_given_to_what_is_no_medium() -> None:
    for config in (ReadingConfig(image_size=8), ReadingConfig(rate=8000), ReadingConfig(seconds=1)):
        with pytest.raises(ValueError, match="x/1: neither a picture nor a sound"):
            ByteReading(config)(b"plain text", "x/1")


def test_privacy_comes_last() -> None:
    config = ReadingConfig(format="tiff", privacy=PrivacyConfig(noise=5, permutation=True))
    plain = encode_image(PIXELS, "tiff")
    assert ByteReading(config)(PNG, "a") == Protection(config.privacy)(plain)
    assert ByteReading(replace(config, format=None))(b"plain text", "a") == Protection(config.privacy)(b"plain text")
    assert (
        ByteReading(config)(PNG, "a", rng(1))
        == ByteReading(config)(PNG, "a", rng(1))
        != ByteReading(config)(PNG, "a", rng(2))
    )


def test_a_camera_needs_no_file_of_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ReadingConfig(format="fhwc", privacy=PrivacyConfig(camera_keep=0.1))
    whole = Protection(config.privacy)(PIXELS.tobytes())
    monkeypatch.setattr("anybyte.reading.bytes.encode", None)
    assert ByteReading(config)(PNG, "a") == whole
    assert len(whole) == round(0.1 * PIXELS.size)


def sealed(payload: bytes = b"payload", key: Permutation = KEY, config: ReadingConfig | None = None) -> bytes:
    return seal(payload, key.fingerprint, reading_digest(config or ReadingConfig()))


def test_a_sealed_file_is_opened_with_and_without_the_key() -> None:
    config = ReadingConfig(privacy=PrivacyConfig(permutation=True, fingerprint=KEY.fingerprint))
    assert ByteReading(config)(sealed(), "a") == b"payload"
    assert ByteReading(config, key=KEY)(sealed(), "a", rng()) == b"payload"
    assert ByteReading(config, key=KEY)(b"plain", "a") == KEY.apply(b"plain")
    drawn = ReadingConfig(privacy=PrivacyConfig(permutation=True, seed=2))
    assert ByteReading(drawn)(sealed(key=Permutation.random(2), config=drawn), "a") == b"payload"


def test_a_sealed_file_for_another_is_refused() -> None:
    keyed = ReadingConfig(privacy=PrivacyConfig(permutation=True, fingerprint=KEY.fingerprint))
    with pytest.raises(ValueError, match=r"x/1 is sealed with the key .*, but this model reads plain files"):
        ByteReading()(sealed(), "x/1")
    with pytest.raises(
        ValueError, match=f"x/1 is sealed with the key .*, but this model is for {KEY.fingerprint[:16]}"
    ):
        ByteReading(keyed)(sealed(key=Permutation.random(1)), "x/1")
    with pytest.raises(ValueError, match="x/1 is sealed with the right key, but was not read as"):
        ByteReading(replace(keyed, format="tiff"))(sealed(), "x/1")
    with pytest.raises(ValueError, match="x/1: 7 bytes are more than max_bytes, 6"):
        ByteReading(keyed, max_bytes=6).open_sealed(sealed(), "x/1")


def test_what_is_kept_names_no_key(tmp_path: Path) -> None:
    key = create_key(tmp_path / "my.key")
    reading = ByteReading(ReadingConfig(privacy=PrivacyConfig(permutation=True, key=str(tmp_path / "my.key"))))
    assert reading.kept.privacy == PrivacyConfig(permutation=True, fingerprint=key.fingerprint)
    assert "my.key" not in str(as_json(reading.config))
    assert key.table.hex() not in str(as_json(reading.config))
    copy = pickle.loads(pickle.dumps(reading))
    assert copy(b"plain", "a") == key.apply(b"plain")


def test_other_fields_keep_the_key() -> None:
    config = ReadingConfig(privacy=PrivacyConfig(permutation=True, fingerprint=KEY.fingerprint))
    reading = ByteReading(config, IMAGE, 10, KEY).altered(max_bytes=20_000, format="tiff")
    assert reading(PNG, "a", rng()) == KEY.apply(encode_image(PIXELS, "tiff"))
    drawn = ByteReading(ReadingConfig(privacy=PrivacyConfig(permutation=True, seed=2))).altered(max_bytes=None)
    assert drawn.config.privacy.fingerprint is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ReadingConfig(format="tiff,wab"), "unknown format 'wab'"),
        (ReadingConfig(format=""), "unknown format ''"),
        (ReadingConfig(format=3), r"reading\.format is 3"),  # type: ignore[arg-type]
        (ReadingConfig(image_size=0), r"reading\.image_size is 0"),
        (ReadingConfig(image_size="8"), r"reading\.image_size is '8'"),  # type: ignore[arg-type]
        (ReadingConfig(rate=-1), r"reading\.rate is -1"),
        (ReadingConfig(seconds=0.0), r"reading\.seconds is 0\.0"),
        (ReadingConfig(seconds=float("nan")), r"reading\.seconds is nan"),
        (ReadingConfig(privacy=PrivacyConfig(noise=500)), r"reading\.privacy\.noise is 500"),
        (ReadingConfig(privacy=None), r"reading\.privacy is None"),  # type: ignore[arg-type]
    ],
)
def test_senseless_readings_are_refused_at_once(config: ReadingConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByteReading(config)
