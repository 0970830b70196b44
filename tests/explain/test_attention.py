from __future__ import annotations

import numpy as np
import pytest
import torch

from anybyte.config import AttentionConfig
from anybyte.explain.attention import attention_rollout
from anybyte.explain.target import make_target
from anybyte.models.attention import AttentionLayer
from anybyte.models.byteformer import ByteFormer
from anybyte.models.windows import cut_windows
from tests.explain.models import byteformer, perceiver, some_bytes


def dense_rollout(model: ByteFormer, data: bytes) -> torch.Tensor:
    """The weights of the stem's tokens, by whole matrices [last tokens, tokens]."""
    x = make_target(model, data, 0).tokens()
    if model.positions is not None:
        x = x + model.positions.table(0, len(x))
    rollout = torch.eye(len(x), dtype=torch.float64)
    for index, block in enumerate(model.blocks):
        count = len(x)
        attention = torch.zeros(count, count, dtype=torch.float64)
        first = 0
        for length in cut_windows(np.array([count]), *model.windows[index]).tolist():
            part = slice(first, first + length)
            q, k, _ = block.attention.qkv(block.norm1(x[part])).view(length, 3, 2, -1).permute(1, 2, 0, 3)
            attention[part, part] = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=0).double()
            first += length
        rollout = (torch.eye(count) + attention) / 2 @ rollout
        x, counts = model.run_merge(index, model.run_block(index, x, np.array([count])), np.array([count]))
        if int(counts[0]) < count:
            pairs = torch.zeros(int(counts[0]), count, dtype=torch.float64)
            for token in range(count):
                pairs[token // 2, token] = 1.0 if token == count - 1 and count % 2 else 0.5
            rollout = pairs @ rollout
    return rollout.mean(dim=0)


@pytest.mark.parametrize("length", [8, 50, 61, 101])
def test_byteformer_by_windows_and_merges_is_what_matrices_give(length: int) -> None:
    model, data = byteformer(merge_after=(0, 1), positions="sinusoidal"), some_bytes(length)
    target = make_target(model, data, 0)
    expected = target.spread(dense_rollout(model, data))
    torch.testing.assert_close(attention_rollout(target), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"average": True},
        {"num_blocks": 2, "distinct_blocks": 1, "num_cross_attends": 2},
        {"num_blocks": 3, "distinct_blocks": 2, "num_cross_attends": 1},
        {"encode": AttentionConfig(num_heads=1, query_residual=False)},
    ],
    ids=str,
)
def test_shares_add_up_to_one(options: dict[str, object]) -> None:
    for model in (byteformer(), perceiver(**options)):  # type: ignore[arg-type]
        shares = attention_rollout(make_target(model, some_bytes(70), 0))
        assert float(shares.sum()) == pytest.approx(1, abs=1e-6)
        assert float(shares.min()) >= 0
        assert float(shares.max()) > 1.2 / 70


def test_a_perceiver_that_reads_once_without_layers_looks_where_its_latents_look() -> None:
    model = perceiver(average=True, num_layers=1)
    for block in model.blocks:
        for layer in block.children():  # even attention among latents
            assert isinstance(layer, AttentionLayer)
            layer.query.weight.zero_()
            layer.query.bias.zero_()
    target = make_target(model, some_bytes(44), 0)
    part = next(iter(model.inputs.parts.values()))
    array = part.arrange(target.tokens(), np.array([target.num_tokens]))[0]  # type: ignore[operator]
    layer = model.encoders[0]
    assert isinstance(layer, AttentionLayer)
    assert layer.norm_source is not None
    q, k = layer.query(layer.norm(model.latents)), layer.key(layer.norm_source(array[0]))
    heads = layer.num_heads
    q, k = (x.unflatten(-1, (heads, -1)).transpose(0, 1) for x in (q, k))
    looked = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=(0, 1))
    torch.testing.assert_close(attention_rollout(target), target.spread(looked), rtol=1e-4, atol=1e-8)


def test_what_cannot_be_followed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="numerics='corenet', whose windows wrap around"):
        attention_rollout(make_target(byteformer(numerics="corenet"), some_bytes(20), 0))
    monkeypatch.setattr("anybyte.explain.attention.MAX_TOKENS", 3)
    with pytest.raises(ValueError, match="50 bytes are 12 tokens, and attention is followed through 3"):
        attention_rollout(make_target(byteformer(), some_bytes(50), 0))
