"""The autoencoder of video, sound and label on Kinetics-700, at paper size (Jaegle et al. 2022, section 4.3).

Clips of 16 frames of 224 x 224 pixels at 25 a second, with 30,720 samples of sound and a label that is hidden from the
model half of the time. In training 512 pixels, 512 patches of sound and the label of each clip are answered. The paper
gives batch size and learning rate; optimiser, schedule and length are open, and here those of its other experiments:
LAMB, flat then cosine, 100 epochs of one clip a video.
"""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    AugmentConfig,
    ClipConfig,
    DataConfig,
    DeclaredConfig,
    LabelInputConfig,
    LossConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    SoundConfig,
)
from anybyte.models.perceivers import PERCEIVERS

_ROWS = 512


def kinetics() -> Recipe:
    """Videos and their sound, with little weight on the label (1e-4): the paper's setting for reconstruction."""
    return _recipe("perceiver/autoencoder/kinetics", 1e-4)


def kinetics_labels() -> Recipe:
    """Videos and their sound, with weight 1 on the label: the paper's setting for classification by masking it."""
    return _recipe("perceiver/autoencoder/kinetics_labels", 1.0)


def unlabelled() -> Recipe:
    """Videos and their sound, of which nobody knows the class: the same model without a label."""
    recipe = kinetics()
    model, task = recipe.model, recipe.task
    assert isinstance(model, PerceiverConfig)
    assert isinstance(task, DeclaredConfig)
    model = replace(
        model,
        inputs=tuple(part for part in model.inputs if part.name != "label"),
        outputs=tuple(part for part in model.outputs if part.name != "label"),
    )
    losses = tuple(loss for loss in task.losses if loss.output != "label")
    name = "perceiver/autoencoder/unlabelled"
    return replace(
        recipe,
        name=name,
        model=model,
        task=DeclaredConfig(losses=losses),
        run=replace(recipe.run, out=f"runs/{name}"),
    )


def _recipe(name: str, label_weight: float) -> Recipe:
    model = PERCEIVERS["perceiver_io_multimodal"]
    inputs = tuple(
        replace(part, mask_probability=0.5) if isinstance(part, LabelInputConfig) else part for part in model.inputs
    )
    return Recipe(
        name=name,
        task=DeclaredConfig(
            losses=(
                LossConfig(output="image", loss="l1", weight=0.03, target="image", rows=_ROWS),
                LossConfig(output="audio", loss="l1", weight=1.0, target="audio", rows=_ROWS),
                LossConfig(output="label", loss="cross_entropy", weight=label_weight),
            )
        ),
        model=replace(model, inputs=inputs, activation_checkpointing=True),
        reading=ClipConfig(frames=16, image_size=224, sound=SoundConfig(rate=48_000, seconds=0.64)),
        data=DataConfig(augment=AugmentConfig(flip=True), on_error="skip"),
        optim=OptimConfig(
            optimizer="lamb",
            learning_rate=1e-3,
            min_learning_rate=0.0,
            schedule="flat_cosine",
            epsilon=1e-6,
            warmup_steps=0,
            weight_decay=0.1,
            clip_norm=10.0,
            label_smoothing=0.0,
            ema_decay=None,
        ),
        run=RunConfig(out=f"runs/{name}", epochs=100, batch_files=1024, batch_bytes=2**36, precision="bf16"),
    )


RECIPES = {
    "perceiver/autoencoder/kinetics": kinetics,
    "perceiver/autoencoder/kinetics_labels": kinetics_labels,
    "perceiver/autoencoder/unlabelled": unlabelled,
}
