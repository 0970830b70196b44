"""Other people's checkpoints, as our models."""

from anybyte.weights.corenet import from_corenet as from_corenet
from anybyte.weights.transformers import from_transformers as from_transformers

__all__ = ["from_corenet", "from_transformers"]
