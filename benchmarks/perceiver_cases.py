"""What `perceiver_peers` compares: models of transformers at the paper's sizes, and the same weights in ours.

Both sides of a case are asked the same: the inputs are made once, in the form that each side takes them in. Dropout is
off in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anybyte.models.perceiver import Perceiver
from anybyte.weights import from_transformers

PIECES = 128
"""In which transformers has the autoencoder's output decoded, each with an encoding of its own."""
PIECE = 16_384
"""Queries of ours that are decoded at once where there are many."""
THEIRS, OURS, HALF = "transformers fp32", "anybyte fp32", "anybyte bf16"

Given = dict[str, Any]


@dataclass
class Prepared:
    """Both models of a case, and what each is asked.

    Attributes:
        repeated: how many calls of theirs make up one of ours.
        ask: (side, model, bf16) -> answer, all of what is timed.
        check: side -> the same values of every side, to compare.
    """

    theirs: nn.Module | None
    ours: Perceiver | None
    ask: Callable[[str, nn.Module], Tensor]
    compare: Callable[[str, nn.Module], Tensor]
    repeated: int = 1
    models: dict[str, nn.Module] = field(default_factory=dict)

    def calls(self, bf16: bool) -> dict[str, Callable[[], Tensor]]:
        """Each side's call."""
        assert self.theirs is not None
        assert self.ours is not None
        self.models = {THEIRS: self.theirs, OURS: self.ours}
        if bf16:
            self.models[HALF] = copy.deepcopy(self.ours).bfloat16()
        return {side: self._call(side) for side in self.models}

    def _call(self, side: str) -> Callable[[], Tensor]:
        return lambda: self.ask(side, self.models[side])

    def check(self, side: str) -> Tensor:
        """What is compared between the sides."""
        return self.compare(side, self.models[side]).float()

    def release(self, side: str) -> None:
        """Forgets the models of the other sides."""
        self.models = {side: self.models[side]}
        self.theirs = self.ours = None


@dataclass(frozen=True)
class Case:
    """A model and its question.

    Attributes:
        config: of transformers, at the paper's size.
        tiny: what is smaller in a quick run.
        build: (theirs, ours, config) -> the questions.
        targets: what is claimed, in words, by side.
    """

    title: str
    architecture: str
    config: Given
    tiny: Given
    build: Callable[[nn.Module, Perceiver, Given], Prepared]
    targets: Mapping[str, str]
    note: str = ""
    bf16: bool = True
    warmup: int = 1

    def prepare(self, quick: bool) -> Prepared:
        """Both models, with weights drawn from a seed."""
        import transformers

        torch.manual_seed(0)
        given = self.config | (self.tiny if quick else {})
        config = transformers.PerceiverConfig(**given, attention_probs_dropout_prob=0.0)
        theirs = getattr(transformers, self.architecture)(config).eval()
        ours = from_transformers(theirs.state_dict(), config.to_dict() | {"architectures": [self.architecture]})
        return self.build(theirs, ours, config.to_dict())


def _dtype(model: nn.Module) -> torch.dtype:
    return next(model.parameters()).dtype


def _plain(theirs_given: Given, ours_given: Given, theirs: nn.Module, ours: Perceiver) -> Prepared:
    """One forward pass a side."""

    @torch.inference_mode()
    def ask(side: str, model: nn.Module) -> Tensor:
        if side == THEIRS:
            logits: Tensor = model(**theirs_given).logits
            return logits
        answer: Tensor = model(**{name: _cast(value, model) for name, value in ours_given.items()})
        return answer

    return Prepared(theirs, ours, ask, ask)


def _cast(value: Any, model: nn.Module) -> Any:
    return value.to(_dtype(model)) if isinstance(value, Tensor) and value.is_floating_point() else value


def _language(theirs: nn.Module, ours: Perceiver, config: Given) -> Prepared:
    ids = torch.randint(6, 262, (1, config["max_position_embeddings"]))
    return _plain({"inputs": ids}, {"arrays": ids}, theirs, ours)


def _pixels(theirs: nn.Module, ours: Perceiver, config: Given) -> Prepared:
    side = config["image_size"]
    pixels = torch.randn(1, side, side, 3)
    return _plain({"inputs": pixels.movedim(-1, 1).contiguous()}, {"arrays": pixels}, theirs, ours)


def _flow(theirs: nn.Module, ours: Perceiver, config: Given) -> Prepared:
    from anybyte.models.inputs import frame_patches

    frames = torch.rand(1, 2, *config["train_size"], 3) * 2 - 1
    patches = frame_patches(frames).movedim(-1, 2).contiguous()
    return _plain({"inputs": patches}, {"arrays": frames, "piece": PIECE}, theirs, ours)


def _autoencoder(theirs: nn.Module, ours: Perceiver, config: Given) -> Prepared:
    frames, height, width = config["output_shape"][1:]
    samples = config["num_frames"] * config["audio_samples_per_frame"]
    classes = len(config["id2label"])
    video, audio, label = torch.rand(1, frames, height, width, 3), torch.randn(1, samples), torch.zeros(1, classes)
    given = {"image": video.movedim(-1, 2).contiguous(), "audio": audio[..., None], "label": label}
    pixels, patches = frames * height * width // PIECES, samples // config["samples_per_patch"] // PIECES
    places: dict[str, Any] = {"image": torch.arange(pixels), "audio": torch.arange(patches), "label": None}

    @torch.inference_mode()
    def theirs_alone(model: nn.Module) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = model(inputs=given, subsampled_output_points=places).logits
        return logits

    @torch.inference_mode()
    def whole(model: nn.Module) -> dict[str, Tensor]:
        arrays = {name: x.to(_dtype(model)) for name, x in {"image": video, "audio": audio, "label": label}.items()}
        out: dict[str, Tensor] = model(arrays, piece=PIECE)
        return out

    def ask(side: str, model: nn.Module) -> Tensor:
        return theirs_alone(model)["image"] if side == THEIRS else whole(model)["image"]

    def compare(side: str, model: nn.Module) -> Tensor:
        """The first of the pieces."""
        if side == THEIRS:
            out = theirs_alone(model)
            return torch.cat([out["image"].flatten(), out["audio"].flatten(), out["label"].flatten()])
        out = whole(model)
        first = out["image"].flatten(1, 3)[:, :pixels], out["audio"][:, : patches * config["samples_per_patch"]]
        return torch.cat([first[0].flatten(), first[1].flatten(), out["label"].flatten()])

    return Prepared(theirs, ours, ask, compare, repeated=PIECES)


def _training_step(theirs: nn.Module, ours: Perceiver, config: Given) -> Prepared:
    """Loss, gradients and a step of AdamW; 15 % of the positions are masked, as many in each text."""
    length, batch = config["max_position_embeddings"], 8
    ids = torch.randint(6, 262, (batch, length))
    masked = torch.stack([torch.randperm(length)[: round(0.15 * length)].sort()[0] for _ in range(batch)])
    wanted = ids.gather(1, masked)
    inputs = ids.scatter(1, masked, 3)
    labels = torch.full_like(ids, -100).scatter(1, masked, wanted)
    optimizers: dict[int, torch.optim.Optimizer] = {}

    def loss_of(side: str, model: nn.Module) -> Tensor:
        if side == THEIRS:
            loss: Tensor = model(inputs=inputs, labels=labels).loss
            return loss
        return F.cross_entropy(model(inputs, rows=masked).flatten(0, 1), wanted.flatten())

    def ask(side: str, model: nn.Module) -> Tensor:
        if id(model) not in optimizers:
            optimizers[id(model)] = torch.optim.AdamW(model.parameters(), lr=1e-4)
        loss = loss_of(side, model)
        loss.backward()
        optimizers[id(model)].step()
        optimizers[id(model)].zero_grad()
        return loss.detach()

    def compare(side: str, model: nn.Module) -> Tensor:
        """The loss, and the gradient of the latents, before any step."""
        loss = loss_of(side, model)
        latents = model.perceiver.embeddings.latents if side == THEIRS else model.latents
        (gradient,) = torch.autograd.grad(loss, latents)
        return torch.cat([loss.detach().reshape(1), gradient.flatten() / gradient.abs().max()])

    return Prepared(theirs, ours, ask, compare)


_LANGUAGE: Given = {"qk_channels": 256, "v_channels": 1280}
_VISION: Given = {
    "num_latents": 512,
    "d_latents": 1024,
    "d_model": 261,
    "num_blocks": 8,
    "num_self_attends_per_block": 6,
    "num_self_attention_heads": 8,
    "num_cross_attention_heads": 1,
    "num_labels": 1000,
    "image_size": 224,
}
_FLOW: Given = {
    "num_latents": 2048,
    "d_latents": 512,
    "d_model": 322,
    "num_blocks": 1,
    "num_self_attends_per_block": 24,
    "num_self_attention_heads": 16,
    "num_cross_attention_heads": 1,
    "train_size": [368, 496],
}
_CLIP: Given = {
    "num_latents": 784,
    "d_latents": 512,
    "d_model": 704,
    "num_blocks": 1,
    "num_self_attends_per_block": 8,
    "num_self_attention_heads": 8,
    "num_cross_attention_heads": 1,
    "num_labels": 700,
}
_SMALL_LANGUAGE: Given = {
    "num_latents": 128,
    "d_latents": 256,
    "d_model": 256,
    "num_self_attends_per_block": 6,
    "num_self_attention_heads": 8,
    "num_cross_attention_heads": 8,
    "qk_channels": 256,
    "v_channels": 256,
    "max_position_embeddings": 1024,
}
_TINY: Given = {"num_latents": 8, "d_latents": 32, "num_self_attends_per_block": 1}

CASES = {
    "language": Case(
        title="Language, 2,048 bytes, 201M parameters",
        architecture="PerceiverForMaskedLM",
        config=_LANGUAGE,
        tiny=_TINY | {"d_model": 16, "qk_channels": 16, "v_channels": 32, "max_position_embeddings": 64},
        build=_language,
        targets={OURS: ">= 0.95 times", HALF: ">= 1.8 times"},
    ),
    "pixels": Case(
        title="ImageNet, 224x224 pixels, 48M parameters",
        architecture="PerceiverForImageClassificationFourier",
        config=_VISION,
        tiny=_TINY | {"num_blocks": 2, "image_size": 16},
        build=_pixels,
        targets={OURS: ">= 0.95 times", HALF: ">= 1.8 times"},
    ),
    "flow": Case(
        title="Optical flow, 368x496, 41M parameters",
        architecture="PerceiverForOpticalFlow",
        config=_FLOW,
        tiny=_TINY | {"train_size": [16, 24]},
        build=_flow,
        targets={OURS: ">= 1.8 times, <= 0.5 of the memory"},
        note="transformers is given ready patches, whose making is not counted.",
        warmup=0,
    ),
    "autoencoder": Case(
        title="Autoencoder, 16x224x224 and 30,720 samples, decoded whole",
        architecture="PerceiverForMultimodalAutoencoding",
        config=_CLIP,
        tiny=_TINY
        | {"num_frames": 2, "output_shape": [1, 2, 16, 16], "audio_samples_per_frame": 1024, "num_labels": 5},
        build=_autoencoder,
        targets={OURS: ">= 3 times"},
        note=f"transformers: one of {PIECES} pieces was timed, and multiplied; memory is that of one piece.",
        bf16=False,
        warmup=0,
    ),
    "mlm_step": Case(
        title="Training step of masked language modelling, 8 texts of 1,024 bytes, a small model",
        architecture="PerceiverForMaskedLM",
        config=_SMALL_LANGUAGE,
        tiny=_TINY | {"d_model": 16, "qk_channels": 16, "v_channels": 32, "max_position_embeddings": 64},
        build=_training_step,
        targets={OURS: ">= 1.5 times"},
        note="Errors are of the loss and of the gradient of the latents.",
        bf16=False,
    ),
}
