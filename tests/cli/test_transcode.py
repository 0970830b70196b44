from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from anybyte.cli import main
from anybyte.cli.transcode import MANIFEST, SETTINGS
from anybyte.files.media import Audio, Image, decode, encode_audio, encode_image
from anybyte.files.sources import open_source


def picture(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape or (12, 9, 3), dtype=np.uint8)


def sound(seed: int, count: int = 800) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Four pictures and two sounds in class folders."""
    root = tmp_path / "mixed"
    for number in range(4):
        path = root / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_image(picture(number), "png"))
    for number in range(2):
        (root / "dog" / f"bark.{number}.wav").write_bytes(encode_audio(sound(number), 8000, "wav:s16"))
    return root


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SETTINGS}


def test_a_folder_is_written_under_the_same_names(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["transcode", str(mixed), str(out), "--format", "tiff,wav:u8"]) == 0
    assert names(out) == {
        "cat/1.tiff", "cat/3.tiff", "dog/0.tiff", "dog/2.tiff", "dog/bark.0.wav", "dog/bark.1.wav",
    }  # fmt: skip
    for number in range(4):
        path = out / ("cat" if number % 2 else "dog") / f"{number}.tiff"
        assert path.read_bytes() == encode_image(picture(number), "tiff")
    assert decode((out / "dog/bark.0.wav").read_bytes()).format == "wav:u8"
    said = capsys.readouterr()
    size = sum((out / name).stat().st_size for name in names(out))
    assert said.out == f"{out}: 6 files written, 0 were there, 0 left out; {size:,} bytes\n"
    assert said.err == ""
    assert open_source(out).classes == ("cat", "dog")


def test_sizes_rates_and_lengths_are_changed(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fit = ["--image-size", "8", "--rate", "4000", "--seconds", "0.2"]
    assert main(["transcode", str(mixed), str(out), "--format", "fhwc,flac", *fit]) == 0
    assert {path.stat().st_size for path in out.glob("*/*.fhwc")} == {8 * 8 * 3}
    bark = decode((out / "dog/bark.1.flac").read_bytes())
    assert isinstance(bark, Audio)
    assert (bark.rate, bark.samples.shape) == (4000, (800,))


def test_several_processes_do_the_same(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mixed / "cat/notes.txt").write_text("not a picture")
    said = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        call = ["transcode", str(mixed), str(out), "--format", "png:0,ogg", "--jobs", jobs, "--on-error", "skip"]
        assert main(call) == 0
        captured = capsys.readouterr()
        said.append(
            ((captured.out + captured.err).replace(str(out), ""), {n: (out / n).read_bytes() for n in names(out)})
        )
    assert said[0] == said[1]
    assert len(said[0][1]) == 6


def test_a_second_call_goes_on_where_the_first_stopped(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    call = ["transcode", str(mixed), str(out), "--format", "bmp,wav"]
    assert main([*call, "--limit", "3"]) == 0
    assert len(names(out)) == 3
    mark = out / "cat/1.bmp"
    mark.write_bytes(b"as it was")
    (out / "dog").mkdir(exist_ok=True)
    (out / "dog/.2.bmp.part").write_bytes(b"cut sh")  # as a kill leaves it
    capsys.readouterr()
    assert main(call) == 0
    assert "3 files written, 3 were there" in capsys.readouterr().out
    assert mark.read_bytes() == b"as it was"
    assert decode((out / "dog/2.bmp").read_bytes()).format == "bmp"
    assert not list(out.rglob("*.part"))
    assert main([*call, "--overwrite"]) == 0
    assert mark.read_bytes() == encode_image(picture(1), "bmp")


def test_other_settings_do_not_mix_with_what_is_there(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["transcode", str(mixed), str(out), "--format", "tiff,wav"]) == 0
    assert main(["transcode", str(mixed), str(out), "--format", "tiff:lzw,wav"]) == 2
    assert "made with another format" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert main(["transcode", str(mixed), str(other), "--format", "tiff,wav"]) == 2
    assert "is not empty" in capsys.readouterr().err
    (out / SETTINGS).write_text("{")
    assert main(["transcode", str(mixed), str(out), "--format", "tiff,wav"]) == 2
    assert f"{SETTINGS} is damaged" in capsys.readouterr().err


def test_a_bad_file_stops_or_is_named_and_left_out(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = mixed / "cat/1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (mixed / "cat/notes.txt").write_text("not a picture")
    out = tmp_path / "out"
    call = ["transcode", str(mixed), str(out), "--format", "tiff,wav"]
    assert main(call) == 2
    err = capsys.readouterr().err
    assert err.startswith("anybyte: cat/1.png: ")
    assert "--on-error skip" in err
    assert main([*call, "--on-error", "skip"]) == 0
    said = capsys.readouterr()
    assert "5 files written, 0 were there, 2 left out" in said.out
    assert [line.split(": ")[2] for line in said.err.splitlines()] == ["cat/1.png", "cat/notes.txt"]
    assert len(names(out)) == 5


def test_a_medium_that_no_format_fits_is_named(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["transcode", str(mixed), str(out), "--format", "tiff", "--on-error", "skip"]) == 0
    assert "left out: dog/bark.0.wav: a sound cannot be written as tiff" in capsys.readouterr().err
    sounds = tmp_path / "sounds"
    assert main(["transcode", str(mixed), str(sounds), "--format", "mp3:8k,mp3", "--on-error", "skip"]) == 0
    assert names(sounds) == {"dog/bark.0.mp3", "dog/bark.1.mp3"}


def test_files_that_differ_in_their_suffix_only_keep_it(tmp_path: Path) -> None:
    root, out = tmp_path / "flat", tmp_path / "out"
    root.mkdir()
    for name, format in (("a.png", "png"), ("a.bmp", "bmp"), ("b.png", "png"), ("c.x.png", "png")):
        (root / name).write_bytes(encode_image(picture(ord(name[2])), format))
    assert main(["transcode", str(root), str(out), "--format", "ppm"]) == 0
    assert names(out) == {"a.png.ppm", "a.bmp.ppm", "b.ppm", "c.x.ppm"}
    again = tmp_path / "again"
    assert main(["transcode", str(out), str(again), "--format", "png"]) == 0, "a folder that this verb wrote is one"
    assert names(again) == {"a.png.png", "a.bmp.png", "b.png", "c.x.png"}


def test_archives_and_tables_keep_labels_and_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(4):
            file.writestr(f"train/{number % 2}/{number}.png", encode_image(picture(number), "png"))
    assert main(["transcode", str(archive), str(tmp_path / "zipped"), "--format", "tiff"]) == 0
    assert names(tmp_path / "zipped") == {f"train/{number % 2}/{number}.tiff" for number in range(4)}

    (tmp_path / "shots").mkdir()
    rows = ["path,label,split"]
    for number in range(4):
        (tmp_path / f"shots/{number}.png").write_bytes(encode_image(picture(number), "png"))
        rows.append(f"shots/{number}.png,{'ab'[number % 2]},{'train' if number < 2 else 'test'}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "tabled"
    capsys.readouterr()
    assert main(["transcode", str(tmp_path / "table.csv"), str(out), "--format", "tiff"]) == 0
    assert f"labels: {out / MANIFEST}" in capsys.readouterr().out
    assert (out / MANIFEST).read_text() == "\n".join(rows).replace(".png", ".tiff") + "\n"
    source = open_source(out / MANIFEST)
    assert [source.classes[entry.label] for entry in source.entries] == ["a", "b", "a", "b"]
    image = decode(source.read(3))
    assert isinstance(image, Image)
    np.testing.assert_array_equal(image.pixels, picture(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tif"], "unknown format 'tif'; pictures can be fhwc"),
        (["--format", "tiff", "--limit", "0"], "--limit is 0"),
        (["--format", "tiff", "--jobs", "-1"], "--jobs is -1"),
        (["--format", "tiff", "--image-size", "0"], "image_size is 0"),
        (["--format", "wav", "--rate", "-5"], "rate is -5"),
    ],
)
def test_senseless_options_are_refused(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["transcode", str(mixed), str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_within_each_other_are_refused(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in (mixed, mixed / "tiff", tmp_path):
        assert main(["transcode", str(mixed), str(out), "--format", "tiff", "--overwrite"]) == 2
        assert "need folders of their own" in capsys.readouterr().err
    assert main(["transcode", str(tmp_path / "nothing"), str(tmp_path / "out"), "--format", "tiff"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_folder_says_what_it_was_made_of(mixed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["transcode", str(mixed), str(out), "--format", "png:9, wav", "--image-size", "8"]) == 0
    assert json.loads((out / SETTINGS).read_text()) == {
        "source": str(mixed), "format": "png:9,wav", "image_size": 8, "rate": None, "seconds": None,
    }  # fmt: skip


def test_files_whose_new_names_would_be_the_same_are_all_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("in/x.jpg", "in/x.png", "in/x.png.gif", "y.png", "in/y.png")):
        (tmp_path / name).write_bytes(encode_image(picture(number), "png"))
    rows = ["x.jpg,a", "x.png,b", "x.png.gif,c", "../y.png,d", "y.png,e"]
    (tmp_path / "in/all.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    out = tmp_path / "out"
    call = ["transcode", str(tmp_path / "in/all.csv"), str(out), "--format", "tiff"]
    assert main(call) == 0
    source = open_source(out / MANIFEST)
    found = {source.classes[entry.label]: source.read(index) for index, entry in enumerate(source.entries)}
    assert found == {label: encode_image(picture(number), "tiff") for number, label in enumerate("abcde")}
    assert all(path.resolve().is_relative_to(out) for path in out.rglob("*"))
    before = names(out)
    assert main(call) == 0
    assert names(out) == before


def test_a_limit_changes_no_name(mixed: Path, tmp_path: Path) -> None:
    (mixed / "cat/1.gif").write_bytes(encode_image(picture(9), "gif"))
    call = ["transcode", str(mixed), str(tmp_path / "out"), "--format", "tiff,wav"]
    assert main([*call, "--limit", "1"]) == 0
    first = names(tmp_path / "out")
    assert main(call) == 0
    assert first == {"cat/1.gif.tiff"}
    assert len(names(tmp_path / "out")) == 7


def test_archives_cannot_write_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in ("a/1.png", "b/2.png", "../../c/3.png", "/d/4.png", "a/../../e/5.png"):
            archive.writestr(name, encode_image(picture(len(name)), "png"))
    out = tmp_path / "deep" / "out"
    assert main(["transcode", str(tmp_path / "evil.zip"), str(out), "--format", "tiff"]) == 0
    written = {path for path in tmp_path.rglob("*") if path.is_file() and path.name != "evil.zip"}
    assert written
    assert all(path.is_relative_to(out) for path in written)
