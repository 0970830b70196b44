"""Starting from the weights of another model, `run.init_from`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anybyte.config import PerceiverConfig, TokenInputConfig
from anybyte.models.find import find_model
from anybyte.models.inputs import TokenInput
from anybyte.models.perceiver import Perceiver
from anybyte.models.queries import Output
from anybyte.models.zoo import load_pretrained

_LISTED = 4
"""Names that the note lists before it says how many more there are."""
_NEVER_FRESH = ("latents", "positions", "table.rows")
"""What the names of tensors hold whose length is a model's size. To start them anew because another length was asked
for would lose most of what the other model learned, and nobody would notice."""


def start_from(model: nn.Module, path: str) -> str:
    """Puts the weights of a model folder into `model`: every tensor of equal name and shape.

    Two kinds of tables may differ in length. A vocabulary that has grown keeps what is there of it: the further rows
    are those that `model` drew. Of a model of longer texts the first places are taken, and their latents, where latents
    have places.

    Args:
        model: not wrapped, on any device.
        path: a run's or a model's folder, or a name of the hub.

    Returns:
        What was taken, what is left as it was drawn, and what was not used: a line for the user.

    Raises:
        ValueError: no such model, latents or positions of another length, or nothing that fits; the message names it.
    """
    other, _ = load_pretrained(find_model(path))
    given, wanted = other.state_dict(), model.state_dict()
    tables = {name for name in _vocabularies(model) if _is_start(given, wanted, name)}
    tables |= {name for name in _places(model, other) if _is_start(wanted, given, name)}
    for name, tensor in wanted.items():
        was, is_ = tuple(given.get(name, tensor).shape), tuple(tensor.shape)
        if was != is_ and name not in tables and any(part in name for part in _NEVER_FRESH):
            raise ValueError(
                f"run.init_from {path}: {name} is {list(was)} there and {list(is_)} here. Latents and positions are "
                "taken whole: give this model as many"
            )
    taken = {name for name in wanted if name in given and given[name].shape == wanted[name].shape} | tables
    if not taken:
        raise ValueError(f"run.init_from {path}: no tensor there has the name and shape of one of this model")
    with torch.no_grad():
        for name in taken:
            rows = slice(min(len(given[name]), len(wanted[name]))) if name in tables else ...
            wanted[name][rows].copy_(given[name][rows])
    notes = [f"{len(taken)} of {len(wanted)} tensors come from {path}"]
    notes += [f"{name} begins with {_rows(given[name], wanted[name])}" for name in sorted(tables)]
    fresh = [name for name in wanted if name not in taken]
    unused = [name for name in given if name not in taken]
    notes += [f"fresh: {_listed(fresh)}"] if fresh else []
    notes += [f"not used: {_listed(unused)}"] if unused else []
    return f"run.init_from: {'; '.join(notes)}"


def _vocabularies(model: nn.Module) -> set[str]:
    """The names of the tensors with a row a token: embeddings of ids, and the bias of the logits read off them."""
    parts = dict(model.named_modules())
    embeddings = {f"{name}.embedding.weight" for name, part in parts.items() if isinstance(part, TokenInput)}
    outputs = {name for name, part in parts.items() if isinstance(part, Output) and part.bias is not None}
    return embeddings | {f"{name}.bias" for name in outputs}


def _places(model: nn.Module, other: nn.Module) -> set[str]:
    """The names of the tensors with a row a place of a text: of the text, of queries, and of latents in their grid."""
    parts = dict(model.named_modules())
    names = {f"{name}.positions.rows" for name, part in parts.items() if isinstance(part, TokenInput)}
    texts = {name for name, part in parts.items() if isinstance(part, Output) and part.bias is not None}
    names |= {f"{name}.table.rows" for name in texts}
    if isinstance(model, Perceiver) and isinstance(other, Perceiver):
        steps = [_bytes_of_a_latent(one.config) for one in (model, other)]
        names |= {"latents"} if steps[0] is not None and steps[0] == steps[1] else set()
    return names


def _bytes_of_a_latent(config: PerceiverConfig) -> float | None:
    """Places of a text that one latent stands for; None where latents have none."""
    part = config.inputs[0]
    if not config.latent_grids or not isinstance(part, TokenInputConfig):
        return None
    return part.max_length / config.num_latents


def _is_start(short: Mapping[str, Tensor], long: Mapping[str, Tensor], name: str) -> bool:
    """Whether a table is as wide in both, and shorter in the first."""
    return (
        name in short
        and name in long
        and short[name].shape[1:] == long[name].shape[1:]
        and len(short[name]) < len(long[name])
    )


def _rows(given: Tensor, wanted: Tensor) -> str:
    if len(given) < len(wanted):
        return f"the {len(given)} rows there, {len(wanted) - len(given)} are fresh"
    return f"the first {len(wanted)} of {len(given)} rows"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
