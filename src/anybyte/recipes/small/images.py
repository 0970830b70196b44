"""CIFAR-10 for equal minutes: the Perceiver IO's three ways to read pixels, and two models that read the files' bytes.

All five see the same TIFF files (`scripts/prepare_data.py cifar10`), in the same order and under the same changes, and
the four Perceivers have the same latents and layers. They differ in what comes before, and so in what a step costs:
the number of steps is what each can do in five minutes of one processor core.
"""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    AttentionConfig,
    AugmentConfig,
    ByteFormerConfig,
    BytesInputConfig,
    ClassOutputConfig,
    ConvStemConfig,
    DataConfig,
    FourierPositionsConfig,
    ImageInputConfig,
    InputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    OptimConfig,
    PerceiverConfig,
    PixelsConfig,
    Recipe,
    RunConfig,
)

_SIDE, _KERNEL = 32, 192
_STEPS = {"fourier": 1_350, "learned": 1_400, "conv": 2_350, "bytes": 1_650, "byteformer": 1_450}
"""Row -> steps of equal time: measured on one thread of an AMD EPYC (Zen 4), start and validation included."""


def fourier() -> Recipe:
    """Small photographs, pixel by pixel: 1,024 tokens with 2-D Fourier positions, which say where each one is."""
    positions = FourierPositionsConfig(num_bands=16, max_resolution=(_SIDE, _SIDE))
    return _pixels("fourier", ImageInputConfig(shape=(_SIDE, _SIDE), positions=positions))


def learned() -> Recipe:
    """Small photographs, pixel by pixel: 1 x 1 convolution and learned positions. What is near what must be learned."""
    stem, positions = LinearStemConfig(num_channels=32), LearnedPositionsConfig(num_channels=32, projected=True)
    return _pixels("learned", ImageInputConfig(shape=(_SIDE, _SIDE), stem=stem, positions=positions))


def conv() -> Recipe:
    """Small photographs behind a convolution and a pool, which leave 64 tokens; 2-D Fourier positions."""
    positions = FourierPositionsConfig(num_bands=8, max_resolution=(_SIDE // 4, _SIDE // 4))
    return _pixels("conv", ImageInputConfig(shape=(_SIDE, _SIDE), stem=ConvStemConfig(), positions=positions))


def file_bytes() -> Recipe:
    """The bytes of small photographs as TIFF files, read by a Perceiver IO: two rows of pixels a token."""
    part = BytesInputConfig(num_channels=64, kernel_size=_KERNEL, initialisation="smooth")
    recipe = _recipe("bytes", _perceiver(part))
    return replace(recipe, optim=replace(recipe.optim, stem_scale=0.3))


def byteformer() -> Recipe:
    """The bytes of small photographs as TIFF files, read by a ByteFormer: two rows of pixels a token."""
    model = ByteFormerConfig(
        num_classes=10,
        dim=96,
        num_heads=3,
        depth=4,
        kernel_size=_KERNEL,
        window_sizes=64,
        merge_after=(),
        initialisation="smooth",
    )
    recipe = _recipe("byteformer", model)
    return replace(recipe, optim=replace(recipe.optim, stem_scale=0.3))


def _pixels(name: str, part: InputConfig) -> Recipe:
    return replace(_recipe(name, _perceiver(part)), reading=PixelsConfig(image_size=_SIDE, fit="resize"))


def _perceiver(part: InputConfig) -> PerceiverConfig:
    """What the four have in common: 32 latents, four layers, a learned query."""
    return PerceiverConfig(
        inputs=(part,),
        outputs=(ClassOutputConfig(num_classes=10, query_channels=128),),
        num_latents=32,
        latent_dim=128,
        num_blocks=1,
        num_layers=4,
        process=AttentionConfig(num_heads=4),
        decode=AttentionConfig(query_residual=False),
    )


def _recipe(name: str, model: ByteFormerConfig | PerceiverConfig) -> Recipe:
    return Recipe(
        name=f"small/images/{name}",
        model=model,
        data=DataConfig(augment=AugmentConfig(flip=True, crop_padding=3), val_fraction=0.05),
        optim=OptimConfig(learning_rate=1.5e-3, warmup_steps=200, ema_decay=0.998, label_smoothing=0.1),
        run=RunConfig(
            out=f"runs/images_{name}",
            epochs=1_000,
            max_steps=_STEPS[name],
            batch_files=64,
            precision="bf16",
            evaluate_every=1,
            checkpoint_every=500,
        ),
    )
