"""Predictors of flow, clips and text, through the front door."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import anybyte
from anybyte.config import FramesConfig
from anybyte.files.video import Clip
from anybyte.models.perceiver import Perceiver
from anybyte.models.schema import InputSchema, OutputSchema, Schema, SizeSchema
from anybyte.models.tokenizer import BYTE_OFFSET, SPECIALS
from anybyte.models.zoo import create_model
from anybyte.predictor import ClipPredictor, FlowPredictor, Predictor, TextPredictor, load_as, untrained
from anybyte.predictor.text import best_products, find_blanks
from tests.predictor.builders import (
    LABELS,
    TILE,
    picture,
    save_clip_model,
    save_flow_model,
    save_picture,
    save_text_model,
    save_video,
)
from tests.tiny_model import save_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the models `flow`, `clip`, `text` and `files`."""
    folder = tmp_path_factory.mktemp("models")
    save_flow_model(folder / "flow")
    save_clip_model(folder / "clip")
    save_text_model(folder / "text")
    save_tiny_model(folder / "files")
    return folder


@pytest.fixture(scope="module")
def flow(folder: Path) -> FlowPredictor:
    return load_as(FlowPredictor, folder / "flow", device="cpu")


@pytest.fixture(scope="module")
def clips(folder: Path) -> ClipPredictor:
    return load_as(ClipPredictor, folder / "clip", device="cpu")


@pytest.fixture(scope="module")
def text(folder: Path) -> TextPredictor:
    return load_as(TextPredictor, folder / "text", device="cpu")


def test_load_gives_the_predictor_that_a_model_is_for(folder: Path) -> None:
    kinds = {"flow": FlowPredictor, "clip": ClipPredictor, "text": TextPredictor, "files": Predictor}
    for name, kind in kinds.items():
        assert type(anybyte.load(folder / name, device="cpu")) is kind
    with pytest.raises(ValueError, match="flow does not classify files: it is there to estimate flow"):
        load_as(Predictor, folder / "flow")
    with pytest.raises(ValueError, match="files does not fill text: it is there to classify files"):
        load_as(TextPredictor, folder / "files")
    with pytest.raises(ValueError, match="no use for a key"):
        anybyte.load(folder / "flow", key="some.key")


def test_untrained_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (untrained(TextPredictor, "perceiver_io_language_nano", seed, "cpu") for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.model.latents, second.model.latents)
    assert not torch.equal(first.model.latents, other.model.latents)
    with pytest.raises(ValueError, match="perceiver_io_language_nano does not estimate flow"):
        untrained(FlowPredictor, "perceiver_io_language_nano")


def test_flow_is_the_models_in_pixels(flow: FlowPredictor) -> None:
    a, b = picture(*TILE, 1), picture(*TILE, 2)
    found = flow.estimate(a, b)
    assert found.valid is None
    with torch.inference_mode():
        expected = flow.model(torch.from_numpy(np.stack([a, b]))[None].float() / 127.5 - 1)
    assert isinstance(expected, torch.Tensor)
    assert np.abs(found.vectors).max() > 1e-3
    np.testing.assert_allclose(found.vectors, expected[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("size", [(24, 32), (30, 40), (5, 50), (60, 20)])
def test_flow_of_any_size_and_source(flow: FlowPredictor, tmp_path: Path, size: tuple[int, int]) -> None:
    paths = [save_picture(tmp_path / f"{seed}.png", *size, seed) for seed in (1, 2)]
    found = flow.estimate(*paths)
    assert found.vectors.shape == (*size, 2)
    assert np.isfinite(found.vectors).all()
    again = flow.estimate(paths[0].read_bytes(), picture(*size, 2))
    assert np.array_equal(found.vectors, again.vectors)


def test_flow_in_pieces_and_in_bfloat16(flow: FlowPredictor, folder: Path) -> None:
    frames = picture(*TILE, 1), picture(*TILE, 2)
    whole = flow.estimate(*frames).vectors
    other = FlowPredictor(flow.model, piece=100)
    np.testing.assert_allclose(other.estimate(*frames).vectors, whole, atol=1e-5)
    rough = anybyte.load(folder / "flow", device="cpu", precision="bf16").estimate(*frames).vectors
    assert 0 < np.abs(rough - whole).max() < 0.1 * np.abs(whole).max()


def test_a_grey_picture_is_three_equal_colours(flow: FlowPredictor) -> None:
    grey = picture(*TILE, 3)[..., 0]
    colours = np.repeat(grey[..., None], 3, axis=2)
    other = picture(*TILE, 4)
    assert np.array_equal(flow.estimate(grey, other).vectors, flow.estimate(colours, other).vectors)


def test_what_cannot_be_a_pair_of_frames_is_named(flow: FlowPredictor, tmp_path: Path) -> None:
    small = save_picture(tmp_path / "small.png", 10, 12)
    large = save_picture(tmp_path / "large.png", 10, 13)
    with pytest.raises(ValueError, match=r"small.png has 12x10 pixels \(width x height\) and .*large.png 13x10"):
        flow.estimate(small, large)
    with pytest.raises(ValueError, match="smaller than a tile of 24x32"):
        flow.estimate(small, small, small="refuse")
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.png"):
        flow.estimate(tmp_path / "x.png", small)
    with pytest.raises(ValueError, match="the second frame is float32"):
        flow.estimate(small, np.zeros((10, 12, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="piece is 0"):
        FlowPredictor(flow.model, piece=0)


def test_progress_ends_at_the_whole(flow: FlowPredictor, clips: ClipPredictor, text: TextPredictor) -> None:
    seen: list[tuple[int, int]] = []
    flow = FlowPredictor(flow.model, piece=100)
    flow.estimate(picture(30, 40), picture(30, 40), progress=lambda *step: seen.append(step))
    layers, tiles, pieces = 1 + 2, 4, 8
    assert seen == [(done, tiles * (layers + pieces)) for done in range(1, tiles * (layers + pieces) + 1)]
    for run in (
        lambda tell: clips.autoencode(clip(), progress=tell),
        lambda tell: text.fill("a __ b", progress=tell),
    ):
        seen.clear()
        run(lambda *step: seen.append(step))
        assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1))


def clip(seed: int = 0) -> Clip:
    samples = np.random.default_rng(seed).uniform(-1, 1, 64).astype(np.float32)
    return Clip(np.stack([picture(8, 8, seed), picture(8, 8, seed + 1)]), samples)


def test_a_clip_is_what_the_model_makes_of_it(clips: ClipPredictor) -> None:
    given = clip()
    again = clips.autoencode(given, top=3)
    arrays = {"image": torch.from_numpy(given.frames)[None] / 255, "audio": torch.from_numpy(given.samples)[None]}
    with torch.inference_mode():
        expected = clips.model(arrays)
    assert isinstance(expected, dict)
    np.testing.assert_allclose(again.video, expected["image"][0].numpy(), atol=1e-5)
    np.testing.assert_allclose(again.audio, expected["audio"][0].numpy(), atol=1e-5)
    assert again.logits is not None
    np.testing.assert_allclose(again.logits, expected["label"][0].numpy(), atol=1e-5)
    assert [label for label, _ in again.top] == [LABELS[index] for index in np.argsort(-again.logits)[:3]]
    assert again.clip.frames.dtype == np.uint8
    assert again.clip.samples.shape == (64,)
    error = np.mean((again.video.clip(0, 1) - given.frames / 255) ** 2)
    assert again.psnr == pytest.approx(-10 * np.log10(error))


def test_a_clip_is_encoded_once_and_decoded_in_pieces(clips: ClipPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = clips.autoencode(clip())
    encodings = itertools.count()
    encode = Perceiver.encode
    monkeypatch.setattr(Perceiver, "encode", lambda *args, **kwargs: (next(encodings), encode(*args, **kwargs))[1])
    pieces = ClipPredictor(clips.model, LABELS, piece=5).autoencode(clip())
    assert next(encodings) == 1
    np.testing.assert_allclose(pieces.video, whole.video, atol=1e-5)
    np.testing.assert_allclose(pieces.audio, whole.audio, atol=1e-5)


def test_clips_and_text_in_bfloat16(clips: ClipPredictor, text: TextPredictor) -> None:
    whole, rough = clips.autoencode(clip()), ClipPredictor(clips.model, precision="bf16").autoencode(clip())
    assert rough.video.dtype == np.float32
    assert 0 < np.abs(rough.video - whole.video).max() < 0.1 * np.abs(whole.video).max()
    assert len(TextPredictor(text.model, precision="bf16").fill("a ____ b").data) == 8


def test_a_clip_of_another_shape_is_named(clips: ClipPredictor, tmp_path: Path) -> None:
    wrong = Clip(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(64, np.float32))
    with pytest.raises(ValueError, match=r"clips of \[2, 8, 8, 3\] and 64 samples, not \[3, 8, 8, 3\] and 64"):
        clips.autoencode(wrong)
    again = clips.autoencode(save_video(tmp_path / "a.mp4"))
    assert again.source.frames.shape == (2, 8, 8, 3)
    assert again.source.frame_rate == pytest.approx(2 * 48_000 / 64)
    bare = ClipPredictor(clips.model)
    assert bare.autoencode(clip()).top == ()


def test_blanks_are_runs_of_two_or_more() -> None:
    assert find_blanks(b"__init__ is snake_case ____") == [(0, 2), (6, 8), (23, 27)]
    assert find_blanks(b"a~~b_", "~") == [(1, 3)]
    for blank in ("", "ab", "é"):
        with pytest.raises(ValueError, match="one ASCII character"):
            find_blanks(b"a", blank)


def test_the_best_strings_are_exact() -> None:
    """Against every string there is, over three bytes and two places."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = np.zeros((2, 256))
        rows[:, [65, 66, 200]] = rng.dirichlet([1, 1, 1], 2)
        every = sorted(itertools.product([65, 66, 200], repeat=2), key=lambda s: -rows[0, s[0]] * rows[1, s[1]])
        found = best_products(rows, 4)
        assert [tuple(candidate.data) for candidate in found] == every[:4]
        assert found[0].probability == pytest.approx(rows.max(axis=1).prod())


def test_blanks_are_filled_by_their_bytes(text: TextPredictor) -> None:
    filled = text.fill("a ___ b __", top=3)
    ids = torch.tensor([[byte + BYTE_OFFSET for byte in b"a ___ b __"]])
    places = [2, 3, 4, 8, 9]
    ids[0, places] = SPECIALS["[MASK]"]
    with torch.inference_mode():
        logits = text.model(ids)
    assert isinstance(logits, torch.Tensor)
    scores = logits[0, places, BYTE_OFFSET:].softmax(dim=-1)
    best = bytes(scores.argmax(dim=-1).tolist())
    assert filled.data == b"a " + best[:3] + b" b " + best[3:]
    assert [(blank.start, blank.end) for blank in filled.blanks] == [(2, 5), (8, 10)]
    assert filled.blanks[0].candidates[0].data == best[:3]
    assert filled.blanks[1].candidates[0].probability == pytest.approx(float(scores[3:].amax(dim=-1).prod()), rel=1e-4)
    assert len(filled.blanks[0].candidates) == 3
    assert text.fill(b"a ___ b __", blanks=[(8, 10)]).blanks[0].start == 8


def test_what_a_user_writes_is_text(text: TextPredictor) -> None:
    """`[MASK]` is six characters that stay, and bytes need not be UTF-8."""
    filled = text.fill("[MASK] __")
    assert filled.data.startswith(b"[MASK] ")
    assert len(filled.blanks) == 1
    assert text.fill(b"\xff\x00 __ \xfe").data[:3] == b"\xff\x00 "
    assert "�" in text.fill(b"\xff __").text


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        ("", {}, "the text is empty"),
        ("no blank_", {}, "has no blank: write two or more _ in a row"),
        ("__" * 11, {}, "the text has 22 bytes, and the model reads 20 at most"),
        ("é" * 10 + "_", {}, "the text has 21 bytes"),
        ("__", {"top": 0}, "top is 0"),
        ("__", {"top": 10**9}, "top is 1000000000, expected 1 to 1000"),
        ("abc", {"blanks": [(0, 4)]}, r"blank \(0, 4\) .* lies outside of a text of 3 bytes"),
        ("abc", {"blanks": [(1, 2), (0, 1)]}, "out of order"),
        ("abc", {"blanks": [(1, 1)]}, "blank"),
        ("abc", {"blanks": []}, "has no blank"),
    ],
)
def test_texts_that_cannot_be_filled_are_named(text: TextPredictor, given: str, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text.fill(given, **arguments)


def test_two_videos_without_sound_are_no_clip(tmp_path: Path) -> None:
    both = ("left", "right")
    schema = Schema(
        inputs=tuple(InputSchema(name=name, kind="video", shape=(2, 4, 4, 3)) for name in both),
        outputs=tuple(OutputSchema(name=name, reconstructs=name) for name in both),
        size=SizeSchema(latents=2, width=8, layers=1, heads=1),
    )
    create_model(schema).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a Perceiver that does not classify files"):
        load_as(ClipPredictor, tmp_path, device="cpu")


def test_frames_are_turned_as_their_files_say(flow: FlowPredictor, tmp_path: Path) -> None:
    """A camera held on its side stores lying pictures, and says so."""
    pictures = [picture(32, 24, seed) for seed in (1, 2)]
    paths = []
    for number, pixels in enumerate(pictures):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(paths[-1], exif=exif)
    assert np.array_equal(flow.estimate(*paths).vectors, flow.estimate(*pictures).vectors)


@pytest.mark.parametrize(
    "reading",
    [FramesConfig(scales=(0.5, 1.0), tiles=False), FramesConfig(scales=(0.5, 1.0, 1.0), median=3, check=3)],
    ids=["whole", "tiles"],
)
def test_passes_are_those_of_the_folder_or_of_the_caller(
    flow: FlowPredictor, tmp_path: Path, reading: FramesConfig
) -> None:
    flow.model.save_pretrained(tmp_path, reading=reading)
    predictor = load_as(FlowPredictor, tmp_path, device="cpu")
    assert predictor.reading == reading
    frames = picture(30, 41, 1), picture(30, 41, 2)
    seen: list[tuple[int, int]] = []
    found = predictor.estimate(*frames, progress=lambda *step: seen.append(step))
    assert found.vectors.shape == (30, 41, 2)
    assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1))
    assert seen[-1][0] == seen[-1][1]
    assert not np.array_equal(found.vectors, flow.estimate(*frames).vectors)
    with pytest.raises(ValueError, match="up to 1, got 3"):
        FlowPredictor(flow.model, reading=FramesConfig(scales=(3.0,)))
