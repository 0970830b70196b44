from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from anybyte.batch import PADDING, ByteBatch
from anybyte.explain.target import Target, make_target
from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import create_model
from tests.explain.models import byteformer, perceiver, some_bytes

Build = Callable[[], ByteFormer | Perceiver]
MODELS: dict[str, Build] = {
    "byteformer": byteformer,
    "corenet": lambda: byteformer(numerics="corenet", window_shifts=(2, 2, 2)),
    "without positions": lambda: byteformer(positions="none"),
    "perceiver": perceiver,
    "average": lambda: perceiver(average=True, num_blocks=2, distinct_blocks=1, num_cross_attends=2),
}
LENGTHS = (8, 11, 64, 101)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> ByteFormer | Perceiver:
    return MODELS[request.param]()


@pytest.mark.parametrize("length", LENGTHS)
def test_the_target_is_the_models_own_logit(model: ByteFormer | Perceiver, length: int) -> None:
    data = some_bytes(length)
    target = make_target(model, data, 1)
    expected = model(ByteBatch.from_bytes([data]))
    copies = target.tokens().expand(3, -1, -1)
    torch.testing.assert_close(target.all_logits(copies), expected.expand(3, -1), rtol=1e-4, atol=1e-5)
    assert torch.equal(target.of(2).logits(copies), target.all_logits(copies)[:, 2])


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_replaced_is_read_as_if_it_stood_in_the_file(model: ByteFormer | Perceiver, length: int) -> None:
    data, other = some_bytes(length), some_bytes(length, seed=1)
    hidden = np.random.default_rng(0).random((2, length)) < 0.3
    target = make_target(model, data, 0)
    found = target.replaced(torch.from_numpy(hidden), torch.frombuffer(bytearray(other), dtype=torch.uint8))
    for row, tokens in zip(hidden, found, strict=True):
        mixed = bytes(b if hide else a for a, b, hide in zip(data, other, row, strict=True))
        torch.testing.assert_close(tokens, make_target(model, mixed, 0).tokens())
    all_zero = target.replaced(torch.ones(1, length, dtype=torch.bool), 0)[0]
    torch.testing.assert_close(all_zero, make_target(model, bytes(length), 0).tokens())


def test_all_padding_is_embedded_as_nothing() -> None:
    target = make_target(byteformer(), some_bytes(50), 0)
    assert not target.replaced(torch.ones(1, 50, dtype=torch.bool), PADDING).any()


def embedded_gradient(target: Target) -> tuple[torch.Tensor, torch.Tensor]:
    """Embedded bytes [bytes, dim], and the gradient of the logit with regard to them, by embedding and convolution."""
    stem = target.stem
    values = torch.frombuffer(bytearray(target.data), dtype=torch.uint8).long()
    embedded = stem.embedding[values].detach().requires_grad_()
    places = torch.zeros(len(target.values), stem.dim)
    rows = min(len(places), target.length)
    places = torch.cat([embedded[:rows], places[rows:]])
    tokens = torch.nn.functional.conv1d(places.T[None], stem.kernel, stride=stem.stride)[0].T
    [gradient] = torch.autograd.grad(target.logits(tokens[None]).sum(), embedded)
    return embedded.detach(), gradient


@pytest.mark.parametrize("length", LENGTHS)
def test_scores_of_tokens_dealt_out_are_those_of_embedded_bytes(model: ByteFormer | Perceiver, length: int) -> None:
    target = make_target(model, some_bytes(length), 2)
    embedded, gradient = embedded_gradient(target)
    tokens = target.tokens().requires_grad_()
    [of_tokens] = torch.autograd.grad(target.logits(tokens[None]).sum(), tokens)
    expected = (embedded * gradient).sum(dim=1).double()
    torch.testing.assert_close(target.to_bytes(of_tokens), expected, rtol=1e-3, atol=1e-5)


def test_it_deals_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(byteformer(), some_bytes(300), 0)
    gradient = torch.randn(target.num_tokens, 16)
    whole = target.to_bytes(gradient)
    monkeypatch.setattr("anybyte.explain.target._PRODUCTS_AT_ONCE", 1000)
    torch.testing.assert_close(target.to_bytes(gradient), whole)


@pytest.mark.parametrize("length", [1, 5, 8, 50])
def test_spread_weights_stay_whole(length: int) -> None:
    target = make_target(byteformer(), some_bytes(length), 0)
    weights = torch.rand(target.num_tokens)
    spread = target.spread(weights)
    assert len(spread) == length
    torch.testing.assert_close(spread.sum(), weights.double().sum())


def test_models_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a Perceiver that does not read the bytes of files"):
        make_target(create_model("perceiver_io_language", num_latents=2, num_layers=1), b"abc", 0)
    with pytest.raises(ValueError, match=r"a Linear that does not"):
        make_target(torch.nn.Linear(2, 2), b"abc", 0)
    with pytest.raises(ValueError, match=r"files of at least 8 bytes, got 3"):
        make_target(byteformer(numerics="corenet"), b"abc", 0)


def test_a_perceiver_without_a_stem_says_so() -> None:
    model = create_model("perceiver_io_language", num_latents=2, num_layers=1)
    assert isinstance(model, Perceiver)
    with pytest.raises(ValueError, match="does not classify files"):
        model.logits_from_stem(torch.zeros(1, 8), np.array([1]))
