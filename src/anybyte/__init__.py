"""Anybyte: models that read what is stored. `import anybyte` costs torch and numpy, nothing else."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "ByteBatch": "anybyte.batch",
    "ByteFormer": "anybyte.models.byteformer",
    "ByteFormerConfig": "anybyte.config",
    "ByteTokenizer": "anybyte.models.tokenizer",
    "Client": "anybyte.deploy.client",
    "Explanation": "anybyte.explain",
    "Perceiver": "anybyte.models.perceiver",
    "PerceiverConfig": "anybyte.config",
    "Prediction": "anybyte.predictor",
    "Predictor": "anybyte.predictor",
    "Recipe": "anybyte.config",
    "create_model": "anybyte.models.zoo",
    "explain": "anybyte.explain",
    "list_models": "anybyte.models.zoo",
    "load": "anybyte.predictor",
    "weights": "anybyte.weights",
}
"""Public name -> the module that holds it (or that it is), imported when the name is first used."""

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'anybyte' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(_HOME[name])
    value = module if module.__name__ == f"anybyte.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if TYPE_CHECKING:
    from anybyte import explain as explain
    from anybyte import weights as weights
    from anybyte.batch import ByteBatch as ByteBatch
    from anybyte.config import ByteFormerConfig as ByteFormerConfig
    from anybyte.config import PerceiverConfig as PerceiverConfig
    from anybyte.config import Recipe as Recipe
    from anybyte.deploy.client import Client as Client
    from anybyte.explain import Explanation as Explanation
    from anybyte.models.byteformer import ByteFormer as ByteFormer
    from anybyte.models.perceiver import Perceiver as Perceiver
    from anybyte.models.tokenizer import ByteTokenizer as ByteTokenizer
    from anybyte.models.zoo import create_model as create_model
    from anybyte.models.zoo import list_models as list_models
    from anybyte.predictor import Prediction as Prediction
    from anybyte.predictor import Predictor as Predictor
    from anybyte.predictor import load as load
