from __future__ import annotations

import pytest
import torch

from anybyte.batch import PADDING, ByteBatch
from anybyte.explain.occlusion import occlusion
from anybyte.explain.target import make_target
from tests.explain.models import byteformer, perceiver, some_bytes


@pytest.mark.parametrize("build", [byteformer, perceiver])
@pytest.mark.parametrize(("length", "size"), [(40, 8), (41, 8), (7, 3), (5, 1), (3, 10)])
def test_a_byte_has_the_mean_of_its_stretches(build: object, length: int, size: int) -> None:
    model, data, fill = build(), some_bytes(length), 65  # type: ignore[operator]
    expected = [[] for _ in range(length)]  # type: ignore[var-annotated]
    whole = float(model(ByteBatch.from_bytes([data]))[0, 1])
    step = max(1, size // 2)
    first = 0
    while True:
        changed = data[:first] + bytes([fill]) * len(data[first : first + size]) + data[first + size :]
        drop = (whole - float(model(ByteBatch.from_bytes([changed]))[0, 1])) / len(data[first : first + size])
        for offset in range(first, min(first + size, length)):
            expected[offset].append(drop)
        if first + size >= length:
            break
        first += step
    scores = occlusion(make_target(model, data, 1), size=size, fill=fill)
    means = torch.tensor([sum(drops) / len(drops) for drops in expected], dtype=torch.float64)
    torch.testing.assert_close(scores, means, rtol=1e-3, atol=1e-5)


def test_one_stretch_of_padding_takes_away_the_whole_file() -> None:
    target = make_target(byteformer(), some_bytes(30), 0)
    logit, nothing = target.logits(torch.stack([target.tokens(), torch.zeros_like(target.tokens())])).tolist()
    scores = occlusion(target, size=30)
    assert float(scores.sum()) == pytest.approx(logit - nothing, abs=1e-4)
    assert len(set(scores.tolist())) == 1


def test_stretches_are_computed_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(byteformer(), some_bytes(500), 0)
    whole = occlusion(target)
    monkeypatch.setattr("anybyte.explain.target._TOKENS_AT_ONCE", 1)
    torch.testing.assert_close(occlusion(target), whole, rtol=1e-3, atol=1e-6)


def test_settings_that_make_no_sense() -> None:
    target = make_target(byteformer(), b"abcdefgh", 0)
    with pytest.raises(ValueError, match="size is 0, expected at least 1 byte"):
        occlusion(target, size=0)
    with pytest.raises(ValueError, match=f"fill is 257, .* or {PADDING} for padding"):
        occlusion(target, fill=257)
