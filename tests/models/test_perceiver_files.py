"""Perceivers that read files: the laws of ByteFormer hold for them too, and long files need not fit in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import anybyte
from anybyte.batch import ByteBatch
from anybyte.config import AttentionConfig, BytesInputConfig, ClassOutputConfig, LabelInputConfig, PerceiverConfig
from anybyte.models import long_files
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import create_model
from tests.models.perceivers import files, small

FILES = PerceiverConfig(
    inputs=(BytesInputConfig(num_channels=24, kernel_size=4),),
    outputs=(ClassOutputConfig(num_classes=5, query_channels=16),),
    num_latents=6,
    latent_dim=16,
    num_blocks=2,
    num_layers=1,
    process=AttentionConfig(num_heads=4),
)

# None, shorter than the kernel of 4, around its strides of 2.
ODD_LENGTHS = [0, 1, 2, 3, 4, 5, 6, 7, 17]
lengths_lists = st.lists(st.sampled_from(ODD_LENGTHS) | st.integers(0, 200), min_size=1, max_size=5)


def build(config: PerceiverConfig = FILES, **changes: Any) -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(dataclasses.replace(config, **changes)).eval()


def reading(**changes: Any) -> dict[str, Any]:
    return {"inputs": (dataclasses.replace(FILES.inputs[0], **changes),)}


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
@settings(max_examples=10, deadline=None)
@given(lengths=lengths_lists, seed=st.integers(0, 2**16), gradients=st.booleans())
def test_a_files_answer_is_its_own(positions: str, lengths: list[int], seed: int, gradients: bool) -> None:
    """In any batch, in any order, logits are those of the file alone."""
    model = build(**reading(positions=positions, max_num_tokens=100))
    batch = files(lengths, seed=seed)
    with torch.set_grad_enabled(gradients):
        together = model(batch)
        alone = torch.cat([model(ByteBatch(data, torch.tensor([len(data)]))) for data in batch.split()])
        parts = batch.split()[::-1]
        backwards = model(ByteBatch(torch.cat(parts), batch.lengths.flip(0))).flip(0)
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(together, backwards, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_every_byte_is_read_and_its_place_matters() -> None:
    model = build()
    data = bytes(files([41]).values.tolist())
    changed = [data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :] for place in range(len(data))]
    logits = model(ByteBatch.from_bytes([data, *changed, data[8:] + data[:8]]))
    assert (logits[1:] - logits[0]).abs().amax(1).min() > 1e-7


@torch.inference_mode()
@settings(max_examples=10, deadline=None)
@given(lengths=lengths_lists, stretch=st.integers(1, 40), blocks=st.integers(1, 2))
def test_reading_in_stretches_changes_nothing(lengths: list[int], stretch: int, blocks: int) -> None:
    """Also where each of several blocks reads the file anew."""
    model = build(num_cross_attends=blocks, distinct_cross_attends=blocks)
    batch = files(lengths)
    whole = model(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_files, "LONG_TOKENS", 10)
        patch.setattr(long_files, "STRETCH_TOKENS", stretch)
        torch.testing.assert_close(model(batch), whole, atol=1e-5, rtol=0)


def test_long_files_are_read_in_stretches_unless_gradients_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    batch = files([200])
    monkeypatch.setattr(long_files, "LONG_TOKENS", 10)
    assert model.encode(batch).tokens is not None
    with torch.inference_mode():
        assert model.encode(batch).tokens is None
        assert model.encode(files([9])).tokens is not None


@torch.inference_mode()
def test_scores_of_any_size_are_added_up() -> None:
    """Weights are kept relative to the largest score so far: sharp attention neither overflows nor vanishes."""
    model = build()
    layer = model.encoders[0]
    layer.query.weight.mul_(1e3)
    tokens = torch.randn(1, 90, 24)
    found = long_files.attend_in_stretches(layer, model.latents[None], tokens.split(7, dim=1))
    torch.testing.assert_close(found, layer(model.latents[None], layer.read(tokens)), atol=1e-5, rtol=1e-5)


def test_an_empty_file_is_one_token_of_padding() -> None:
    encoded = build().encode(files([0, 4]))
    assert encoded.grids == {"file": (1,)}
    assert encoded.masks == {}


def test_padding_is_masked() -> None:
    encoded = build().encode(files([4, 9, 0]))
    assert encoded.grids == {"file": (4,)}
    assert encoded.masks["file"].sum(dim=1).tolist() == [1, 4, 1]


@torch.inference_mode()
def test_files_beside_another_input() -> None:
    inputs = (FILES.inputs[0], LabelInputConfig(num_classes=3))
    model = build(inputs=inputs)
    labels = torch.eye(3)[:2]
    both = model({"file": files([40, 7]), "label": labels})
    alone = model({"file": files([40]), "label": labels[:1]})
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=0)
    assert not model.reads_files
    assert model({"file": files([40, 7])}).shape == (2, 5)


@pytest.mark.parametrize("initialisation", ["paper", "smooth", "samples"])
def test_what_bytes_mean_at_the_start(initialisation: Any) -> None:
    stem = build(**reading(initialisation=initialisation)).inputs.parts["file"].stem
    plain = build(**reading(initialisation="paper")).inputs.parts["file"].stem
    assert torch.equal(stem.embedding, plain.embedding) == (initialisation == "paper")
    if initialisation == "smooth":  # bytes of near values are near
        near, far = (stem.embedding[100:150] - stem.embedding[start : start + 50] for start in (101, 0))
        assert near.norm(dim=1).mean() < 0.5 * far.norm(dim=1).mean()
    if initialisation == "samples":  # signed numbers far from zero mean nothing
        assert stem.embedding[100:150].norm(dim=1).mean() < 0.1 * stem.embedding[:10].norm(dim=1).mean()


def test_it_learns() -> None:
    """Which of two bytes a file is made of, in a few steps: gradients reach the bytes."""
    model = build().train()
    batch = ByteBatch.from_bytes([bytes([value]) * length for value in (3, 200) for length in (5, 90, 31)])
    targets = torch.tensor([0, 0, 0, 1, 1, 1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(model(batch), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1


def test_the_front_door_answers_about_files(tmp_path: Path) -> None:
    model = small("perceiver_io_bytes_nano")
    labels = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu"]
    model.save_pretrained(tmp_path / "model", labels=labels)
    contents = [b"abc" * 30, b"x", bytes(range(256))]
    answers = anybyte.load(tmp_path / "model").classify(contents, top=7)
    with torch.inference_mode():
        expected = model(ByteBatch.from_bytes(contents)).softmax(dim=-1)
    for answer, row in zip(answers, expected, strict=True):
        assert answer.label == labels[int(row.argmax())]
        assert dict(answer.top) == pytest.approx(dict(zip(labels, row.tolist(), strict=True)), abs=1e-5)


def test_perceiver_and_byteformer_are_asked_alike() -> None:
    batch = files([30, 400])
    for name in ("perceiver_io_bytes_nano", "byteformer_nano"):
        model = create_model(name, num_classes=4)
        assert model.reads_files
        assert model.num_classes == 4
        assert model(batch).shape == (2, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model(torch.zeros(2, 9)), "'file' must be a ByteBatch, got Tensor"),
        (lambda model: model({}), "input 'file' is missing"),
        (lambda model: model({"files": files([3])}), "no input 'files'; the model has 'file'"),
        (lambda model: model(files([3]), torch.ones(1, 1, dtype=torch.bool)), "'file' takes no mask"),
        (lambda model: model(files([300])), "makes 149 tokens, but the learned position table ends at .*=100"),
    ],
)
def test_what_does_not_fit_is_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(build(**reading(positions="learned", max_num_tokens=100)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "fourier"}, "positions of input 'file' must be learned, sinusoidal or none, got 'fourier'"),
        ({"initialisation": "random"}, "initialisation of input 'file' must be paper, smooth or samples"),
        ({"kernel_size": 3}, "kernel_size must be even"),
        ({"num_channels": 7}, "need an even dim, got 7"),
    ],
)
def test_a_config_that_contradicts_itself_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**reading(**changes))


def test_a_file_model_of_several_outputs_does_not_classify(tmp_path: Path) -> None:
    outputs = (*FILES.outputs, ClassOutputConfig(name="other", num_classes=2, query_channels=16))
    model = build(outputs=outputs)
    assert (model.reads_files, model.num_classes) == (False, None)
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="does not classify files"):
        anybyte.load(tmp_path / "model")
