from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from anybyte.batch import ByteBatch
from anybyte.config import PixelsConfig, PrivacyConfig, ReadingConfig
from anybyte.explain import DEFAULT_METHOD, METHODS, Stopped, explain
from anybyte.models.rekey import rekey
from anybyte.predictor import Predictor
from anybyte.privacy.permutation import Permutation
from anybyte.reading import make_reading
from tests.explain.models import LABELS, byteformer, perceiver, some_bytes

DATA = some_bytes(120)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(byteformer(), LABELS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("build", [byteformer, perceiver])
def test_every_method_scores_every_byte_for_the_answer(method: str, build: object) -> None:
    model = build()  # type: ignore[operator]
    predictor = Predictor(model, LABELS)
    found = explain(predictor, DATA, method=method, name="a.bin")
    [answer] = predictor.classify([DATA])
    logits = model(ByteBatch.from_bytes([DATA]))[0]
    assert (found.label, found.method, found.name, found.data) == (answer.label, method, "a.bin", DATA)
    assert found.probability == pytest.approx(answer.score, abs=1e-5)
    assert found.logit == pytest.approx(float(logits[LABELS.index(found.label)]), abs=1e-4)
    assert found.scores.dtype == np.float32
    assert found.scores.shape == (120,)
    assert np.isfinite(found.scores).all()
    assert found.scores.any()
    assert (found.completeness_error is None) == (method != DEFAULT_METHOD)
    assert not found.altered


@pytest.mark.parametrize("method", METHODS)
def test_it_works_in_any_mode_of_the_caller(method: str, predictor: Predictor) -> None:
    predictor.classify([DATA])  # leaves a table that was made in inference mode
    expected = explain(predictor, DATA, method=method).scores
    with torch.inference_mode():
        np.testing.assert_array_equal(explain(predictor, DATA, method=method).scores, expected)
    with torch.no_grad():
        np.testing.assert_array_equal(explain(predictor, DATA, method=method).scores, expected)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(explain(predictor, DATA, method=method).scores, expected)
    assert all(parameter.grad is None for parameter in predictor.model.parameters())


def test_a_label_may_be_chosen(predictor: Predictor) -> None:
    found = {label: explain(predictor, DATA, method="gradient", label=label) for label in LABELS}
    assert [one.label for one in found.values()] == list(LABELS)
    assert sum(one.probability for one in found.values()) == pytest.approx(1)
    assert not np.allclose(found["cat"].scores, found["dog"].scores)


def test_a_model_alone_has_numbers_for_labels_or_those_given() -> None:
    model = byteformer()
    number = explain(model, DATA, method="gradient").label
    assert explain(model, DATA, method="gradient", labels=LABELS).label == LABELS[int(number)]


def test_settings_go_to_the_method(predictor: Predictor) -> None:
    coarse = explain(predictor, DATA, method="occlusion", size=60)
    assert len(np.unique(coarse.scores)) == 4  # three stretches that overlap by half
    assert coarse.settings == {"size": 60}
    assert explain(predictor, DATA, start=4, most=4, tolerance=1e-9).settings == {
        "start": 4, "most": 4, "tolerance": 1e-9, "steps": 4,
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("build", [byteformer, perceiver])
def test_it_stops_between_any_two_passes(
    method: str, build: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anybyte.explain.target._TOKENS_AT_ONCE", 1)  # each copy of the file is a pass
    model, asked = build(), 0
    options: dict[str, Any] = {"start": 8, "most": 8} if method == DEFAULT_METHOD else {}

    def stops_at(last: int) -> bool:
        nonlocal asked
        asked += 1
        return asked == last

    whole = explain(model, DATA, method=method, stopped=partial(stops_at, -1), **options)
    passes, asked = asked, 0
    assert passes >= {"gradient": 2, "attention": 4, "occlusion": 10, "integrated_gradients": 10}[method]
    np.testing.assert_array_equal(whole.scores, explain(model, DATA, method=method, **options).scores)
    for last in (1, passes // 2):
        asked = 0
        with pytest.raises(Stopped):
            explain(model, DATA, method=method, stopped=partial(stops_at, last), **options)
        assert asked == last


def test_a_permuted_model_is_explained_on_permuted_bytes(predictor: Predictor) -> None:
    permutation = Permutation(bytes(np.random.default_rng(0).permutation(256).astype(np.uint8)))
    reading = make_reading(ReadingConfig(privacy=PrivacyConfig(permutation=True)), key=permutation)
    sealed = Predictor(rekey(predictor.model, permutation), LABELS, reading=reading)
    for method in METHODS:
        plain, permuted = (explain(one, DATA, method=method) for one in (predictor, sealed))
        np.testing.assert_allclose(permuted.scores, plain.scores, rtol=1e-4, atol=1e-6)
        assert permuted.altered
        assert not plain.altered
        assert permuted.data == bytes(permutation.table[byte] for byte in DATA)


def test_mistakes_are_named(predictor: Predictor) -> None:
    cases: Sequence[tuple[str, dict[str, object]]] = [
        (r"unknown method 'gradients': there are integrated_gradients, gradient, ", {"method": "gradients"}),
        (r"attention has no setting 'size'; it has none", {"method": "attention", "size": 3}),
        (r"occlusion has no setting 'sise'; it has size, fill", {"method": "occlusion", "sise": 3}),
        (r"a\.bin: the model has no label 'cats'; it has cat", {"label": "cats"}),
        (r"a\.bin: size is 0, expected at least 1 byte", {"method": "occlusion", "size": 0}),
    ]
    for message, options in cases:
        with pytest.raises(ValueError, match=message):
            explain(predictor, DATA, name="a.bin", **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a\.bin is empty: there is nothing to explain"):
        explain(predictor, b"", name="a.bin")
    with pytest.raises(ValueError, match="the model is in training mode"):
        explain(byteformer().train(), DATA)


def test_a_model_of_pixels_has_no_scores_of_bytes() -> None:
    reading = make_reading(PixelsConfig(image_size=8))
    with pytest.raises(ValueError, match=r"reads what is decoded \(pixels\), not the bytes of files"):
        explain(Predictor(byteformer(), LABELS, reading=reading), DATA)


def test_without_captum_two_methods_are_left(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    for method in ("integrated_gradients", "gradient"):
        with pytest.raises(ModuleNotFoundError, match=r"anybyte\[explain\]"):
            explain(predictor, DATA, method=method)
    for method in ("occlusion", "attention"):
        explain(predictor, DATA, method=method)
