"""Other people's checkpoints, as our models."""

from anybyte.weights.corenet import from_corenet as from_corenet
from anybyte.weights.deepmind import from_deepmind as from_deepmind
from anybyte.weights.transformers import from_transformers as from_transformers

__all__ = ["from_corenet", "from_deepmind", "from_transformers"]
