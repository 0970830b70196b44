from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from anybyte.files import ogg
from anybyte.files.audio import AUDIO_FORMATS, decode_audio, encode_audio
from anybyte.files.media import decode, encode

STEPS = {
    "wav": 2**-15,
    "wav:u8": 2**-7,
    "wav:s16": 2**-15,
    "wav:s24": 2**-23,
    "wav:s32": 2**-24,
    "wav:f32": 0,
    "wav:f64": 0,
    "flac": 2**-14,
}
"""The largest error of each lossless format. A float32 sample cannot do better than 2**-24 of full scale."""

sounds = arrays.arrays(
    np.float32,
    st.one_of(st.tuples(st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(2, 3))),
    elements=st.floats(-1, 1, width=32),
)


def tone(seconds: float = 0.5, rate: int = 16_000) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@given(samples=sounds, format=st.sampled_from(sorted(STEPS)))
def test_lossless_formats_give_the_samples_back_within_half_a_step(samples: NDArray[np.float32], format: str) -> None:
    sound = decode_audio(encode_audio(samples, 8000, format))
    assert sound.samples.dtype == np.float32
    assert sound.rate == 8000
    np.testing.assert_allclose(sound.samples, samples, rtol=0, atol=STEPS[format])


@given(samples=sounds, format=st.sampled_from([name for name in STEPS if name.startswith("wav")]))
def test_a_wav_decoded_and_encoded_again_is_the_same_file(samples: NDArray[np.float32], format: str) -> None:
    data = encode_audio(samples, 8000, format)
    assert encode(decode(data)) == data


@pytest.mark.parametrize("format", ["ogg", "mp3"])
def test_lossy_formats_keep_length_rate_and_roughly_the_sound(format: str) -> None:
    samples = tone()
    sound = decode_audio(encode_audio(samples, 16_000, format))
    assert (sound.samples.shape, sound.rate, sound.format) == (samples.shape, 16_000, format)
    assert np.abs(sound.samples - samples).mean() < 0.05


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_equal_samples_give_equal_bytes(format: str) -> None:
    assert encode_audio(tone(), 16_000, format) == encode_audio(tone(), 16_000, format)


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_every_format_has_a_name_for_itself(format: str) -> None:
    assert decode(encode_audio(tone(), 16_000, format)).format == ("wav:s16" if format == "wav" else format)


@pytest.mark.parametrize(
    ("format", "length"), [("wav:u8", 16_044), ("wav:s16", 32_044), ("wav:s32", 64_044), ("wav:f32", 64_058)]
)
def test_lengths_of_a_second_at_16_khz(format: str, length: int) -> None:
    assert len(encode_audio(tone(1.0), 16_000, format)) == length


def test_samples_are_scaled_as_the_paper_has_it() -> None:
    samples = np.array([-1, -0.5, 0, 0.5, 1], dtype=np.float32)
    s16 = np.frombuffer(encode_audio(samples, 8000, "wav:s16"), dtype="<i2", offset=44)
    np.testing.assert_array_equal(s16, np.rint(samples * 32767))
    u8 = np.frombuffer(encode_audio(samples, 8000, "wav:u8"), dtype="u1", offset=44, count=5)
    np.testing.assert_array_equal(u8, np.rint((samples + 1) * 127.5))


def test_a_16_bit_file_keeps_every_value_through_decoding() -> None:
    values = np.arange(-32767, 32768, dtype="<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(values.tobytes())
    assert encode(decode(file.getvalue())) == file.getvalue()


@pytest.mark.parametrize("format", [name for name in AUDIO_FORMATS if name.startswith("wav")])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_programs_read_our_wavs(format: str, channels: int) -> None:
    samples = np.stack([tone(0.01), -tone(0.01)], axis=1)[:, :channels].squeeze()
    data = encode_audio(samples, 11_025, format)
    read, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    assert rate == 11_025
    np.testing.assert_allclose(read, samples, atol=2**-6 if format == "wav:u8" else 1e-4)
    assert len(data) == struct.unpack_from("<I", data, 4)[0] + 8


def test_an_odd_number_of_bytes_is_padded() -> None:
    data = encode_audio(np.zeros(3, dtype=np.float32), 8000, "wav:u8")
    assert len(data) == 48
    assert decode_audio(data).samples.shape == (3,)


def test_integers_are_clipped_and_floats_are_not() -> None:
    samples = np.array([-3, 3], dtype=np.float32)
    np.testing.assert_array_equal(decode_audio(encode_audio(samples, 8000, "wav:s16")).samples, [-1, 1])
    np.testing.assert_array_equal(decode_audio(encode_audio(samples, 8000, "wav:f32")).samples, [-3, 3])


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


PLAIN = struct.pack("<HHIIHH", 1, 1, 8000, 16_000, 2, 16)


def test_chunks_around_the_samples_are_passed_over() -> None:
    data = riff((b"LIST", b"odd"), (b"fmt ", PLAIN), (b"data", b"\1\0\2\0"), (b"LIST", b"tail"))
    np.testing.assert_allclose(decode_audio(data).samples * 32767, [1, 2], rtol=1e-6)


def test_the_extensible_form_is_understood() -> None:
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 16_000, 2, 16) + struct.pack("<HHIH14x", 22, 16, 4, 1)
    assert decode_audio(riff((b"fmt ", form), (b"data", b"\1\0"))).format == "wav:s16"


def test_a_stream_of_unknown_length_is_read_to_its_end() -> None:
    data = riff((b"fmt ", PLAIN), (b"data", b"\1\0\2\0\3"))[:-1]
    open_ended = data.replace(b"data\5\0\0\0", b"data\xff\xff\xff\xff")
    assert decode_audio(open_ended).samples.shape == (2,)


def test_encodings_that_are_only_read_go_through_libsndfile() -> None:
    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="WAV", subtype="ULAW")
    sound = decode(file.getvalue())
    assert sound.format == "wav"
    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="AIFF")
    sound = decode(file.getvalue())
    assert sound.format == "aiff"
    with pytest.raises(ValueError, match="read from aiff but not written"):
        encode(sound)


@pytest.mark.parametrize("format", AUDIO_FORMATS)
def test_a_truncated_sound_is_an_error_that_names_it(format: str) -> None:
    data = encode_audio(tone(1.0), 16_000, format)
    # The last frame of an MP3 can be lost without a trace: only its length in frames is written in front.
    for length in (len(data) // 2, 30) if format == "mp3" else (len(data) - 1, len(data) // 2, 30):
        with pytest.raises(ValueError, match=r"^clips/7: "):
            decode(data[:length], "clips/7")


@pytest.mark.parametrize(
    "data",
    [
        riff((b"data", b"\0\0")),
        riff((b"fmt ", PLAIN)),
        riff((b"fmt ", PLAIN), (b"data", b"")),
        riff((b"fmt ", PLAIN[:2] + b"\0\0" + PLAIN[4:]), (b"data", b"\0\0")),
        b"fLaC rubbish",
        b"OggS rubbish",
        b"\xff\xfb rubbish",
    ],
)
def test_a_damaged_sound_is_an_error_that_names_it(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^clips/7: "):
        decode(data, "clips/7")


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(4),
        np.zeros(0, dtype=np.float32),
        np.zeros((1, 2, 3), dtype=np.float32),
        np.array([0, np.nan], dtype=np.float32),
    ],
)
def test_an_array_that_is_no_sound_is_refused(samples: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="a sound"):
        encode_audio(samples, 8000, "wav")


def test_a_rate_that_a_format_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="12345 Hz"):
        encode_audio(tone(), 12_345, "mp3")
    with pytest.raises(ValueError, match="0 samples a second"):
        encode_audio(tone(), 0, "wav")


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'wav:s8'.*wav:u8, wav:s16.*flac, ogg, mp3"):
        encode_audio(tone(), 8000, "wav:s8")


def test_a_medium_cannot_be_written_as_the_other() -> None:
    sound = decode(encode_audio(tone(), 8000, "wav"))
    with pytest.raises(ValueError, match="a sound cannot be written as tiff"):
        encode(sound, "tiff")
    with pytest.raises(ValueError, match="unknown format 'nope'"):
        encode(sound, "nope")


def test_ogg_checksums_are_those_of_libogg() -> None:
    file = io.BytesIO()
    soundfile.write(file, tone(), 16_000, format="OGG", subtype="VORBIS")
    data = file.getvalue()
    (serial,) = struct.unpack_from("<I", data, 14)
    assert ogg.with_serial(data, serial) == data
    assert ogg.with_serial(ogg.with_serial(data, 7), serial) == data
