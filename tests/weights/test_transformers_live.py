"""Fresh random weights in transformers itself: every class at several sizes, and ours answers alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from anybyte.models.perceiver import Perceiver
from anybyte.weights import from_transformers

with warnings.catch_warnings(action="ignore"):
    transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra dev")

TOLERANCE = 5e-5
"""Largest difference, relative to the largest value. transformers computes the angles of positions in float32."""
SIZES: dict[str, Any] = {
    "num_latents": 6,
    "d_latents": 32,
    "d_model": 24,
    "num_blocks": 1,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 4,
    "num_cross_attention_heads": 2,
    "max_position_embeddings": 20,
    "num_labels": 5,
}
"""Of every model here, unless a case says otherwise."""

Inputs = dict[str, Any]


@dataclass(frozen=True)
class Live:
    """A class of transformers at one size, with inputs in its form and in ours."""

    architecture: str
    inputs: Callable[[], tuple[Inputs, Inputs]]
    config: dict[str, Any] = field(default_factory=dict)

    def models(self) -> tuple[Any, Perceiver]:
        """Theirs, with every tensor drawn anew so that each matters, and ours with the same weights."""
        torch.manual_seed(7)
        config = transformers.PerceiverConfig(**(SIZES | self.config))
        theirs = getattr(transformers, self.architecture)(config).eval()
        with torch.no_grad():
            for name, tensor in theirs.state_dict().items():
                if tensor.is_floating_point():
                    tensor.normal_(std=tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1)
                    tensor += 1.0 if "norm" in name and name.endswith(("weight", "running_var")) else 0.0
        given = config.to_dict() | {"architectures": [self.architecture]}
        return theirs, from_transformers(theirs.state_dict(), given)


def ids(length: int, padding: str | None = None, vocabulary: int = 262, least: int = 0) -> tuple[Inputs, Inputs]:
    """Token ids, and a mask with rows of different lengths, the last with the least."""
    tokens = torch.randint(0, vocabulary, (3, length))
    if padding is None:
        return {"inputs": tokens}, {"arrays": tokens}
    place = torch.arange(length)
    real = torch.tensor([length, length // 2, least])[:, None]
    mask = (place < real if padding == "right" else place >= length - real).long()
    return {"inputs": tokens, "attention_mask": mask}, {"arrays": tokens, "mask": mask}


def picture(height: int, width: int, **options: Any) -> tuple[Inputs, Inputs]:
    pixels = torch.randn(2, height, width, 3)
    return {"inputs": pixels.movedim(-1, 1).contiguous(), **options}, {"arrays": pixels}


def frames(height: int, width: int) -> tuple[Inputs, Inputs]:
    patches = torch.randn(2, 2, height, width, 27)
    return {"inputs": patches.movedim(-1, 2).contiguous()}, {"arrays": patches}


def array(length: int, masked: bool) -> tuple[Inputs, Inputs]:
    values = torch.randn(2, length, 24)
    if not masked:
        return {"inputs": values}, {"arrays": values}
    mask = torch.ones(2, length, dtype=torch.long)
    mask[0, 2:5], mask[1, :7] = 0, 0
    return {"inputs": values, "attention_mask": mask}, {"arrays": values, "mask": mask}


def clip(places: dict[str, Tensor], frames: int = 2, size: int = 8, samples: int = 64) -> tuple[Inputs, Inputs]:
    """A video, its sound and a label, answered at some places of the outputs."""
    video, audio = torch.rand(2, frames, size, size, 3), torch.randn(2, samples)
    label = torch.eye(5)[[1, 3]]
    theirs = {"image": video.movedim(-1, 2).contiguous(), "audio": audio[..., None], "label": label}
    return (
        {"inputs": theirs, "subsampled_output_points": places | {"label": None}},
        {"arrays": {"image": video, "audio": audio, "label": label}, "rows": places},
    )


CLIP = {
    "num_frames": 2,
    "audio_samples_per_frame": 32,
    "output_shape": [1, 2, 8, 8],
    "output_num_channels": 16,
    "image_size": 8,
    "d_model": 704,
    "num_cross_attention_heads": 1,
    "_label_trainable_num_channels": 24,
}
LARGER_CLIP = CLIP | {"num_frames": 4, "output_shape": [1, 4, 16, 16], "num_blocks": 2, "samples_per_patch": 8}
WIDE = {"self_attention_widening_factor": 2, "cross_attention_widening_factor": 3, "num_blocks": 2}
ODD_WIDTHS = {"qk_channels": 8, "v_channels": 32}
CONV = {"d_model": 322, "num_cross_attention_heads": 1}
FOURIER = {"d_model": 261, "num_cross_attention_heads": 1}
LEARNED = {"d_model": 512, "num_cross_attention_heads": 1, "image_size": 9}
FLOW = {"d_model": 322, "num_cross_attention_heads": 1, "train_size": [8, 12]}

LIVE = {
    "base": Live("PerceiverModel", lambda: array(9, False)),
    "base, masked": Live("PerceiverModel", lambda: array(11, True), {"cross_attention_shape_for_attention": "q"}),
    "base, no residual": Live("PerceiverModel", lambda: array(5, True), {"use_query_residual": False} | WIDE),
    "text": Live("PerceiverForMaskedLM", lambda: ids(20)),
    "text, short": Live("PerceiverForMaskedLM", lambda: ids(13, "right"), {"d_model": 16, **ODD_WIDTHS}),
    "text, padded before": Live("PerceiverForMaskedLM", lambda: ids(20, "left"), WIDE | {"num_latents": 9}),
    "text, few ids": Live("PerceiverForMaskedLM", lambda: ids(20, vocabulary=40), {"vocab_size": 40}),
    "sequence": Live("PerceiverForSequenceClassification", lambda: ids(20)),
    "sequence, short": Live("PerceiverForSequenceClassification", lambda: ids(7, "right"), ODD_WIDTHS),
    "sequence, two labels": Live("PerceiverForSequenceClassification", lambda: ids(20, "left"), {"num_labels": 2}),
    "learned": Live("PerceiverForImageClassificationLearned", lambda: picture(9, 9), LEARNED),
    "learned, resized": Live(
        "PerceiverForImageClassificationLearned", lambda: picture(12, 7, interpolate_pos_encoding=True), LEARNED
    ),
    "learned, blocks": Live("PerceiverForImageClassificationLearned", lambda: picture(9, 9), LEARNED | WIDE),
    "fourier": Live("PerceiverForImageClassificationFourier", lambda: picture(16, 16), FOURIER),
    "fourier, not square": Live("PerceiverForImageClassificationFourier", lambda: picture(9, 14), FOURIER | WIDE),
    "fourier, one pixel high": Live("PerceiverForImageClassificationFourier", lambda: picture(2, 30), FOURIER),
    "conv": Live("PerceiverForImageClassificationConvProcessing", lambda: picture(32, 32), CONV),
    "conv, odd": Live("PerceiverForImageClassificationConvProcessing", lambda: picture(37, 23), CONV | WIDE),
    "conv, many labels": Live(
        "PerceiverForImageClassificationConvProcessing", lambda: picture(28, 40), CONV | {"num_labels": 11}
    ),
    "flow": Live("PerceiverForOpticalFlow", lambda: frames(8, 12), FLOW),
    "flow, tall": Live("PerceiverForOpticalFlow", lambda: frames(14, 6), FLOW | WIDE | {"train_size": [14, 6]}),
    "clip": Live(
        "PerceiverForMultimodalAutoencoding",
        lambda: clip({"image": torch.arange(128), "audio": torch.arange(4)}),
        CLIP,
    ),
    "clip, a piece": Live(
        "PerceiverForMultimodalAutoencoding",
        lambda: clip({"image": torch.arange(64, 96), "audio": torch.arange(1, 3)}),
        CLIP,
    ),
    "clip, scattered": Live(
        "PerceiverForMultimodalAutoencoding",
        lambda: clip({"image": torch.tensor([1000, 3, 77]), "audio": torch.tensor([15, 0])}, 4, 16, 128),
        LARGER_CLIP,
    ),
}


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error <= TOLERANCE, f"relative difference {error:.1e}"


@pytest.mark.parametrize("name", LIVE)
@torch.no_grad()
def test_answers_are_those_of_transformers(name: str) -> None:
    theirs, ours = LIVE[name].models()
    given, arguments = LIVE[name].inputs()
    out = theirs(**given)
    answer = ours(**arguments)
    if not ours.config.outputs:
        close(answer, out.last_hidden_state)
    elif isinstance(out.logits, dict):
        assert set(answer) == set(out.logits)
        for modality, values in out.logits.items():
            wanted = values.flatten(1) if answer[modality].dim() == 2 else values
            got = answer[modality].flatten(1) if wanted.dim() == 2 else answer[modality]
            close(got, wanted)
    else:
        close(answer, out.logits)


@pytest.mark.parametrize("name", ["text, padded before", "conv, odd", "flow", "clip"])
def test_gradients_are_those_of_transformers(name: str) -> None:
    from anybyte.weights.transformers import rename

    theirs, ours = LIVE[name].models()
    # No text is wholly masked: there, automatic differentiation finds a slope of what is constant in transformers.
    given, arguments = ids(20, "left", least=3) if "padded" in name else LIVE[name].inputs()
    for answer in (theirs(**given).logits, ours(**arguments)):
        values = answer.values() if isinstance(answer, dict) else [answer]
        sum(value.square().mean() for value in values).backward()
    own = dict(ours.named_parameters())
    compared = 0
    for foreign, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            gradient = own[rename(foreign, ours.config)].grad
            wanted = parameter.grad.flatten()
            if gradient is None:  # what a mask token replaces is not read here, and times zero there
                assert wanted.count_nonzero() == 0, foreign
                continue
            # What is zero but for rounding (the keys' bias) has no scale of its own.
            scale = max(float(wanted.abs().max()), 1e-2)
            assert float((gradient.flatten() - wanted).abs().max()) <= 1e-4 * scale, foreign
            compared += 1
    assert compared > 40


@torch.no_grad()
def test_a_query_mask_is_ours_alone() -> None:
    """transformers takes one and ignores it: real positions agree, padded ones do not."""
    theirs, ours = LIVE["text, short"].models()
    given, arguments = ids(20, "right")
    out, answer = theirs(**given).logits, ours(**arguments, query_mask=arguments["mask"])
    real = arguments["mask"].bool()
    close(answer[real], out[real])
    assert (answer[~real] - out[~real]).abs().max() > 0.1


def test_what_transformers_saves_is_what_is_read(tmp_path: Any) -> None:
    """A folder of `save_pretrained`, whole and in parts."""
    from anybyte.cli.convert import main
    from anybyte.models.zoo import load_pretrained

    theirs, ours = LIVE["sequence"].models()
    theirs.config.id2label = {index: f"name {index}" for index in range(5)}
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    for source in ("whole", "parts"):
        assert main([str(tmp_path / source), str(tmp_path / "ours")]) == 0
        model, labels = load_pretrained(tmp_path / "ours")
        assert labels == tuple(f"name {index}" for index in range(5))
        assert model.config == ours.config
        torch.testing.assert_close(model.state_dict(), ours.state_dict(), atol=0, rtol=0)
