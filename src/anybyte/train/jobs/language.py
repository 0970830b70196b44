"""Texts to the words that are missing from them."""

from __future__ import annotations

import dataclasses

from anybyte.config import MaskedConfig, PerceiverConfig, Recipe, TokenInputConfig, TokenOutputConfig
from anybyte.files.text import absolute_texts, open_texts
from anybyte.models.pieces import PIECES, PieceTokenizer, read_pieces
from anybyte.models.tokenizer import BYTE_OFFSET, ByteTokenizer
from anybyte.tasks import ExampleSplits
from anybyte.tasks.masked import Crops, Masked, Windows, example_bytes
from anybyte.train.jobs.job import Data, Job, listed

_BYTES = BYTE_OFFSET + 256


def masked(recipe: Recipe, data: Data | None) -> Job:
    """A masked language model on bytes or pieces; `data` are examples of bytes, with True for those to train on."""
    task = recipe.task
    assert isinstance(task, MaskedConfig)
    tokenizer = ByteTokenizer(max_length=None) if task.pieces is None else read_pieces(task.pieces)
    model, notes = _for_tokens(recipe, _BYTES if isinstance(tokenizer, ByteTokenizer) else tokenizer.vocabulary)
    max_tokens = min(
        part.max_length
        for part in (*model.inputs, *model.outputs)
        if isinstance(part, TokenInputConfig | TokenOutputConfig)
    )
    if data is None:
        data = _open(recipe, task, example_bytes(task, max_tokens))
        located = dataclasses.replace(recipe.data, path=absolute_texts(recipe.data.path))
        recipe = dataclasses.replace(recipe, data=located)
    if not isinstance(data, ExampleSplits):
        raise ValueError(f"recipe {recipe.name!r} learns from texts: it needs ExampleSplits, not files")
    what = "bytes" if task.pieces is None else "SentencePiece pieces"
    return Job(
        dataclasses.replace(recipe, model=model),
        Masked(task, tokenizer, max_tokens, recipe.optim.label_smoothing),
        data.train,
        data.val,
        purpose=f"reads up to {max_tokens:,} {what} of a text and says what stands at those that are masked",
        files={PIECES: tokenizer.model} if isinstance(tokenizer, PieceTokenizer) else {},
        notes=notes,
    )


def _open(recipe: Recipe, task: MaskedConfig, length: int) -> ExampleSplits:
    splits = open_texts(recipe.data.path, task.held_out, skip_empty=recipe.data.on_error == "skip")
    train = Crops(splits.train, length, task.packed, task.crops)
    return ExampleSplits(train, Windows(splits.val, length, task.max_val))


def _for_tokens(recipe: Recipe, vocabulary: int) -> tuple[PerceiverConfig, tuple[str, ...]]:
    """The model with as many tokens as the tokenizer has, and a note if it asked for others."""
    config = recipe.model
    kinds = [part.kind for part in (*config.inputs, *config.outputs)] if isinstance(config, PerceiverConfig) else []
    if not isinstance(config, PerceiverConfig) or kinds != [TokenInputConfig.kind, TokenOutputConfig.kind]:
        raise ValueError(
            f"recipe {recipe.name!r} masks text: its model must be a Perceiver with an input and an output of tokens, "
            f"this one has {listed(kinds) if kinds else 'none'}"
        )
    (part,) = config.inputs
    assert isinstance(part, TokenInputConfig)
    if part.vocabulary == vocabulary:
        return config, ()
    note = f"model.inputs: vocabulary follows the tokenizer: {vocabulary:,}, not {part.vocabulary:,}"
    return dataclasses.replace(config, inputs=(dataclasses.replace(part, vocabulary=vocabulary),)), (note,)
