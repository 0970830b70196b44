"""The stem: a table lookup that equals embedding and convolution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anybyte.batch import PADDING, ByteBatch
from anybyte.models.stem import Stem


def reference(stem: Stem, data: bytes) -> torch.Tensor:
    """Embedding, then `conv1d`, of one file whose last kernel is completed with the padding entry."""
    kernel, stride = stem.kernel_size, stem.stride
    count = max(1, -(-(len(data) - kernel) // stride) + 1)
    padded = torch.full(((count - 1) * stride + kernel,), PADDING)
    padded[: len(data)] = torch.tensor(list(data), dtype=torch.long)
    return torch.nn.functional.conv1d(stem.embedding[padded].T[None], stem.kernel, stride=stride)[0].T


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5), st.sampled_from([2, 4, 8, 32]))
def test_both_forms_equal_embedding_and_convolution(files: list[bytes], kernel_size: int) -> None:
    torch.manual_seed(0)
    stem = Stem(16, kernel_size)
    batch = ByteBatch.from_bytes(files)
    lengths = batch.lengths.numpy()
    counts = stem.num_tokens(lengths)
    indices = stem.read(batch.values, lengths, counts)
    expected = torch.cat([reference(stem, data) for data in files])
    assert len(expected) == counts.sum()
    torch.testing.assert_close(stem.tokens_by_convolution(indices), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stem.tokens_by_table(indices, stem.table()), expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(stem(batch)[0], expected, atol=1e-5, rtol=1e-5)


def test_gradients_of_both_forms_are_equal() -> None:
    torch.manual_seed(0)
    stem = Stem(16, 8).double()
    indices = torch.randint(0, 257, (300, 8), dtype=torch.int32)
    weight = torch.randn(300, 16, dtype=torch.float64)
    forms = (stem.tokens_by_convolution(indices), stem.tokens_by_table(indices, stem.table()))
    grads = [torch.autograd.grad((form * weight).sum(), [stem.embedding, stem.kernel]) for form in forms]
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (grads[0][0][PADDING] == 0).all()


@torch.inference_mode()
def _answer(stem: Stem, batch: ByteBatch) -> torch.Tensor:
    return stem(batch)[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda stem: stem.kernel.mul_(2),
        lambda stem: stem.embedding.add_(1),
        lambda stem: stem.kernel.data.mul_(2),
        lambda stem: setattr(stem.kernel, "data", stem.kernel.data * 2),
        lambda stem: stem.load_state_dict({name: 2 * value for name, value in stem.state_dict().items()}),
        lambda stem: stem.double(),
    ],
)
def test_the_cached_table_follows_the_weights(change: object) -> None:
    torch.manual_seed(0)
    stem = Stem(16, 8)
    data = bytes(range(100))
    batch = ByteBatch.from_bytes([data])
    _answer(stem, batch)
    with torch.no_grad():
        change(stem)  # type: ignore[operator]
        stem.embedding[PADDING] = 0
        torch.testing.assert_close(_answer(stem, batch), reference(stem, data), atol=1e-5, rtol=1e-5)


def test_the_table_is_built_once() -> None:
    stem = Stem(16, 8)
    batch = ByteBatch.from_bytes([b"some bytes"])
    _answer(stem, batch)
    table = stem._cached_table(torch.float32)
    _answer(stem, batch)
    assert stem._cached_table(torch.float32) is table
    assert stem._cached_table(torch.bfloat16) is stem._cached_table(torch.bfloat16)


def test_padding_adds_nothing_whatever_its_row_holds() -> None:
    stem = Stem(16, 8)
    with torch.no_grad():
        stem.embedding[PADDING] = 1e6
    batch = ByteBatch.from_bytes([b"abc"])
    assert _answer(stem, batch).abs().max() < 100
    assert stem.tokens_by_convolution(torch.full((1, 8), PADDING, dtype=torch.int32)).abs().max() == 0
