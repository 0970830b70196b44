"""ImageNet, and the pre-training on JFT (Jaegle et al. 2022, section 4.5 and appendix; 2021, section 4.1).

What the papers leave open follows DeepMind's released training code (deepmind-research, perceiver/train).

Data: one folder a class, named as you like (`n01440764`), below `train/`; put the official validation pictures into
such folders below `test/`, for that is where the papers' numbers are measured. A hundredth of the training pictures
chooses the weights. `hf:` names a copy on the hub.

Departures: a file is mixed or pasted by a draw of its own, where the released code mixes one half of each batch and
pastes the other; RandAugment takes the operations of torchvision, not those of AutoAugment's TensorFlow code; pictures
are resized by a bicubic filter that widens where it shrinks, which the released code's does not.
"""

from __future__ import annotations

from dataclasses import replace

from anybyte.config import (
    AugmentConfig,
    DataConfig,
    OptimConfig,
    PerceiverConfig,
    PixelsConfig,
    Recipe,
    RunConfig,
)
from anybyte.models.perceivers import PERCEIVERS

_AUGMENT = AugmentConfig(
    crop_size=224,
    flip=True,
    rand_augment=4,
    rand_augment_magnitude=15,  # 5 of AutoAugment's 10 steps, which are 30 here
    mixup=0.5,
    mixup_alpha=0.2,
    cutmix=0.5,
    cutmix_alpha=1.0,
)
_LAMB = OptimConfig(
    optimizer="lamb",
    learning_rate=2e-3,
    min_learning_rate=0.0,
    schedule="flat_cosine",
    flat=0.5,
    epsilon=1e-6,
    warmup_steps=0,
    weight_decay=0.1,
    decay_tables=True,
    clip_norm=10.0,
    ema_decay=None,
)
_BATCH_BYTES = 2**30
"""Room for 1,024 pictures of 224 x 224 as float32."""
_FINE_TUNE_STEPS, _FINE_TUNE_FLAT = 131_000, 70_000


def fourier() -> Recipe:
    """ImageNet from pixels with 2-D Fourier positions: 110 epochs of 1,024 pictures a step."""
    return _imagenet("fourier", PERCEIVERS["perceiver_io_pixels"])


def learned() -> Recipe:
    """ImageNet from pixels with learned positions, which know nothing of two dimensions: 110 epochs."""
    return _imagenet("learned", PERCEIVERS["perceiver_io_learned"])


def conv() -> Recipe:
    """ImageNet behind one convolution and pool, with 2-D Fourier positions: 110 epochs."""
    return _imagenet("conv", PERCEIVERS["perceiver_io_conv"])


def jft_fourier() -> Recipe:
    """Pre-training on JFT, or any other large set of labelled pictures, from pixels with 2-D Fourier positions."""
    return _jft("fourier", _unshared(PERCEIVERS["perceiver_io_pixels"]))


def jft_conv() -> Recipe:
    """Pre-training on JFT, or any other large set of labelled pictures, behind one convolution and pool."""
    return _jft("conv", _unshared(PERCEIVERS["perceiver_io_conv"]))


def fourier_tuned() -> Recipe:
    """ImageNet from the model of `perceiver/jft/fourier`, which `--run.init_from` names: 131,000 steps."""
    return _tuned("fourier_tuned", _unshared(PERCEIVERS["perceiver_io_pixels"]), 2e-3)


def conv_tuned() -> Recipe:
    """ImageNet from the model of `perceiver/jft/conv`, which `--run.init_from` names: 131,000 steps."""
    return _tuned("conv_tuned", _unshared(PERCEIVERS["perceiver_io_conv"]), 2e-4)


def original() -> Recipe:
    """ImageNet by the original Perceiver: 120 epochs, the learning rate a tenth after 84, 102 and 114.

    Random changes are those of Perceiver IO's recipes but for mixing, of which that paper does not speak.
    """
    recipe = _imagenet("", PERCEIVERS["perceiver_pixels"])
    optim = replace(_LAMB, learning_rate=4e-3, schedule="steps", drops=(84 / 120, 102 / 120, 114 / 120))
    return replace(
        recipe,
        name="perceiver/original/imagenet",
        data=replace(recipe.data, augment=replace(_AUGMENT, mixup=0.0, cutmix=0.0)),
        optim=optim,
        run=replace(recipe.run, out="runs/perceiver_original_imagenet", epochs=120),
    )


def _imagenet(row: str, model: PerceiverConfig) -> Recipe:
    return Recipe(
        name=f"perceiver/imagenet/{row}",
        model=model,
        data=DataConfig(augment=_AUGMENT, val_fraction=0.01),
        reading=PixelsConfig(),
        optim=_LAMB,
        run=RunConfig(
            out=f"runs/perceiver_imagenet_{row}",
            epochs=110,
            batch_files=1024,
            batch_bytes=_BATCH_BYTES,
            precision="bf16",
            num_workers=16,
            checkpoint_every=1000,
        ),
    )


def _jft(row: str, model: PerceiverConfig) -> Recipe:
    """14 epochs of 8,192 pictures a step, and a cosine. JFT's own labels are several a picture: here each file has
    one."""
    recipe = _imagenet(row, model)
    run = replace(
        recipe.run, out=f"runs/perceiver_jft_{row}", epochs=14, batch_files=8192, batch_bytes=8 * _BATCH_BYTES
    )
    optim = replace(_LAMB, learning_rate=3e-4, schedule="cosine")
    return replace(recipe, name=f"perceiver/jft/{row}", optim=optim, run=run)


def _tuned(row: str, model: PerceiverConfig, rate: float) -> Recipe:
    """131,000 steps, the first 70,000 of them at the full learning rate. The batch is that of training from nothing."""
    recipe = _imagenet(row, model)
    return replace(
        recipe,
        optim=replace(_LAMB, learning_rate=rate, flat=_FINE_TUNE_FLAT / _FINE_TUNE_STEPS),
        run=replace(recipe.run, epochs=1_000, max_steps=_FINE_TUNE_STEPS),
    )


def _unshared(model: PerceiverConfig) -> PerceiverConfig:
    """16 layers with weights of their own, their MLPs four times as wide as the latents.

    What reads the input and what answers stay as they are: the paper speaks of the layers between.
    """
    return replace(model, num_blocks=1, num_layers=16, process=replace(model.process, widening=4))
