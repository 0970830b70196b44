from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from anybyte.files import mp3, ogg
from anybyte.files.audio import AUDIO_FORMATS, decode_audio, encode_audio, to_length, to_mono_rate
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
    "flac:0": 2**-14,
    "flac:8": 2**-14,
}
"""The largest error of each lossless format. A float32 sample cannot do better than 2**-24 of full scale."""

LOSSY = {"mp3": 0.06, "mp3:64k": 0.05, "mp3:128k": 0.04, "mp3:160k": 0.04, "ogg:q0": 0.3, "ogg": 0.07, "ogg:q10": 0.01}
"""The largest mean error of each lossy format over smooth sounds, of full scale. LAME turns MP3 down by 5%; at its
lowest quality Vorbis loses up to half of a high tone whose channels have opposite signs (silence is off by 0.38)."""

FORMATS = [*STEPS, *LOSSY, "flac:5", "ogg:q9", "mp3:96k"]

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


smooth_sounds = st.builds(
    lambda pitches, length: (
        sum((np.sin(2 * np.pi * pitch * np.arange(length) / 16_000) for pitch in pitches), np.zeros(length)).astype(
            np.float32
        )
        / max(1, len(pitches))
        * np.float32(0.8)
    ),
    st.lists(st.floats(200, 3000), min_size=1, max_size=3),
    st.integers(2000, 6000),
)


@settings(max_examples=30)
@given(samples=smooth_sounds, format=st.sampled_from(sorted(LOSSY)), channels=st.sampled_from([1, 2]))
def test_lossy_formats_keep_length_rate_and_roughly_the_sound(
    samples: NDArray[np.float32], format: str, channels: int
) -> None:
    samples = samples if channels == 1 else np.stack([samples, -samples / 2], axis=1)
    sound = decode_audio(encode_audio(samples, 16_000, format))
    assert (sound.samples.shape, sound.rate, sound.format) == (samples.shape, 16_000, format)
    assert np.abs(sound.samples - samples).mean() < LOSSY[format]


def test_every_listed_format_can_be_written_and_equal_samples_give_equal_bytes() -> None:
    for format in AUDIO_FORMATS:
        kbps = int(format[4:-1]) if format.startswith("mp3:") else 0
        rate = 44_100 if kbps > 160 else 16_000
        assert encode_audio(tone(0.05, rate), rate, format) == encode_audio(tone(0.05, rate), rate, format), format


def test_equal_samples_give_equal_bytes_in_another_process() -> None:
    program = (
        "import hashlib, numpy, sys; from anybyte.files.audio import encode_audio\n"
        "tone = (0.5 * numpy.sin(numpy.arange(4000) / 9)).astype(numpy.float32)\n"
        "print(*(hashlib.sha256(encode_audio(tone, 16000, name)).hexdigest() for name in sys.argv[1:]))"
    )
    names = ["mp3", "mp3:64k", "ogg", "ogg:q7", "flac:8"]
    other = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=True)
    samples = (0.5 * np.sin(np.arange(4000) / 9)).astype(np.float32)
    assert other.stdout.split() == [hashlib.sha256(encode_audio(samples, 16_000, name)).hexdigest() for name in names]


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_tells_its_format(format: str) -> None:
    own = {"wav": "wav:s16", "flac:0": "flac", "flac:5": "flac", "flac:8": "flac"}
    for samples in (tone(), np.stack([tone(), -tone()], axis=1)):
        assert decode(encode_audio(samples, 16_000, format)).format == own.get(format, format)


def test_bitrates_are_kept_and_cost_what_they_say() -> None:
    for rate in (8000, 16_000, 44_100):
        for kbps in mp3.bitrates(rate):
            data = encode_audio(tone(1.0, rate), rate, f"mp3:{kbps}k")
            assert decode(data).format == f"mp3:{kbps}k"
            assert len(data) / (kbps * 1000 / 8) == pytest.approx(1.15, abs=0.15)  # a frame or two more


def test_a_bitrate_that_a_rate_does_not_have_is_answered_with_those_that_it_has() -> None:
    with pytest.raises(ValueError, match=r"written as mp3:320k: at 16000 Hz there are 8k, 16k, .*, 160k$"):
        encode_audio(tone(), 16_000, "mp3:320k")
    with pytest.raises(ValueError, match=r"mp3:64k: MP3 has 8000, .*, 48000 Hz"):
        encode_audio(tone(), 12_345, "mp3:64k")


def test_constant_bitrates_are_told_with_and_without_tags() -> None:
    data = encode_audio(tone(1.0), 16_000, "mp3:64k")
    tag = b"ID3\4\0\0" + bytes([0, 0, 1, 5]) + bytes(133)
    assert mp3.constant_bitrate(tag + data) == 64
    first = 72 * 64_000 // 16_000
    assert mp3.constant_bitrate(data[first:]) == 64
    assert mp3.constant_bitrate(encode_audio(tone(1.0), 16_000, "mp3")) is None
    assert mp3.constant_bitrate(b"") is None


def test_higher_settings_make_smaller_or_better_files() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32) + tone(1.0)
    formats = ("flac:0", "flac:8", "ogg", "ogg:q0", "ogg:q4", "ogg:q10")
    lengths = {format: len(encode_audio(noise, 16_000, format)) for format in formats}
    assert lengths["flac:8"] < lengths["flac:0"]
    assert lengths["ogg:q0"] < lengths["ogg"] == lengths["ogg:q4"] < lengths["ogg:q10"]
    assert encode_audio(noise, 16_000, "flac") == encode_audio(noise, 16_000, "flac:5")


def test_long_sounds_can_be_written() -> None:
    samples = np.tile(tone(1.0, 8000), 500)
    assert len(decode_audio(encode_audio(samples, 8000, "ogg:q0")).samples) == 4_000_000


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


@pytest.mark.parametrize("format", FORMATS)
def test_a_truncated_sound_is_an_error_that_names_it(format: str) -> None:
    data = encode_audio(tone(1.0), 16_000, format)
    # The last frame of an MP3 can be lost without a trace: only its length in frames is written in front.
    for length in (len(data) // 2, 30) if format.startswith("mp3") else (len(data) - 1, len(data) // 2, 30):
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
    with pytest.raises(ValueError, match=r"'wav:s8'.*wav:u8, wav:s16.*flac:0 to flac:8, ogg, .*mp3:320k"):
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


def test_rates_change_and_channels_are_mixed() -> None:
    samples = tone(1.0, 16_000)
    stereo = np.stack([samples, np.zeros_like(samples)], axis=1)
    assert to_mono_rate(samples, 16_000, 16_000) is samples
    np.testing.assert_allclose(to_mono_rate(stereo, 16_000, 16_000), samples / 2, atol=1e-7)
    changed = to_mono_rate(stereo, 16_000, 8000)
    assert (changed.dtype, changed.shape) == (np.float32, (8000,))
    np.testing.assert_allclose(changed[200:-200], tone(1.0, 8000)[200:-200] / 2, atol=1e-3)
    np.testing.assert_allclose(to_mono_rate(samples, 16_000, 44_100)[400:-400], tone(1.0, 44_100)[400:-400], atol=1e-3)


@given(samples=sounds, rate=st.sampled_from([8000, 44_100]), count=st.integers(1, 60))
def test_any_sound_can_be_brought_to_a_rate_and_length(samples: NDArray[np.float32], rate: int, count: int) -> None:
    mono = to_mono_rate(samples, 16_000, rate)
    assert mono.ndim == 1
    assert len(mono) == max(1, round(len(samples) * rate / 16_000)) or abs(len(mono) - len(samples) * rate / 16e3) < 1
    cut = to_length(mono, count)
    assert cut.shape == (count,)
    shared = min(count, len(mono))
    np.testing.assert_array_equal(cut[:shared], mono[:shared])
    assert not cut[shared:].any()


def test_senseless_rates_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="rate is 0"):
        to_mono_rate(tone(), 16_000, 0)
    with pytest.raises(ValueError, match="0 samples"):
        to_length(tone(), 0)


def announcing(format: str, frames: int) -> bytes:
    """A file of one second whose head says that there are more samples."""
    data = bytearray(encode_audio(np.zeros(16_000, dtype=np.float32), 16_000, format))
    if format == "flac":
        data[21] |= 0x0F & frames >> 32  # the last of 36 bits of the first block's 34 bytes, before its checksum
        data[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    else:
        start = data.find(b"Xing") + 8
        data[start : start + 4] = (frames // mp3.FRAME_SAMPLES).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("format", ["flac", "mp3"])
def test_a_sound_that_announces_more_than_memory_holds_is_an_error_that_names_it(format: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.x: cannot be decoded .* announces [\d,]+ samples in 1 channels: more"):
        decode(announcing(format, 2**36 - 1), "a.x")


def test_a_sampling_rate_that_makes_a_sound_endless_is_refused() -> None:
    wav = bytearray(encode_audio(np.zeros(40_000, dtype=np.float32), 16_000, "wav:u8"))
    wav[24:28] = (1).to_bytes(4, "little")
    sound = decode_audio(bytes(wav))
    with pytest.raises(ValueError, match="40,000 samples at 1 Hz are too long to be resampled to 16000 Hz"):
        to_mono_rate(sound.samples, sound.rate, 16_000)
    wav[24:28] = bytes(4)
    with pytest.raises(ValueError, match=r"^a\.wav: cannot be decoded as WAV \(no sampling rate\)"):
        decode_audio(bytes(wav), "a.wav")
