"""Clips out of videos that are made here, and into them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anybyte.files import streams
from anybyte.files.audio import encode_audio
from anybyte.files.images import encode_image
from anybyte.files.streams import Stored
from anybyte.files.video import Clip, VideoWriter, check_video, probe, read_clip, video_frames, write_clip


def make_video(
    path: Path,
    times: Sequence[int],
    sound: NDArray[np.float32] | None = None,
    rate: int = 8000,
    sound_at: int = 0,
    pixels: Sequence[NDArray[np.uint8]] | None = None,
) -> Path:
    """A video without loss whose frames are shown at `times` in ms; frame i is grey of level 10 i.

    Its header says 7 frames a second, whatever the times are. `sound` is [N, channels], from `sound_at` ms on.
    """
    frames = pixels or [np.full((12, 16, 3), 10 * number % 256, np.uint8) for number in range(len(times))]
    with av.open(path, "w", format="matroska") as container:
        picture = container.add_stream("ffv1", 7)
        picture.height, picture.width = frames[0].shape[:2]
        picture.pix_fmt = "bgr0"
        picture.codec_context.time_base = Fraction(1, 1000)
        voice = None
        if sound is not None:
            voice = container.add_stream("pcm_s16le", rate=rate, layout="stereo" if sound.shape[1] == 2 else "mono")
        for time, level in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(level, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        if voice is not None and sound is not None:
            step = rate // 50
            for first in range(0, len(sound), step):
                piece = np.rint(sound[first : first + step] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout=voice.layout.name)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = first + sound_at * rate // 1000
                container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


def levels(clip: Clip) -> list[int]:
    """Which frame each frame of a clip is."""
    return [round(float(frame.mean()) / 10) for frame in clip.frames]


def evenly(count: int, rate: int = 25, first: int = 0) -> list[int]:
    return [first + round(1000 * number / rate) for number in range(count)]


def test_frames_are_those_on_show_by_their_time_stamps(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [0, 100, 140, 150, 400])
    clip = read_clip(path, frames=10, size=None)
    # At 0, 40, .., 360 ms; the header's 7 frames a second would give others.
    assert levels(clip) == [0, 0, 0, 1, 3, 3, 3, 3, 3, 3]
    assert clip.frames.shape == (10, 12, 16, 3)


@pytest.mark.parametrize("rate", [24, 25, 30])
def test_frames_at_the_rate_of_the_file_are_taken_one_by_one(tmp_path: Path, rate: int) -> None:
    """Time stamps in milliseconds are rounded; that neither repeats a frame nor leaves one out."""
    path = make_video(tmp_path / "a.mkv", evenly(17, rate))
    assert levels(read_clip(path, frames=17, size=None, frame_rate=rate)) == list(range(17))
    assert levels(read_clip(path, start=3 / rate, frames=9, size=None, frame_rate=rate)) == list(range(3, 12))


def test_time_begins_with_the_first_frame_and_sound_belongs_to_it(tmp_path: Path) -> None:
    sound = np.zeros((8000, 1), np.float32)
    sound[8 * 760] = 1  # 760 ms after the sound began, which is 200 + 760 - 500 = 460 ms after the first frame
    path = make_video(tmp_path / "a.mkv", evenly(25, first=500), sound, sound_at=200)
    clip = read_clip(path, start=0.2, frames=10, size=None)
    assert levels(clip) == list(range(5, 15))
    assert len(clip.samples) == 10 * 1920
    assert abs(int(np.abs(clip.samples).argmax()) - round(0.26 * 48_000)) <= 6  # one sample of the file is 6
    assert clip.notes == ()


def test_sound_is_mixed_to_one_channel(tmp_path: Path) -> None:
    sound = np.tile(np.array([[0.5, -0.1]], np.float32), (16_000, 1))
    clip = read_clip(make_video(tmp_path / "a.mkv", evenly(30), sound, rate=16_000), start=0.2)
    assert clip.samples.shape == (30_720,)
    assert clip.samples[1000:-1000] == pytest.approx(0.2, abs=1e-3)


def test_silence_stands_for_sound_that_is_not_there(tmp_path: Path) -> None:
    clip = read_clip(make_video(tmp_path / "a.mkv", evenly(20)))
    assert not clip.samples.any()
    assert len(clip.samples) == 30_720
    assert clip.notes == (f"{tmp_path / 'a.mkv'} has no sound: silence stands for it",)
    tone = np.full((8000 * 3 // 10, 1), 0.5, np.float32)
    clip = read_clip(make_video(tmp_path / "b.mkv", evenly(60), tone))
    assert clip.notes == (f"the sound of {tmp_path / 'b.mkv'} ends 0.30 s into the clip: silence follows",)
    assert not clip.samples[48_000 * 4 // 10 :].any()
    clip = read_clip(tmp_path / "b.mkv", start=1.0)
    assert clip.notes == (f"{tmp_path / 'b.mkv'} has no sound at this place: silence stands for it",)


def test_a_place_that_is_sought_gives_what_decoding_all_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, (8000 * 4, 1)).astype(np.float32)
    frames = [np.full((12, 16, 3), number * 2, np.uint8) for number in range(100)]
    path = make_video(tmp_path / "a.mkv", evenly(100), noise, pixels=frames)
    plain = read_clip(path, start=2.2, size=None)
    monkeypatch.setattr(streams, "_SEEK_FROM", 0.0)
    sought = read_clip(path, start=2.2, size=None)
    assert np.array_equal(plain.frames, sought.frames)
    assert plain.samples == pytest.approx(sought.samples, abs=1e-5)
    assert plain.frames[0].mean() == 55 * 2


def test_the_middle_is_cut_and_resized(tmp_path: Path) -> None:
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = (200, 100, 50)
    path = make_video(tmp_path / "a.mkv", [0, 40], pixels=[picture, picture])
    clip = read_clip(path, frames=2, size=(10, 10))
    assert clip.frames.shape == (2, 10, 10, 3)
    assert clip.frames[0, 5, 5].tolist() == [200, 100, 50]
    assert (clip.frames[:, :, 1:-1, 0] > 150).all()


def test_frames_of_a_whole_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [200, 240, 300, 310])
    found = list(video_frames(path))
    assert [time for time, _ in found] == pytest.approx([0, 0.04, 0.1, 0.11])
    assert [int(pixels[0, 0, 0]) for _, pixels in found] == [0, 10, 20, 30]
    assert [int(pixels[0, 0, 0]) for _, pixels in video_frames(path, start=0.05)] == [10, 20, 30]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    frames = np.stack([np.roll(np.repeat(ramp[None, :, None], 48, 0), 3 * number, axis=1) for number in range(16)])
    frames = np.repeat(frames, 3, axis=3)
    time = np.arange(30_720) / 48_000
    samples = (0.5 * np.sin(2 * np.pi * 440 * time) * (time > 0.3)).astype(np.float32)
    write_clip(tmp_path / "a.mp4", Clip(frames, samples))
    clip = read_clip(tmp_path / "a.mp4", size=None)
    assert clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < 4
    assert np.corrcoef(clip.samples, samples)[0, 1] > 0.99
    assert clip.notes == ()
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].codec_context.name in ("h264", "mpeg4")
        assert container.streams.audio[0].codec_context.name == "aac"


def test_odd_sizes_and_silence_are_written(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mkv", Clip(np.full((3, 7, 9, 3), 99, np.uint8), np.zeros(0, np.float32), frame_rate=29.97))
    clip = read_clip(tmp_path / "a.mkv", frames=3, size=None, frame_rate=29.97)
    assert clip.frames.shape == (3, 8, 10, 3)
    assert np.abs(clip.frames.astype(int) - 99).max() < 6


def test_a_video_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with VideoWriter(tmp_path / "a.mp4", 8, 8, 25) as writer:
            writer.add_frame(np.zeros((8, 8, 3), np.uint8))
            writer.add_frame(np.zeros((8, 9, 3), np.uint8))

    with pytest.raises(ValueError, match=r"a frame is \[8, 8, 3\], not \[8, 9, 3\]"):
        write()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"a\.gif: a video is written as \.mp4, .* not \.gif"):
        VideoWriter(tmp_path / "a.gif", 8, 8, 25)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        VideoWriter(tmp_path / "nowhere" / "a.mp4", 8, 8, 25)
    with pytest.raises(ValueError, match="begun without sound"):
        VideoWriter(tmp_path / "a.mp4", 8, 8, 25).add_sound(np.zeros(5, np.float32))


def test_what_is_not_a_video_is_named(tmp_path: Path) -> None:
    tone = encode_audio(np.zeros(8000, np.float32), 8000, "wav")
    picture = encode_image(np.zeros((8, 8, 3), np.uint8), "png")
    mp4 = tmp_path / "whole.mp4"
    write_clip(mp4, Clip(np.zeros((16, 32, 32, 3), np.uint8), np.zeros(30_720, np.float32)))
    for name, data, message in [
        ("empty.mp4", b"", "is empty: expected a video"),
        ("noise.mp4", bytes(range(256)) * 8, "is not a video, or a damaged one"),
        ("text.txt", b"Dear reader,\n" * 30, "is not a video"),
        ("tone.wav", tone, "there is a sound without a picture in it"),
        ("picture.png", picture, "is too short"),
        ("cut.mp4", mp4.read_bytes()[: mp4.stat().st_size // 3], "is not a video, or a damaged one"),
    ]:
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message) as caught:
            read_clip(path)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError, match="missing"):
        read_clip(tmp_path / "missing.mp4")
    with pytest.raises(IsADirectoryError):
        read_clip(tmp_path)


def test_too_short_a_video_says_how_long_it_is(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", evenly(10))
    expected = r"it ends 0\.40 s after its first frame, and 16 frames at 25 a second from 0 s on need 0\.60 s"
    with pytest.raises(ValueError, match=expected):
        read_clip(path)
    with pytest.raises(ValueError, match="is too short"):
        read_clip(path, start=3.0, frames=1)


def test_a_picture_is_no_video_of_one_frame(tmp_path: Path) -> None:
    for name in ("a.png", "a.gif"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(ValueError, match=r"a\.png is a picture, expected a video"):
        check_video(tmp_path / "a.png")
    check_video(tmp_path / "a.gif")  # which may move
    check_video(make_video(tmp_path / "a.mkv", evenly(2)))
    with pytest.raises(FileNotFoundError, match="gone"):
        check_video(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    "arguments", [{"frames": 0}, {"start": -1.0}, {"start": float("nan")}, {"start": 1e300}, {"frame_rate": 0.0}]
)
def test_arguments_out_of_range_are_named(tmp_path: Path, arguments: dict[str, float]) -> None:
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} is"):
        read_clip(tmp_path / "a.mkv", **arguments)  # type: ignore[arg-type]


@pytest.mark.shared
@pytest.mark.parametrize("start", [0.0, 5.0])
def test_real_clips_are_read(shared: Path, start: float) -> None:
    paths = sorted((shared / "data/av_clips").glob("*.*"))
    assert paths
    for path in paths:
        clip = read_clip(path, start)
        assert clip.frames.shape == (16, 224, 224, 3)
        assert clip.samples.shape == (30_720,)
        assert clip.notes == ()


def test_a_video_is_probed_by_its_time_stamps(tmp_path: Path) -> None:
    """The header says 7 frames a second; the last frame is shown as long as the one before it."""
    sound = np.zeros((8000, 1), np.float32)
    path = make_video(tmp_path / "a.mkv", [0, 100, 140, 150, 400], sound)
    assert probe(path).seconds == pytest.approx(0.65)
    assert probe(path).has_sound
    lone = probe(Stored(make_video(tmp_path / "b.mkv", [0]).read_bytes(), "b"))
    assert not lone.has_sound
    assert lone.seconds == pytest.approx(1 / 7, abs=2e-3)


def test_a_video_in_memory_is_read_as_from_disk(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", evenly(20), np.zeros((8000, 2), np.float32))
    clip = read_clip(path, start=0.1, frames=8, size=None)
    again = read_clip(Stored(path.read_bytes(), "kept"), start=0.1, frames=8, size=None)
    np.testing.assert_array_equal(clip.frames, again.frames)
    np.testing.assert_array_equal(clip.samples, again.samples)
    for data, message in ((b"", "kept is empty: expected a video"), (b"text", "kept is not a video")):
        with pytest.raises(ValueError, match=message):
            probe(Stored(data, "kept"))
