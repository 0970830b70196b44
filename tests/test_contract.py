"""What every entry of the zoo must do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from anybyte.batch import ByteBatch
from anybyte.models.pretrained import Pretrained
from anybyte.models.zoo import create_model, list_models, load_pretrained, model_config

PAPER_SIZES = {
    # Of the paper at k = 32 with 1,000 classes, without the table of positions.
    "byteformer_tiny": 7.21e6,
}


def shrunk(name: str) -> Pretrained:
    """The entry at a depth and width that a test can afford; everything else as it is."""
    config = model_config(name)
    depth = min(config.depth, 6)
    small = {"dim": 16 * config.num_heads, "depth": depth, "num_classes": 7}
    small["merge_after"] = tuple(block for block in config.merge_after if block < depth)
    torch.manual_seed(0)
    return create_model(name, **small)


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch() -> ByteBatch:
    generator = torch.Generator().manual_seed(0)
    sizes = (900, 40)
    return ByteBatch.from_bytes(bytes(torch.randint(0, 256, (size,), generator=generator).tolist()) for size in sizes)


def test_forward_and_backward(name: str) -> None:
    model = shrunk(name)
    logits = model(batch())
    assert logits.shape == (2, 7)
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_save_and_load(name: str, tmp_path: Path) -> None:
    model = shrunk(name).eval()
    model.save_pretrained(tmp_path / "model")
    loaded, labels = load_pretrained(tmp_path / "model")
    assert labels is None
    assert loaded.config == model.config
    with torch.inference_mode():
        assert torch.equal(loaded(batch()), model(batch()))


def test_state_dict_is_strict(name: str) -> None:
    model = shrunk(name)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})


@torch.inference_mode()
def test_float64_and_bfloat16(name: str) -> None:
    model = shrunk(name).eval()
    exact = model(batch())
    torch.testing.assert_close(model.double()(batch()).float(), exact, atol=1e-5, rtol=1e-4)
    half = model.to(torch.bfloat16)(batch())
    torch.testing.assert_close(half.float(), exact, atol=0.1, rtol=0.1)


def test_any_field_can_be_changed(name: str) -> None:
    config = model_config(name)
    small = {"dim": 8 * config.num_heads, "depth": 2, "merge_after": [0], "max_num_tokens": 9, "num_classes": 3}
    others = {"kernel_size": 6, "window_sizes": [4, 5], "window_shifts": [1, 2], "mlp_ratio": 2.0, "dropout": 0.1}
    words = {"positions": "learned", "numerics": "corenet", "initialisation": "smooth"}
    more = {"drop_path": 0.2, "layer_norm_eps": 1e-6, "position_scale": 0.5, "num_heads": config.num_heads}
    changed = small | others | words | more
    assert set(changed) == {field.name for field in dataclasses.fields(config)}
    model = create_model(name, **changed)
    for field, value in changed.items():
        assert getattr(model.config, field) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(("name", "expected"), PAPER_SIZES.items())
def test_parameters_of_the_paper(name: str, expected: float) -> None:
    model = create_model(name, kernel_size=32, num_classes=1000)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(expected, abs=0.005e6)
