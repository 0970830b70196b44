"""Small models of bytes with random weights, large enough that attention is not even."""

from __future__ import annotations

import random
from typing import Any, TypeVar

import torch
from torch import nn

from anybyte.config import AttentionConfig, AverageOutputConfig, BytesInputConfig, ClassOutputConfig, PerceiverConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import create_model

Model = TypeVar("Model", bound=nn.Module)

LABELS = ("cat", "dog", "owl")


def some_bytes(count: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(count)


def byteformer(**overrides: Any) -> ByteFormer:
    torch.manual_seed(0)
    shape = {"dim": 16, "num_heads": 2, "depth": 3, "merge_after": (0,), "window_sizes": 4, "kernel_size": 8}
    model = create_model("byteformer_nano", **(shape | {"num_classes": len(LABELS)} | overrides))
    assert isinstance(model, ByteFormer)
    return _louder(model)


def perceiver(*, average: bool = False, **overrides: Any) -> Perceiver:
    torch.manual_seed(0)
    output = AverageOutputConfig if average else ClassOutputConfig
    config: dict[str, Any] = {
        "inputs": (BytesInputConfig(num_channels=12, kernel_size=8),),
        "outputs": (output(num_classes=len(LABELS)),),
        "num_latents": 4,
        "latent_dim": 8,
        "num_layers": 2,
        "process": AttentionConfig(num_heads=2),
    }
    return _louder(Perceiver(PerceiverConfig(**(config | overrides))))


def _louder(model: Model) -> Model:
    """With weights so large that answers differ from file to file."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1.2 * module.in_features**-0.5)
    return model.eval().requires_grad_(False)
