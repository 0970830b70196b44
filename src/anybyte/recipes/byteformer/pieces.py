"""What the paper's experiments share: each recipe of this folder is one of these with a row's own settings."""

from __future__ import annotations

from anybyte.config import (
    AugmentConfig,
    ByteFormerConfig,
    DataConfig,
    OptimConfig,
    PrivacyConfig,
    ReadingConfig,
    Recipe,
    RunConfig,
)

IMAGENET = "byteformer/imagenet_"
SPEECH_COMMANDS = "byteformer/speech_commands_"

IMAGENET_AUGMENT = AugmentConfig(crop_size=224, flip=True, rand_augment=2, erase=0.25, erase_value=0)

SPEECH_AUGMENT = AugmentConfig(noise_dbfs=-50.0, roll=0.1, mixup=1.0)


def imagenet(
    row: str, format: str, kernel_size: int, window: int = 128, privacy: PrivacyConfig | None = None
) -> Recipe:
    """The paper's training on ImageNet (section 4.1), with the input of one row of a table.

    300 epochs of 768 pictures a step: 48 at a time on 8 GPUs, in two parts. Training takes a random part of each
    picture, mirrors, RandAugments and erases; evaluation resizes the short side to 256 and takes the middle 224 x 224.

    Data: one folder a class, named as you like (`n01440764`), below `train/`; put the official validation pictures
    into such folders below `test/`, for that is where the paper's numbers are measured. A hundredth of the training
    pictures chooses the weights. `hf:` names a copy on the hub.

    Departures: no weight decay on embeddings and positions either; warm-up starts at zero, not at 1e-6; windows of 32
    are shifted by 16, where the released code, by a slip, does not shift them.

    Args:
        row: the recipe's name behind `byteformer/imagenet_`.
        format: what a picture is written as.
        kernel_size: bytes a token.
        window: tokens an attention window.
        privacy: what is done to the bytes.
    """
    return Recipe(
        name=IMAGENET + row,
        model=_tiny(1000, kernel_size, window),
        data=DataConfig(augment=IMAGENET_AUGMENT, val_fraction=0.01),
        reading=ReadingConfig(format=format, image_size=224, privacy=privacy or PrivacyConfig()),
        optim=_optim(warmup_steps=7_500),
        run=_run(row, batch_files=48 * 2 * 8, batch_bytes=2**27),
    )


def speech_commands(row: str, format: str, kernel_size: int, window: int = 128) -> Recipe:
    """The paper's training on Speech Commands v2, 12-way (section 4.2), with the input of one row of a table.

    300 epochs of 384 sounds a step: 48 at a time on 4 GPUs, in two parts. Training adds noise at -50 dB, rolls by up to
    a tenth of the length and mixes two sounds; every sound is one second, 16 kHz, mono.

    Data: one folder a class below `train/`, `val/` and `test/`: the ten commands `yes no up down left right on off
    stop go`, `_unknown_` (clips of the other 25 words, drawn to the size of a command's) and `_silence_` (seconds cut
    from the background noises). The archive's `validation_list.txt` and `testing_list.txt` say what is val and test.

    Departures: as in `imagenet`.
    """
    return Recipe(
        name=SPEECH_COMMANDS + row,
        model=_tiny(12, kernel_size, window),
        data=DataConfig(augment=SPEECH_AUGMENT),
        reading=ReadingConfig(format=format, rate=16_000, seconds=1.0),
        optim=_optim(warmup_steps=500),
        run=_run("speech_commands_" + row, batch_files=48 * 2 * 4, batch_bytes=2**25),
    )


def _tiny(num_classes: int, kernel_size: int, window: int) -> ByteFormerConfig:
    """The paper's tiny size, with its table of 50,000 learned positions."""
    return ByteFormerConfig(num_classes=num_classes, kernel_size=kernel_size, window_sizes=window, positions="learned")


def _optim(warmup_steps: int) -> OptimConfig:
    return OptimConfig(
        learning_rate=1e-3,
        min_learning_rate=2e-5,
        warmup_steps=warmup_steps,
        betas=(0.9, 0.999),
        weight_decay=0.05,
        clip_norm=None,
        label_smoothing=0.1,
        ema_decay=0.9999,
    )


def _run(row: str, batch_files: int, batch_bytes: int) -> RunConfig:
    return RunConfig(
        out=f"runs/{row}",
        epochs=300,
        batch_files=batch_files,
        batch_bytes=batch_bytes,
        accumulation=2,
        precision="bf16",
        num_workers=10,
        checkpoint_every=1_000,
    )
