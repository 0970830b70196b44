"""Models that read permuted bytes, made from models that read plain ones (Horton et al. 2023, section 4.3)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from anybyte.batch import PADDING
from anybyte.models.stem import Stem
from anybyte.privacy.permutation import Permutation

Model = TypeVar("Model", bound=nn.Module)


def rekey(model: Model, permutation: Permutation) -> Model:
    """A copy of a model that answers permuted files as the model answers plain ones, bit for bit.

    A model meets byte values in one place only, as rows of the stem's embedding. So the row of a value moves to what
    the permutation makes of the value; the padding entry, which is no byte, stays. All later arithmetic is the same, on
    the same numbers.

    Raises:
        ValueError: the model does not read bytes.
    """
    copied = copy.deepcopy(model)
    stems = [module for module in copied.modules() if isinstance(module, Stem)]
    if not stems:
        raise ValueError(f"a {type(model).__name__} of this configuration reads no bytes, so it has no key to change")
    rows = torch.frombuffer(bytearray(permutation.inverse.table), dtype=torch.uint8).long()
    with torch.no_grad():
        for stem in stems:
            stem.embedding[:PADDING] = stem.embedding[rows.to(stem.embedding.device)]
    return copied
