"""`anybyte flow`, `autoencode` and `fill`, as a newcomer calls them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from anybyte import load
from anybyte.cli import autoencode, fill, flow, main
from anybyte.cli.computing import check_folder, check_out
from anybyte.files.audio import encode_audio
from anybyte.files.flow import colour_flow, read_flow
from anybyte.files.images import decode_image
from anybyte.files.video import read_clip
from tests.predictor.builders import (
    save_clip_model,
    save_flow_model,
    save_picture,
    save_text_model,
    save_video,
)

Run = Callable[..., tuple[int, str, str]]
RANDOM = "with random weights (seed 0); its answer means nothing until a trained model is given\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_flow_model(folder / "flow")
    save_clip_model(folder / "autoencode")
    save_text_model(folder / "fill")
    return folder


@pytest.fixture
def run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb with its small model: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(verb: str, *args: str) -> tuple[int, str, str]:
        code = main([verb, *args, "--model", str(models / verb), "--device", "cpu"])
        return code, *capsys.readouterr()

    return run


def test_flow_of_two_pictures(run: Run, models: Path) -> None:
    a, b = (save_picture(Path(f"{seed}.png"), 30, 40, seed) for seed in (1, 2))
    expected = load(models / "flow", device="cpu").estimate(a, b)
    code, out, err = run("flow", "1.png", "2.png", "-o", "out.flo")
    assert (code, err) == (0, "")
    assert out.startswith("out.flo: 40x30 pixels move by ")
    assert np.array_equal(read_flow("out.flo").vectors, expected.vectors)
    assert run("flow", "1.png", "2.png", "-o", "out.png", "--piece", "50")[0] == 0
    assert np.abs(decode_image(Path("out.png").read_bytes()).pixels.astype(int) - colour_flow(expected)).max() <= 1
    assert run("flow", "1.png", "2.png", "-o", "kitti.png", "--kitti")[0] == 0
    assert np.abs(read_flow("kitti.png").vectors - expected.vectors).max() <= 1 / 128 + 1e-6
    code, out, _ = run("flow", "1.png", "2.png")
    assert out.startswith("1.png: 40x30 pixels")


def test_flow_along_a_video(run: Run) -> None:
    save_video(Path("in.mp4"), frames=5, height=16, width=20)
    code, out, err = run("flow", "in.mp4", "-o", "out.mp4", "--frames", "4")
    assert (code, err) == (0, "")
    assert out.startswith("out.mp4: 3 flows, the longest vector has ")
    clip = read_clip("out.mp4", frames=3, size=None)
    assert clip.frames.shape == (3, 16, 20, 3)
    assert clip.frames.std() > 5


def test_a_clip_comes_back_with_its_sound(run: Run) -> None:
    save_video(Path("in.mp4"))
    code, out, err = run("autoencode", "in.mp4", "-o", "out.mp4", "--piece", "20", "--top", "2")
    assert (code, err) == (0, "")
    assert out.startswith("out.mp4: 2 frames of 8x8 and 64 samples; video ")
    assert out.count("\n") == 3  # and two labels
    clip = read_clip("out.mp4", frames=2, size=None, frame_rate=1500)
    assert clip.frames.shape == (2, 8, 8, 3)


def test_a_silent_video_is_refused_unless_silence_may_stand_for_its_sound(run: Run) -> None:
    save_video(Path("in.mp4"), sound=False)
    code, out, err = run("autoencode", "in.mp4", "-o", "out.mp4")
    assert (code, out) == (2, "")
    assert err == "anybyte: in.mp4 is a video without sound, and the model reads both: --silence takes it as silent\n"
    assert not Path("out.mp4").exists()
    code, _, err = run("autoencode", "in.mp4", "-o", "out.mp4", "--silence")
    assert (code, err) == (0, "anybyte: in.mp4 has no sound: silence stands for it\n")


def test_blanks_are_filled(run: Run, models: Path) -> None:
    expected = load(models / "fill", device="cpu").fill("ab ___ c", top=2)
    code, out, err = run("fill", "ab ___ c", "--json", "--top", "2")
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["text"] == expected.text
    (blank,) = answer["blanks"]
    assert [(blank["start"], blank["end"])] == [(3, 6)]
    assert [bytes.fromhex(found["hex"]) for found in blank["candidates"]] == [
        found.data for found in expected.blanks[0].candidates
    ]
    _, out, _ = run("fill", "ab ___ c", "--top", "2")
    lines = out.splitlines()
    assert lines[1] == "blank 1, bytes 3 to 5:"
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_text_is_taken_from_stdin_as_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff\xfe ~~ _\n")))
    code, out, _ = run("fill", "-", "--blank", "~")
    assert code == 0
    assert out.startswith("\\xff\\xfe ")
    assert out.splitlines()[0].endswith(" _")
    code, out, _ = run("fill", "\udcff __")  # how Python hands over a byte that is not UTF-8
    assert code == 0
    assert out.startswith("\\xff ")


def test_without_a_model_the_weights_are_random_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (flow.MODEL, autoencode.MODEL, fill.MODEL) == (
        "perceiver_io_flow",
        "perceiver_io_multimodal",
        "perceiver_io_language",
    )
    monkeypatch.setattr(flow, "MODEL", "perceiver_io_flow_nano")
    monkeypatch.setattr(fill, "MODEL", "perceiver_io_language_nano")
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "a.png", 48, 64)
    assert main(["flow", "a.png", "a.png", "--device", "cpu"]) == 0
    assert capsys.readouterr().err == f"anybyte: no --model: perceiver_io_flow_nano {RANDOM}"
    answers = []
    for seed in ("0", "0", "1"):
        assert main(["fill", "a ____", "--seed", seed, "--device", "cpu", "--precision", "bf16"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def wav(path: str) -> str:
    Path(path).write_bytes(encode_audio(np.zeros(4000, np.float32), 8000, "wav"))
    return path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["flow", "a.png", "b.png"], "a.png has 40x30 pixels (width x height) and b.png 41x30"),
        (["flow", "a.png", "gone.png"], "gone.png: No such file or directory"),
        (["flow", "a.png", "x.txt"], "x.txt"),
        (["flow", "a.png", "s.wav"], "s.wav is a sound, expected a picture"),
        (["flow", "a.png", "a.png", "-o", "a.jpg"], "a.jpg: a flow is written as .flo or .png"),
        (["flow", "a.png", "a.png", "-o", "no/a.flo"], "no: No such directory"),
        (["flow", "a.png", "a.png", "-o", "a.flo", "--kitti"], "--kitti writes a .png"),
        (["flow", "a.png", "b.png", "-o", "b.png"], "b.png is read: name another file with -o"),
        (["flow", "v.mp4", "-o", "v.mp4"], "v.mp4 is read: name another file with -o"),
        (["autoencode", "v.mp4", "-o", "./v.mp4"], "./v.mp4 is read: name another file with -o"),
        (["flow", "a.png", "a.png", "--frames", "3"], "--start and --frames are for a video"),
        (["flow", "a.png", "a.png", "a.png"], "3 files given"),
        (
            ["flow", "c.png", "c.png", "--small", "refuse"],
            "a frame of 9x9 pixels (height x width) is smaller",
        ),
        (["flow", "a.png", "a.png", "--piece", "0"], "--piece is 0"),
        (["flow", "a.png", "a.png", "--threads", "0"], "--threads is 0"),
        (["flow", "v.mp4"], "v.mp4 alone is taken for a video: name the video to write with -o"),
        (["flow", "a.png", "-o", "o.mp4"], "a.png has one frame: flow takes two pictures"),
        (["flow", "s.wav", "-o", "o.mp4"], "s.wav is not a video: there is a sound without a picture in it"),
        (["flow", "v.mp4", "-o", "o.gif"], "o.gif: a video is written as"),
        (["flow", "v.mp4", "-o", "o.mp4", "--frames", "1"], "--frames is 1"),
        (["flow", "v.mp4", "-o", "o.mp4", "--start", "99"], "no flow follows --start 99"),
        (["flow", "a.png", "a.png", "--scales", "1,x"], "--scales is '1,x', expected numbers"),
        (["flow", "a.png", "a.png", "--scales", "0.5,2"], "are above 0 and up to 1, got 2"),
        (["autoencode", "s.wav", "-o", "o.mp4"], "s.wav is not a video: there is a sound without a picture in it"),
        (["autoencode", "x.txt", "-o", "o.mp4"], "x.txt is not a video"),
        (["autoencode", "v.mp4", "-o", "o.txt"], "o.txt: a video is written as"),
        (["autoencode", "v.mp4", "-o", "o.mp4", "--start", "9"], "v.mp4 is too short"),
        (["fill", ""], "the text is empty"),
        (["fill", "no blank"], "the text has no blank: write two or more _ in a row"),
        (["fill", "_" * 21], "the text has 21 bytes, and the model reads 20 at most"),
        (["autoencode", "a.png", "-o", "o.mp4"], "a.png is a picture, expected a video"),
        (["autoencode", "v.mp4", "-o", "o.mp4", "--start", "1e300"], "start is 1e+300, expected seconds from 0 to"),
        (["flow", "v.mp4", "-o", "o.mp4", "--start", "nan"], "start is nan, expected seconds"),
        (["autoencode", "v.mp4", "-o", "o.mp4", "--top", "0"], "--top is 0"),
        (["autoencode", "v.mp4", "-o", "folder.mp4"], "folder.mp4: is a folder: name a file to write with -o"),
        (["fill", "__", "--top", "0"], "--top is 0"),
        (["fill", "__", "--top", "1000000"], "--top is 1000000, expected 1 to 1000"),
        (["fill", "__", "--pieces", "2"], "--pieces 2 is for a model of pieces"),
        (["fill", "__", "--seed", "1"], "--seed 1 is of random weights, and --model gives trained ones"),
        (["fill", "__", "--threads", "99999999999"], "--threads is 99999999999, expected 1 to 1024"),
        (["fill", "__", "--blank", "ab"], "one ASCII character"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_one_line(run: Run, args: list[str], message: str) -> None:
    save_picture(Path("a.png"), 30, 40)
    save_picture(Path("b.png"), 30, 41)
    save_picture(Path("c.png"), 9, 9)
    Path("x.txt").write_text("Dear reader,\n" * 20)
    wav("s.wav")
    Path("folder.mp4").mkdir()
    if "v.mp4" in args:
        save_video(Path("v.mp4"), frames=3)
    before = set(Path().iterdir())
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith("anybyte: ")
    assert message in err
    assert err.count("\n") == 1
    assert set(Path().iterdir()) == before


@pytest.mark.parametrize("verb", ["evaluate", "classify", "models", "recipes", "demo", "transcode", "tokenizer"])
def test_every_verb_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"examples:\n  anybyte {verb}" in capsys.readouterr().out


def test_a_seed_of_the_demo_out_of_range_is_named_before_its_files_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--seed", "-1", "--out", str(tmp_path / "demo")]) == 2
    assert capsys.readouterr().err == "anybyte: --seed is -1, expected 0 or more\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["flow", "autoencode", "fill"])
def test_help_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"examples:\n  anybyte {verb} " in out
    for option in ("--model", "--precision", "--threads", "--seed"):
        assert option in out


def test_a_model_for_something_else_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", "__", "--model", str(models / "flow")]) == 2
    assert "does not fill text: it is there to estimate flow" in capsys.readouterr().err
    assert main(["fill", "__", "--model", ""]) == 2
    assert "the model's name is empty" in capsys.readouterr().err


def test_seeds_out_of_range_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in ("-1", "9" * 30):
        assert main(["fill", "__", "--seed", seed]) == 2
        assert capsys.readouterr().err == f"anybyte: --seed is {seed}, expected 0 to {2**63 - 1}\n"


def test_an_output_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)  # for who may write everything, as in a container
    with pytest.raises(PermissionError):
        check_out(str(tmp_path / "new"))
    with pytest.raises(PermissionError):
        check_folder(str(tmp_path / "a/b"))
    monkeypatch.undo()
    with pytest.raises(NotADirectoryError, match="file"):
        check_folder(str(tmp_path / "file/a/b"))
    check_folder(str(tmp_path / "a/b"))
    check_out(str(tmp_path / "file"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
