"""Cross-attention of one head gives the same in either order of its products, gradients and biases included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from anybyte.config import AttentionConfig
from anybyte.models import one_head
from anybyte.models.attention import AttentionLayer, attend, attend_holding_scores
from anybyte.models.one_head import ArraySource, LatentSource, as_array, as_latents
from benchmarks.counted import count
from tests.models.perceivers import example, small


def layer(dim: int, source: int, config: AttentionConfig, dropout: float = 0.0) -> AttentionLayer:
    """A layer in which no weight or bias is at a value that would hide a mistake."""
    torch.manual_seed(1)
    made = AttentionLayer(dim, source, config, "tanh", "zero", dropout)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.4)
    return made


def off_by(found: Tensor, expected: Tensor) -> float:
    """Relative to the norm of what is expected."""
    return float((found - expected).detach().norm() / expected.detach().norm())


WIDTHS = [{}, {"qk_channels": 12}, {"qk_channels": 20, "v_channels": 9}, {"query_residual": False}]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_an_array_is_read_without_keys_and_values(widths: dict[str, int]) -> None:
    reads = layer(24, 14, AttentionConfig(**widths))
    x, tokens = torch.randn(2, 5, 24, requires_grad=True), torch.randn(2, 300, 14, requires_grad=True)
    source = as_array(reads, x, tokens)
    assert isinstance(source, ArraySource)
    found, expected = reads(x, source), reads(x, reads.read(tokens))
    assert off_by(found, expected) < 1e-5
    # No answer depends on the keys' bias; of its gradient there is rounding in one form, and zeros in the other.
    weights = [x, tokens, *(value for name, value in reads.named_parameters() if name != "key.bias")]
    towards = torch.randn_like(found)
    wanted = torch.autograd.grad(expected, weights, towards)
    for given, other in zip(torch.autograd.grad(found, weights, towards), wanted, strict=True):
        assert off_by(given, other) < 1e-5
    (bias,) = torch.autograd.grad(reads(x, source), reads.key.bias, towards)
    assert not bias.any()


@torch.inference_mode()
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_latents_answer_without_queries_being_projected(
    widths: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_head, "_SCORES", 100)  # pieces of 14 queries and of fewer
    answers = layer(10, 30, AttentionConfig(**widths))
    x, latents = torch.randn(2, 150, 10), torch.randn(2, 7, 30)
    source = as_latents(answers, latents, 150)
    assert isinstance(source, LatentSource)
    expected = answers(x, answers.read(latents))
    assert off_by(answers(x, source), expected) < 1e-5
    parts = [answers(part, source) for part in x.split(64, dim=1)]
    assert off_by(torch.cat(parts, dim=1), expected) < 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("queries", [1, 4, 16, 64, 256])
def test_the_order_is_that_of_fewer_products(queries: int) -> None:
    """Where the decision changes, so does what is counted."""
    answers = layer(20, 16, AttentionConfig())
    x, latents = torch.randn(1, queries, 20), torch.randn(1, 8, 16)
    plain = count(lambda: answers(x, answers.read(latents))).flops
    chosen = count(lambda: answers(x, as_latents(answers, latents, queries))).flops
    assert 0 < chosen <= plain
    assert (chosen < plain) == (queries > 4)


def test_what_needs_the_plain_form_has_it() -> None:
    x, array = torch.randn(1, 3, 16), torch.randn(1, 200, 16)
    two_heads = layer(16, 16, AttentionConfig(num_heads=2))
    drops = layer(16, 16, AttentionConfig(), dropout=0.1)
    one = layer(16, 16, AttentionConfig())
    assert isinstance(as_array(two_heads, x, array), tuple)
    assert isinstance(as_array(drops, x, array), tuple)
    assert isinstance(as_array(drops.eval(), x, array), ArraySource)
    assert isinstance(as_latents(one, x, 200), tuple)  # gradients are wanted
    with torch.no_grad():
        assert isinstance(as_latents(one, x, 200), LatentSource)
        assert isinstance(as_latents(one, x, 1), tuple)


@pytest.mark.parametrize("name", ["perceiver_io_flow", "perceiver_io_pixels"])
def test_models_compute_that_way_and_answer_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(name)
    inputs = example(model.config)
    with torch.inference_mode():
        found = model(inputs)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(inputs)
        monkeypatch.setattr(one_head, "_is_cheaper", lambda *_: False)
        expected = model(inputs)
    assert isinstance(found, Tensor)
    assert not torch.equal(found, expected)
    assert off_by(found, expected) < 1e-5
    assert off_by(rough.float(), expected) < 0.05


def test_short_attention_holds_its_scores() -> None:
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 4)
    keys = torch.rand(2, 1, 1, 9) < 0.5
    keys[..., 0] = True
    for mask in (None, keys):
        torch.testing.assert_close(attend_holding_scores(q, k, v, mask), attend(q, k, v, mask), atol=1e-6, rtol=1e-5)
