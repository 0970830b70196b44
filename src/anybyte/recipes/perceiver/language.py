"""Masked language models at paper size (Jaegle et al. 2022, section 4.1 and appendix): UTF-8 bytes and SentencePiece.

    anybyte train perceiver/language/bytes
    anybyte tokenizer train TEXT --vocabulary 32000 -o spm.model
    anybyte train perceiver/language/sentencepiece --task.pieces spm.model

Both read 70% C4 and 30% Wikipedia, streamed from the hub; which Wikipedia, and how C4 is cleaned, the paper does not
say: these are the English one of 2023 and the original release. An epoch is 1,000 of the 500,000 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anybyte.config import (
    DataConfig,
    MaskedConfig,
    OptimConfig,
    PerceiverConfig,
    Recipe,
    RunConfig,
    TokenInputConfig,
    TokenOutputConfig,
)
from anybyte.models.perceivers import PERCEIVERS
from anybyte.models.tokenizer import BYTE_OFFSET

MIXTURE = "0.7*hf:allenai/c4:en+0.3*hf:wikimedia/wikipedia:20231101.en"
STEPS, BATCH = 500_000, 2048
PIECES = 32_000


def bytes_() -> Recipe:
    """2,048 bytes of C4 and Wikipedia, in 26 layers of 256 latents: 201 million parameters."""
    return _recipe("bytes", MaskedConfig(crops=1000 * BATCH), PERCEIVERS["perceiver_io_language"])


def sentencepiece() -> Recipe:
    """512 SentencePiece pieces of the same text, of 32,000 that there are: 223 million parameters."""
    model = replace(
        PERCEIVERS["perceiver_io_language"],
        inputs=(TokenInputConfig(vocabulary=PIECES + BYTE_OFFSET, max_length=512),),
        outputs=(TokenOutputConfig(max_length=512),),
    )
    return _recipe("sentencepiece", MaskedConfig(pieces="spm.model", crops=1000 * BATCH), model)


def _recipe(name: str, task: MaskedConfig, model: PerceiverConfig) -> Recipe:
    return Recipe(
        name=f"perceiver/language/{name}",
        task=task,
        model=model,
        data=DataConfig(path=MIXTURE),
        optim=OptimConfig(
            optimizer="lamb",
            learning_rate=1.25e-3,
            min_learning_rate=0.0,
            warmup_steps=1000,
            weight_decay=0.01,
            epsilon=1e-6,
            label_smoothing=0.0,
            ema_decay=None,
        ),
        run=RunConfig(
            out=f"runs/perceiver_language_{name}",
            epochs=STEPS // 1000,
            max_steps=STEPS,
            batch_files=BATCH,
            batch_bytes=BATCH * 6 * 512,
            accumulation=64,
            precision="bf16",
            num_workers=4,
            checkpoint_every=1000,
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "perceiver/language/bytes": bytes_,
    "perceiver/language/sentencepiece": sentencepiece,
}
"""Name -> the function that returns the recipe."""
