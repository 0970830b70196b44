"""Mix-up: two files into one, with a label of both."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.config import AugmentConfig, ReadingConfig
from anybyte.files.media import Audio, Image, decode, encode_audio, encode_image
from anybyte.files.sources import Splits
from anybyte.reading import ByteReading
from anybyte.tasks import Sample
from anybyte.tasks.classify import Classify, MixedLabel, MixedLabels
from anybyte.train.data import NO_EPOCH, Deal, Files, Keyed, Plan, load_parts
from anybyte.train.loop import Loop

from .standins import CLASSES, MemorySource, curve, final_tensors, run, tiny_recipe

RATE = 8000
MIXUP = AugmentConfig(mixup=1.0)


def sounds(count: int, seed: int = 0) -> list[tuple[str, int, bytes]]:
    """Steps of a level that tells the class, of many lengths."""
    rng = np.random.default_rng(seed)
    files = []
    for number in range(count):
        samples = rng.normal(0.2 * (number % 3), 0.01, 60 + 5 * number).astype(np.float32)
        files.append((f"{CLASSES[number % 3]}/{number}.wav", number % 3, encode_audio(samples, RATE, "wav:s16")))
    return files


def picture(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def mix(first: bytes, second: bytes, weight: float, reading: ByteReading | None = None) -> Image | Audio:
    mixed = (reading or ByteReading()).mix(first, "a", second, "b", weight, np.random.default_rng(0))
    assert mixed is not None
    return decode(mixed.data)


def test_pictures_are_mixed_pixel_by_pixel() -> None:
    first, second = picture(6, 5, 3), picture(6, 5, 3, seed=1)
    image = mix(encode_image(first, "png"), encode_image(second, "tiff"), 0.3)
    assert isinstance(image, Image)
    assert image.format == "png"
    np.testing.assert_allclose(image.pixels, 0.3 * first + 0.7 * second, atol=0.51)


def test_grey_and_colour_are_mixed_in_colour() -> None:
    grey, colour = picture(6, 5), picture(6, 5, 3)
    for first, second in ((grey, colour), (colour, grey)):
        image = mix(encode_image(first, "png"), encode_image(second, "png"), 0.5)
        assert isinstance(image, Image)
        np.testing.assert_allclose(image.pixels, 0.5 * grey[..., None] + 0.5 * colour, atol=0.51)


def test_pictures_of_two_sizes_need_one_size_to_be_mixed() -> None:
    first, second = encode_image(picture(6, 5, 3), "png"), encode_image(picture(9, 9, 3), "png")
    with pytest.raises(ValueError, match=r"^a, b: augment\.mixup .* not 5 x 6 and 9 x 9: set reading\.image_size"):
        mix(first, second, 0.5)
    for reading in (ByteReading(ReadingConfig(image_size=8)), ByteReading(augment=AugmentConfig(crop_size=8))):
        image = mix(first, second, 0.5, reading)
        assert isinstance(image, Image)
        assert image.pixels.shape == (8, 8, 3)


def test_sounds_are_mixed_at_the_first_ones_length_rate_and_channels() -> None:
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * pitch * time).astype(np.float32) * 0.4 for pitch in (200, 600))
    high_at_twice_the_rate = np.sin(2 * np.pi * 600 * np.arange(RATE) / RATE / 2).astype(np.float32) * 0.4  # 0.5 s
    for first in (low, np.stack([low, -low], axis=1)):
        for second in (high_at_twice_the_rate, np.stack([high_at_twice_the_rate] * 2, axis=1)):
            data = encode_audio(first, RATE, "wav:f32"), encode_audio(second, 2 * RATE, "wav:s16")
            sound = mix(*data, 0.25)
            assert isinstance(sound, Audio)
            assert (sound.samples.shape, sound.rate, sound.format) == (first.shape, RATE, "wav:f32")
            expected = 0.25 * first
            tail = high if first.ndim == 1 else high[:, None]
            np.testing.assert_allclose(sound.samples[:3900], (expected + 0.75 * tail)[:3900], atol=0.02)
            np.testing.assert_allclose(sound.samples[4100:], expected[4100:], atol=0.02)


@pytest.mark.parametrize("other", [b"plain text", encode_image(picture(4, 4), "png"), b"RIFF\0\0\0\0WAVEfmt "])
def test_what_does_not_go_with_a_file_leaves_it_alone(other: bytes) -> None:
    (_, _, data) = sounds(1)[0]
    assert ByteReading().mix(data, "a", other, "b", 0.5, np.random.default_rng(0)) is None


def test_the_loss_of_a_mixed_file_is_that_of_a_soft_label() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 3, dtype=torch.float32)

    class Fixed(torch.nn.Module):
        def forward(self, batch: ByteBatch) -> torch.Tensor:
            return logits[: len(batch)]

    task = Classify(CLASSES, label_smoothing=0.1)
    labels = [MixedLabel(0, 2, 0.3), 1, MixedLabel(2, 2, 0.5)]
    batch, targets = task.collate([Sample(b"x", label, np.random.default_rng(0)) for label in labels])
    assert isinstance(targets, MixedLabels)
    loss, count = task.loss(Fixed(), batch, targets)
    soft = torch.tensor([[0.3, 0, 0.7], [0, 1, 0], [0, 0, 1]])
    assert count == 3
    torch.testing.assert_close(loss, F.cross_entropy(logits, soft, reduction="sum", label_smoothing=0.1))


def test_every_file_is_mixed_by_its_own_randomness() -> None:
    files = Files(MemorySource(sounds(12)), ByteReading(augment=MIXUP))
    first, again = Keyed(files, seed=5), pickle.loads(pickle.dumps(Keyed(files, seed=5)))
    labels = []
    for epoch in (0, 1):
        for index in range(12):
            (_, sample), (_, repeated) = first[epoch, index], again[epoch, index]
            assert isinstance(sample, Sample)
            assert isinstance(repeated, Sample)
            assert (sample.data, sample.label) == (repeated.data, repeated.label)
            assert isinstance(sample.label, MixedLabel)
            assert sample.label.first == index % 3
            level = decode(sample.data).samples[:60].mean() / 0.2
            expected = sample.label.weight * sample.label.first + (1 - sample.label.weight) * sample.label.second
            assert level == pytest.approx(expected, abs=0.05), "the label says what is in the file"
            labels.append(sample.label)
    weights = [label.weight for label in labels]
    assert len(set(weights)) == 24
    assert min(weights) < 0.25 < 0.75 < max(weights)
    assert {label.second for label in labels} == {0, 1, 2}


def test_the_share_of_mixed_files_and_their_weights_are_as_asked_for() -> None:
    files = Files(MemorySource(sounds(12)), ByteReading(augment=AugmentConfig(mixup=0.3, mixup_alpha=0.1)))
    keyed = Keyed(files, seed=0)
    labels = [keyed[epoch, index][1].label for epoch in range(40) for index in range(12)]
    mixed = [label for label in labels if isinstance(label, MixedLabel)]
    assert 0.2 < len(mixed) / len(labels) < 0.4
    assert np.mean([0.1 < label.weight < 0.9 for label in mixed]) < 0.35, "Beta(0.1, 0.1) is mostly near 0 and 1"


def test_validation_files_are_never_mixed() -> None:
    files = Files(MemorySource(sounds(6)), ByteReading(augment=MIXUP))
    for index in range(6):
        _, sample = Keyed(files, seed=0)[NO_EPOCH, index]
        assert isinstance(sample, Sample)
        assert (sample.data, sample.label) == (files.source.read(index), index % 3)


def test_a_file_whose_partner_cannot_be_read_stands_alone_and_the_partner_is_named_in_its_turn() -> None:
    broken = sounds(4)[1:]
    source = MemorySource(sounds(4), broken=[name for name, _, _ in broken])
    files = Files(source, ByteReading(augment=MIXUP))
    deal = Deal(Plan(files.sizes(), 4, 10**6, 0), [0], 0, 1, 1)
    for seed in range(4):
        (part,) = load_parts(files, Classify(CLASSES), deal, seed=seed)
        assert part.indices == (0,)
        assert {problem.name for problem in part.problems} == {name for name, _, _ in broken}


def test_training_with_mixup_is_the_same_over_restarts_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = Splits(CLASSES, MemorySource(sounds(48)), MemorySource(sounds(12, seed=1)), test=MemorySource([]))
    options = {"data": {"augment": AugmentConfig(mixup=0.7, noise_dbfs=-50)}, "epochs": 3, "batch_bytes": 10**5}
    whole = run(tiny_recipe(tmp_path / "whole", **options), splits)
    assert len(curve(whole.history)) == 18

    step = Loop._step

    def stop_at_nine(loop: Loop, *args: Any) -> int:
        if loop.state.step == 9:  # mid-epoch, and not at a checkpoint
            raise KeyboardInterrupt
        return step(loop, *args)

    monkeypatch.setattr(Loop, "_step", stop_at_nine)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_recipe(tmp_path / "halves", **options), splits)
    monkeypatch.undo()
    halves = run(tiny_recipe(tmp_path / "halves", **options), splits)
    expected, got = final_tensors(tmp_path / "whole"), final_tensors(tmp_path / "halves")
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert curve(halves.history) == curve(whole.history)

    parts = run(tiny_recipe(tmp_path / "parts", **options | {"epochs": 1}, accumulation=2), splits)
    once = run(tiny_recipe(tmp_path / "once", **options | {"epochs": 1}), splits)
    assert curve(parts.history) == pytest.approx(curve(once.history), abs=1e-4)


def test_a_rectangle_is_pasted_into_pictures_and_not_into_sounds() -> None:
    black, white = (encode_image(np.full((8, 8, 3), value, np.uint8), "png") for value in (0, 255))
    reading, rng = ByteReading(), np.random.default_rng(3)
    mixed = reading.mix(black, "a", white, "b", 0.5, rng, cut=True)
    assert mixed is not None
    pixels = decode(mixed.data).pixels
    assert set(np.unique(pixels)) == {0, 255}
    assert mixed.weight == pytest.approx((pixels == 0).mean())
    sound = sounds(1)[0][2]
    assert reading.mix(sound, "a", sound, "b", 0.5, rng, cut=True) is None


def test_a_sound_that_nothing_can_be_pasted_into_stands_alone() -> None:
    files = Files(MemorySource(sounds(3)), ByteReading(augment=AugmentConfig(cutmix=1.0)))
    data, label = files.read(1, np.random.default_rng(0))
    assert (data, label) == (files.source.read(1), 1)
