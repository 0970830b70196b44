"""Other people's checkpoints, as our models."""

from anybyte.weights.corenet import from_corenet as from_corenet

__all__ = ["from_corenet"]
