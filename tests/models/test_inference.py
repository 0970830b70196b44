"""What runs where no gradient is wanted equals the modules that it stands for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.config import ByteFormerConfig
from anybyte.models import inference
from anybyte.models.attention import Block, TokenMerge, attend
from anybyte.models.byteformer import ByteFormer
from anybyte.models.windows import cut_windows, plan_windows

CONFIG = ByteFormerConfig(
    num_classes=5, dim=48, num_heads=3, depth=4, kernel_size=4, window_sizes=64, merge_after=(0, 2)
)


def a_block() -> Block:
    torch.manual_seed(0)
    return Block(64, 2, 4.0, 0.0, 1e-5).eval()


def tokens_of(count: int, channels: int = 64) -> torch.Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(1))


def a_batch(lengths: list[int]) -> ByteBatch:
    generator = torch.Generator().manual_seed(2)
    return ByteBatch(
        torch.randint(0, 256, (sum(lengths),), dtype=torch.uint8, generator=generator), torch.tensor(lengths)
    )


@pytest.mark.parametrize("counts", [[128], [320], [5000], [200, 64, 7], [30] * 50])
@pytest.mark.parametrize("shift", [0, 32])
def test_a_ready_block_is_the_block(counts: list[int], shift: int) -> None:
    """Windows that lie where they are, and such that are brought together."""
    block, x = a_block(), tokens_of(sum(counts))
    plan = plan_windows(cut_windows(np.array(counts), 64, shift), 64, x.device)
    with torch.no_grad():
        run = inference.ready(block, x)
        assert run is not None
        expected = block(x, plan)
        torch.testing.assert_close(run(x, plan, torch.empty_like(x)), expected, atol=1e-5, rtol=1e-5)
        own = x.clone()
        assert run(own, plan, own) is own  # its result may take the place of what it reads
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pairs", [64, 65, 4160])
def test_a_ready_merge_is_the_merge(pairs: int) -> None:
    torch.manual_seed(0)
    merge, x = TokenMerge(64, 1e-5).eval(), tokens_of(pairs, 128)
    with torch.no_grad():
        run = inference.ready(merge, x)
        assert run is not None
        torch.testing.assert_close(run(x), merge(x), atol=1e-5, rtol=1e-5)


def test_in_bfloat16_a_ready_block_is_as_near_as_the_block() -> None:
    block, x = a_block(), tokens_of(320)
    plan = plan_windows(cut_windows(np.array([320]), 64, 0), 64, x.device)
    with torch.no_grad():
        exact = block(x, plan)
        with torch.autocast("cpu", torch.bfloat16):
            run = inference.ready(block, x.bfloat16())
            assert run is not None
            rough, modules = (
                run(x.bfloat16(), plan, torch.empty(320, 64, dtype=torch.bfloat16)),
                block(x.bfloat16(), plan),
            )
    errors = [float((found.float() - exact).norm() / exact.norm()) for found in (rough, modules)]
    assert errors[0] < max(1.5 * errors[1], 0.005)


def test_where_only_the_block_will_do() -> None:
    block, x = a_block(), tokens_of(64)
    assert inference.ready(block, x) is None  # gradients are wanted
    with torch.no_grad():
        assert inference.ready(block, x) is not None
        assert inference.ready(block, x.bfloat16()) is None  # which the weights are not
        assert inference.ready(block.to("meta"), x.to("meta")) is None
        dropping = Block(64, 2, 4.0, 0.5, 1e-5)
        assert inference.ready(dropping.train(), x) is None
        assert inference.ready(dropping.eval(), x) is not None


def test_without_onednn_products_are_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    block, x = a_block(), tokens_of(128)
    plan = plan_windows(cut_windows(np.array([128]), 64, 0), 64, x.device)
    monkeypatch.setattr(inference, "_onednn_computes", lambda dtype: False)
    with torch.no_grad():
        run = inference.ready(block, x)
        assert run is not None
        torch.testing.assert_close(run(x, plan, torch.empty_like(x)), block(x, plan), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [[900], [300, 5000, 41, 2000], [2000, 2000, 2000]])
def test_the_model_is_the_same_with_gradients_and_without(lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of few tokens and groups of few files, too."""
    torch.manual_seed(0)
    model, batch = ByteFormer(CONFIG).eval(), a_batch(lengths)
    expected = model(batch).detach()
    for at_once, together in ((1024, 2**15), (128, 1000)):
        monkeypatch.setattr(inference, "TOKENS_AT_ONCE", at_once)
        monkeypatch.setattr(inference, "TOKENS_TOGETHER", together)
        with torch.inference_mode():
            torch.testing.assert_close(model(batch), expected, atol=1e-6, rtol=1e-5)


def test_what_is_given_is_not_written_into() -> None:
    model = ByteFormer(CONFIG).eval()
    with torch.inference_mode():
        x, counts = model.stem(a_batch([700, 700]))
        before = x.clone()
        expected = model.logits_from_stem(x, counts)
        model.run_block(0, x, counts)
        assert torch.equal(x, before)
        torch.testing.assert_close(model(a_batch([700, 700])), expected, atol=1e-6, rtol=1e-5)


def test_files_go_in_groups_of_whole_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "TOKENS_TOGETHER", 100)
    batch = a_batch([120, 70, 500, 10, 20, 150])
    groups = inference.group_files(batch, stride=2)
    assert [group.lengths.tolist() for group in groups] == [[120, 70], [500], [10, 20, 150]]
    assert torch.equal(torch.cat([group.values for group in groups]), batch.values)


def test_bfloat16_attention_by_products_is_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 64, 32, generator=generator)
    exact = F.scaled_dot_product_attention(q, k, v)
    rough = attend(*(x.bfloat16() for x in (q, k, v)))
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() / exact.norm() < 0.01


def test_a_deep_copy_in_another_dtype_still_computes() -> None:
    model = ByteFormer(dataclasses.replace(CONFIG, depth=1, merge_after=())).eval()
    batch = a_batch([700])
    with torch.inference_mode():
        torch.testing.assert_close(model.double()(batch).float(), model.float()(batch), atol=1e-5, rtol=1e-5)


def test_reading_models_loads_no_compiler() -> None:
    code = "import sys, anybyte.models.byteformer; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["attention.qkv", "attention.out", "mlp.fc1", "mlp.fc2"])
def test_a_block_with_a_layer_of_its_own_kind_runs_as_it_is(name: str) -> None:
    """Hooks and adapters would be passed over otherwise."""
    block, x = a_block(), tokens_of(8)
    with torch.no_grad():
        assert inference.ready(block, x) is not None
        hook = block.get_submodule(name).register_forward_hook(lambda *_: None)
        assert inference.ready(block, x) is None
        hook.remove()
        block.get_submodule(name).__class__ = type("Adapted", (torch.nn.Linear,), {})
        assert inference.ready(block, x) is None
