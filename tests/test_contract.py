"""What every entry of the zoo must do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from anybyte.batch import ByteBatch
from anybyte.cli.models import count_parameters
from anybyte.config import PerceiverConfig
from anybyte.models.pretrained import Pretrained
from anybyte.models.zoo import create_model, list_models, load_pretrained, model_config
from tests.models.perceivers import example, shrink

PAPER_SIZES = {
    # Of the paper at k = 32 with 1,000 classes, without the table of positions.
    "byteformer_tiny": 7.21e6,
}
PERCEIVER_SIZES = {
    # Of DeepMind's released configurations, to the last parameter.
    "perceiver_io_language": 201_108_230,
    "perceiver_io_pixels": 48_440_627,
    "perceiver_io_learned": 62_255_848,
    "perceiver_io_conv": 48_646_522,
    # 27.9M in the paper, which does not fit its own configuration; so many are in the release.
    "perceiver_io_flow": 41_057_134,
    # 20.0M in the paper, whose video positions have twice as many bands as the release.
    "perceiver_io_multimodal": 19_858_855,
}
PAPER_MILLIONS = {
    # As the papers print them.
    "perceiver_io_sentencepiece": "223",
    "perceiver_pixels": "44.9",
}


def shrunk(name: str) -> Pretrained:
    """The entry at a depth and width that a test can afford; everything else as it is."""
    config = model_config(name)
    torch.manual_seed(0)
    if isinstance(config, PerceiverConfig):
        small = shrink(config)
        fields = {field.name: getattr(small, field.name) for field in dataclasses.fields(small)}
        return create_model(name, **fields)
    depth = min(config.depth, 6)
    small = {"dim": 16 * config.num_heads, "depth": depth, "num_classes": 7}
    small["merge_after"] = tuple(block for block in config.merge_after if block < depth)
    return create_model(name, **small)


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch(model: Pretrained) -> Any:
    """Two examples of what the model reads."""
    if isinstance(model.config, PerceiverConfig):
        return example(model.config)
    generator = torch.Generator().manual_seed(0)
    sizes = (900, 40)
    return ByteBatch.from_bytes(bytes(torch.randint(0, 256, (size,), generator=generator).tolist()) for size in sizes)


def answer(model: Pretrained) -> torch.Tensor:
    """All that the model answers to its batch, a row an example."""
    out = model(batch(model))
    return torch.cat([part.flatten(1) for part in (out.values() if isinstance(out, dict) else [out])], dim=1)


def may_lack_a_gradient(model: Pretrained) -> set[str]:
    """What stands for masked tokens where nothing need be masked, and the padding of an input that always is."""
    if not isinstance(model.config, PerceiverConfig):
        return set()
    masks = {part.name: getattr(part, "mask_probability", 0.0) for part in model.config.inputs}
    idle = {f"inputs.mask_tokens.{part}" for part, probability in masks.items() if probability < 1}
    return idle | {f"inputs.padding.{part}" for part, probability in masks.items() if probability > 0}


def test_forward_and_backward(name: str) -> None:
    model = shrunk(name)
    for parameter in model.parameters():
        # Layers that start at zero would hide a gradient that does not arrive.
        torch.nn.init.trunc_normal_(parameter, std=0.2) if parameter.dim() > 1 else None
    answers = answer(model)
    assert len(answers) == 2
    answers.square().mean().backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter_name in may_lack_a_gradient(model):
            continue
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


def test_save_and_load(name: str, tmp_path: Path) -> None:
    model = shrunk(name).eval()
    model.save_pretrained(tmp_path / "model")
    loaded, labels = load_pretrained(tmp_path / "model")
    assert labels is None
    assert loaded.config == model.config
    assert (loaded.num_classes, loaded.reads_files) == (model.num_classes, model.reads_files)
    with torch.inference_mode():
        assert torch.equal(answer(loaded), answer(model))


def test_state_dict_is_strict(name: str) -> None:
    model = shrunk(name)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict(model.state_dict() | {"extra": torch.zeros(1)})


@torch.inference_mode()
def test_float64_and_bfloat16(name: str) -> None:
    model = shrunk(name).eval()
    exact = answer(model)
    atol = 0.1 * max(1.0, float(exact.std()))  # random models of text give logits of some tens
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(answer(model).float(), exact, atol=atol, rtol=0.1)
    torch.testing.assert_close(answer(model.double()).float(), exact, atol=1e-5, rtol=1e-4)
    half = answer(model.to(torch.bfloat16))
    torch.testing.assert_close(half.float(), exact, atol=atol, rtol=0.1)


def test_a_training_step_in_bfloat16(name: str) -> None:
    """Weights in float32, products in bfloat16: gradients arrive, finite and in float32."""
    model = shrunk(name)
    with torch.autocast("cpu", torch.bfloat16):
        loss = answer(model).float().square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)


def test_classes_can_be_counted_anew(name: str) -> None:
    """`num_classes` for every model with one output of classes, whatever else is changed; an error for others."""
    with torch.device("meta"):
        if create_model(name).num_classes is None:
            with pytest.raises(ValueError, match=f"num_classes=3 does not fit {name}: it has"):
                create_model(name, num_classes=3)
        else:
            changed = {"num_layers": 1} if isinstance(model_config(name), PerceiverConfig) else {"dropout": 0.1}
            model = create_model(name, num_classes=3, **changed)
            assert model.num_classes == 3
            assert all(getattr(model.config, field) == value for field, value in changed.items())


@pytest.mark.parametrize("name", list_models("byteformer*"))
def test_any_field_of_a_byteformer_can_be_changed(name: str) -> None:
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


@pytest.mark.parametrize(("name", "expected"), PERCEIVER_SIZES.items())
def test_parameters_of_the_released_perceivers(name: str, expected: int) -> None:
    assert count_parameters(name) == expected


@pytest.mark.parametrize(("name", "printed"), PAPER_MILLIONS.items())
def test_parameters_as_the_papers_print_them(name: str, printed: str) -> None:
    decimals = len(printed.partition(".")[2])
    assert f"{count_parameters(name) / 1e6:.{decimals}f}" == printed


def test_small_models_are_small() -> None:
    for name in list_models("*_nano"):
        assert count_parameters(name) < 3e6, name
