from __future__ import annotations

import sys

import captum.attr
import pytest
import torch

from anybyte.explain.gradients import gradient_times_embedding, integrated_gradients
from anybyte.explain.target import make_target
from tests.explain.models import byteformer, perceiver, some_bytes
from tests.explain.test_target import embedded_gradient

TARGETS = {
    "byteformer": make_target(byteformer(), some_bytes(90), 1),
    "perceiver": make_target(perceiver(), some_bytes(90), 1),
}


@pytest.fixture(params=TARGETS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_gradient_times_embedding(name: str) -> None:
    embedded, gradient = embedded_gradient(TARGETS[name])
    expected = (embedded * gradient).sum(dim=1).double()
    torch.testing.assert_close(gradient_times_embedding(TARGETS[name]), expected, rtol=1e-3, atol=1e-5)


def test_integrated_gradients_add_up(name: str) -> None:
    target = TARGETS[name]
    scores, baseline, error, steps = integrated_gradients(target, tolerance=0.001, start=2)
    logit = float(target.logits(target.tokens()[None]))
    nothing = float(target.logits(torch.zeros_like(target.tokens())[None]))
    assert baseline == pytest.approx(nothing, abs=1e-5)
    assert error <= 0.001
    assert float(scores.sum()) - (logit - baseline) == pytest.approx(0, abs=0.00101 * abs(logit - baseline))
    assert steps > 2


def test_they_are_those_of_the_embedded_bytes(name: str) -> None:
    """captum on the byte embedding itself gives the same scores as on the tokens, dealt out."""
    target = TARGETS[name]
    embedded, _ = embedded_gradient(target)

    def logits(copies: torch.Tensor) -> torch.Tensor:
        places = torch.nn.functional.pad(copies, (0, 0, 0, len(target.values) - target.length))
        tokens = torch.nn.functional.conv1d(places.mT, target.stem.kernel, stride=target.stem.stride).mT
        return target.logits(tokens)

    expected = captum.attr.IntegratedGradients(logits).attribute(embedded[None], n_steps=32)[0].sum(dim=1)
    scores, _, _, steps = integrated_gradients(target, tolerance=1e-9, start=32, most=32)
    assert steps == 32
    torch.testing.assert_close(scores, expected.double(), rtol=1e-3, atol=1e-5)


def test_steps_are_doubled_until_they_suffice_or_are_the_most() -> None:
    target = TARGETS["byteformer"]
    errors = [integrated_gradients(target, tolerance=1e-12, start=n, most=n)[2] for n in (2, 64)]
    assert errors[1] < errors[0]
    assert integrated_gradients(target, tolerance=1e-12, start=3, most=20)[3] == 12
    assert integrated_gradients(target, tolerance=errors[0] * 1.01, start=2)[3] == 2


def test_copies_are_computed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["byteformer"]
    whole = integrated_gradients(target, start=8, most=8)[0]
    monkeypatch.setattr("anybyte.explain.target._TOKENS_AT_ONCE", 3 * target.num_tokens)
    torch.testing.assert_close(integrated_gradients(target, start=8, most=8)[0], whole, rtol=1e-4, atol=1e-6)


def test_settings_that_make_no_sense() -> None:
    target = TARGETS["byteformer"]
    with pytest.raises(ValueError, match="tolerance is 0"):
        integrated_gradients(target, tolerance=0)
    with pytest.raises(ValueError, match="steps go from 8 to 4"):
        integrated_gradients(target, start=8, most=4)


def test_long_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anybyte.explain.gradients.MAX_TOKENS", 10)
    for method in (gradient_times_embedding, integrated_gradients):
        with pytest.raises(ValueError, match=r"90 bytes are 22 tokens, and gradients are for 10 at most: .* occlusion"):
            method(TARGETS["byteformer"])


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'anybyte\[explain\]'"):
        gradient_times_embedding(TARGETS["byteformer"])
