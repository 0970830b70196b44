"""No case of the benchmarks costs more than its budget, and a form that wastes is caught. Nothing here is timed."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from benchmarks import budget, latency
from benchmarks.counted import Cost, count

with warnings.catch_warnings(action="ignore"):
    pytest.importorskip("transformers", reason="needs transformers, of the extra dev")

CASES = budget.cases()
COMMITTED = budget.read()


@pytest.fixture(autouse=True)
def threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)  # it would stay so for the tests that follow


@pytest.mark.parametrize("name", CASES)
def test_a_case_stays_within_its_budget(name: str) -> None:
    if name.endswith("bf16") and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor computes bfloat16 in another way than that of the budget")
    cost = budget.count_case(CASES[name])
    assert cost.flops > 0
    assert not budget.excess(name, cost, COMMITTED)


def test_the_budget_names_the_cases_there_are() -> None:
    assert set(COMMITTED) == set(CASES)


def test_the_plain_form_breaks_the_budget() -> None:
    cost = budget.count_case(lambda: latency.prepare("wav", "plain fp32", "byteformer_tiny", 1, 1))
    over = budget.excess("wav, anybyte fp32", cost, COMMITTED)
    assert [line for line in over if "FLOPs" in line]
    assert [line for line in over if "bytes at once" in line]


def test_a_copy_too_many_breaks_the_budget() -> None:
    call = latency.prepare("wav", "anybyte fp32", "byteformer_tiny", 1, 1)
    call()
    found = count(call)
    held = count(lambda: [torch.ones(found.peak_bytes // 40), call()])
    assert not budget.excess("wav, anybyte fp32", found, COMMITTED)
    assert held.flops == found.flops
    assert held.peak_bytes > found.peak_bytes * 1.09


def test_what_is_counted() -> None:
    """Products by any way to them; the most that is held at once, not all that was ever made."""
    x, weight = torch.randn(100, 64), torch.randn(32, 64)

    def linear_then_free() -> None:
        for _ in range(3):
            F.linear(x, weight).relu()  # the product and its positive part are held, then neither

    with torch.inference_mode():
        assert count(linear_then_free) == Cost(3 * 2 * 100 * 64 * 32, 2 * 100 * 32 * 4)
        assert count(lambda: weight.T.contiguous().T.flatten()[:5]) == Cost(0, 2 * 32 * 64 * 4)
    q = torch.randn(1, 2, 50, 16, requires_grad=True)
    scores = 2 * 2 * 50 * 50 * 16
    assert count(lambda: F.scaled_dot_product_attention(q, q, q)).flops == 2 * scores
    assert count(lambda: F.scaled_dot_product_attention(q, q, q).sum().backward()).flops == 7 * scores
    if torch.backends.mkldnn.is_available():
        fused = torch.ops.mkldnn._linear_pointwise
        assert count(lambda: fused(x, weight, None, "none", [], "")) == Cost(2 * 100 * 64 * 32, 100 * 32 * 4)


def test_counting_twice_gives_the_same() -> None:
    call = latency.prepare("wav", "anybyte bf16", "byteformer_nano", 2, 1)
    call()
    assert count(call) == count(call)


def test_it_is_written_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "budget.json"
    prepare = functools.partial(latency.prepare, "wav", "anybyte fp32", "byteformer_nano", 1, 1)
    monkeypatch.setattr(budget, "cases", lambda: {"small": prepare})
    budget.main(["--path", str(path)])
    budget.main(["--path", str(path), "--check"])
    written = json.loads(path.read_text())
    assert set(written) == {"small"}
    written["small"]["flops"] = written["small"]["flops"] * 95 // 100
    path.write_text(json.dumps(written))
    with pytest.raises(SystemExit, match=r"small: takes [0-9,]+ FLOPs, 5\.\d% more than"):
        budget.main(["--path", str(path), "--check"])
    path.write_text("{}")
    with pytest.raises(SystemExit, match="has no budget"):
        budget.main(["--path", str(path), "--check"])
