"""Settings of tasks: what a model is trained for. One dataclass a task, told apart by `kind`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from anybyte.config.flow import FlowConfig

LossKind = Literal["cross_entropy", "binary_cross_entropy", "l1", "mse"]


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """Which class does a file belong to? Classes are those of the data; smoothing is `optim.label_smoothing`."""

    kind: Literal["classify"] = field(default="classify", init=False)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How one output of a model is trained."""

    output: str
    """Its name."""
    loss: LossKind
    weight: float = 1.0
    """Its share in the sum over all outputs; each output counts as the mean over what it answers."""
    label_smoothing: float = 0.0
    """Cross-entropy: share of the target that is spread evenly over all classes, in training only."""
    target: str | None = None
    """Name of the input that this output should answer with, a reconstruction. None: an array of the output's name."""
    labels: tuple[str, ...] = ()
    """Cross-entropy: names of the classes, if they have any."""
    peak: float = 1.0
    """l1 and mse: the largest difference of two values, to which PSNR is relative."""
    rows: int | None = None
    """Answer this many places in training, drawn anew for each example, instead of all. None: all."""


@dataclass(frozen=True, kw_only=True)
class DeclaredConfig:
    """Any arrays to any arrays: what a schema declares (docs/schemas.md)."""

    kind: Literal["declared"] = field(default="declared", init=False)
    losses: tuple[LossConfig, ...] = ()
    """One for each output that is trained."""


@dataclass(frozen=True, kw_only=True)
class MaskedConfig:
    """Which words are missing from a text? A masked language model (Jaegle et al. 2022, section 4.1)."""

    kind: Literal["masked"] = field(default="masked", init=False)
    pieces: str | None = None
    """File of a SentencePiece model (`anybyte tokenizer train`), whose pieces are read. None: bytes are."""
    probability: float = 0.15
    """Of each white-space word to be masked, with all of its bytes or pieces."""
    length: int | None = None
    """Bytes of an example. None: as many as the model reads; of pieces, six times as many, the rest being cut."""
    packed: int = 10
    """Documents, in random order, that are put together before an example is cut out of them."""
    short_share: float = 0.0
    """Share of the training examples in which single bytes or pieces are masked, not whole words: an easier task, from
    which small models learn sooner what stands beside what."""
    held_out: float = 0.05
    """Share at the end of each document that is for validation, where no file's name says valid or test."""
    crops: int | None = None
    """Examples of an epoch. None: as many as the text is long; of streams, which have no length, 100,000."""
    max_val: int | None = 1024
    """Examples of a validation, evenly spread over the text. None: all of it."""


GlueName = Literal["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]


@dataclass(frozen=True, kw_only=True)
class GlueConfig:
    """The tasks of GLUE, one or several in one model (Jaegle et al. 2022, section 4.1, table 3)."""

    kind: Literal["glue"] = field(default="glue", init=False)
    tasks: tuple[GlueName, ...] = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte")
    conditioning: Literal["single", "queries", "shared", "tokens"] = "queries"
    """How the model is told what to answer. single: there is one task, with a learned query. queries: each task has a
    learned query. shared: one token before the sentences, read back by the query at its place. tokens: the same with a
    token for each task. Behind it, each task has two layers of its own."""
    max_length: int | None = None
    """Bytes that the model reads, where that of `run.init_from` or the recipe reads more: GLUE's sentences are short.
    Latents that have places in the text are as many fewer. None: as many as that one reads."""
    mix: Literal["size", "uniform"] = "size"
    """How often each task has its turn: by its number of examples, or each as often."""
    max_examples: int | None = None
    """Examples of a task in an epoch, at most; which ones is drawn anew in each. None: all."""
    max_val: int | None = None
    """Examples of a task in a validation, at most. None: all."""
    swap: bool = False
    """In training, exchange the two sentences of half of the examples where order means nothing (MRPC, STS-B, QQP)."""
    hide: float = 0.0
    """In training, share of the white-space words whose bytes are masked."""


TaskConfig = ClassifyConfig | DeclaredConfig | MaskedConfig | FlowConfig | GlueConfig
