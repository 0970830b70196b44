"""A ByteFormer in 8-bit integers: near the one in float32, and as independent of neighbours."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from anybyte.batch import ByteBatch
from anybyte.config import ByteFormerConfig
from anybyte.models import quantize
from anybyte.models.byteformer import ByteFormer
from anybyte.models.quantize import quantized

CONFIG = ByteFormerConfig(
    num_classes=7, dim=96, num_heads=3, depth=4, kernel_size=4, window_sizes=16, merge_after=(0, 2)
)
FILES = [bytes((7 * place * place + file) % 256 for place in range(50 + 90 * file)) for file in range(5)]

needs_vnni = pytest.mark.skipif(not quantize._has_vnni(), reason="this processor has no AVX-512 VNNI")


def build(initialisation: str = "smooth") -> ByteFormer:
    torch.manual_seed(0)
    model = ByteFormer(dataclasses.replace(CONFIG, initialisation=initialisation)).eval()
    with torch.no_grad():  # norms of a trained model are not ones and zeros
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 2)
                module.bias.normal_(0, 0.3)
    return model


def answer(model: ByteFormer, files: list[bytes], bf16: bool = True) -> torch.Tensor:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(ByteBatch.from_bytes(files)).float()


@needs_vnni
@pytest.mark.parametrize("initialisation", ["smooth", "paper"])
def test_answers_are_within_three_percent(initialisation: str) -> None:
    model = build(initialisation)
    exact = model.features(ByteBatch.from_bytes(FILES))
    integers = quantized(model)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        rough = integers.features(ByteBatch.from_bytes(FILES))
    assert integers.blocks[0].quantized is not None
    assert 1e-5 < (rough - exact).norm() / exact.norm() < 0.03


@needs_vnni
def test_a_files_answer_is_its_own() -> None:
    integers = quantized(build())
    together = answer(integers, FILES)
    alone = torch.cat([answer(integers, [data]) for data in FILES])
    # Attention over windows that were padded rounds otherwise in bfloat16.
    torch.testing.assert_close(together, alone, atol=0.03 * float(alone.std()), rtol=0)


@needs_vnni
def test_integers_are_used_in_bfloat16_without_gradients_and_nowhere_else() -> None:
    model = build()
    integers = quantized(model)
    assert not torch.equal(answer(integers, FILES), answer(model, FILES))
    assert torch.equal(answer(integers, FILES, bf16=False), answer(model, FILES, bf16=False))
    batch = ByteBatch.from_bytes(FILES)
    grads = [torch.autograd.grad(net(batch).sum(), net.stem.kernel)[0] for net in (model, integers)]
    assert torch.equal(*grads)


@needs_vnni
def test_the_model_that_was_given_stays_as_it_was() -> None:
    model = build()
    before = answer(model, FILES)
    names = list(model.state_dict())
    integers = quantized(model)
    assert torch.equal(answer(model, FILES), before)
    assert list(integers.state_dict()) == names


@needs_vnni
def test_each_product_is_near_the_layers_it_stands_for() -> None:
    block = build().blocks[0]
    torch.manual_seed(1)
    x = torch.randn(300, CONFIG.dim)
    exact = F.gelu(block.mlp.fc1(block.norm2(x)))
    layers = quantize._Normed(block.norm2, block.mlp.fc1)
    steps = quantize._Steps.between(-0.17, layers.highest(quantize.HIDDEN_SIGMAS))
    hidden = layers.product.gelu(layers.integers(x.bfloat16()), quantize._NORMED, steps, "none")
    assert hidden.dtype == torch.uint8
    assert len(hidden) == 320  # filled up to whole steps of rows
    found = (hidden[:300].float() - steps.zero) * steps.size
    torch.testing.assert_close(found, exact, atol=4 * steps.size, rtol=0)


def test_what_cannot_be_quantized_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    monkeypatch.setattr(quantize, "_has_vnni", lambda: False)
    with pytest.raises(ValueError, match=r"int8 needs a processor with AVX-512 VNNI.*bf16 or fp32"):
        quantized(model)
    monkeypatch.setattr(quantize, "_has_vnni", lambda: True)
    with pytest.raises(ValueError, match=r"int8 is for processors.*meta"):
        quantized(build().to("meta"))
    with pytest.raises(ValueError, match=r"int8 is not for numerics='corenet'"):
        quantized(ByteFormer(dataclasses.replace(CONFIG, numerics="corenet", positions="learned")))
