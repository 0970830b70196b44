"""Starting from the weights of another model, `run.init_from`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anybyte.models.find import find_model
from anybyte.models.inputs import TokenInput
from anybyte.models.queries import Output
from anybyte.models.zoo import load_pretrained

_LISTED = 4
"""Names that the note lists before it says how many more there are."""
_NEVER_FRESH = ("latents", "positions", "table.rows")
"""What a name ends in, or holds, of tensors whose length is a model's size. To start them anew because another length
was asked for would lose most of what the other model learned, and nobody would notice."""


def start_from(model: nn.Module, path: str) -> str:
    """Puts the weights of a model folder into `model`: every tensor of equal name and shape.

    A vocabulary that has grown keeps what is there of it: the further rows are those that `model` drew.

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
    grown = {name for name in _vocabularies(model) if name in given and _has_grown(given[name], wanted[name])}
    for name, tensor in wanted.items():
        was, is_ = tuple(given.get(name, tensor).shape), tuple(tensor.shape)
        if was != is_ and any(part in name for part in _NEVER_FRESH):
            raise ValueError(
                f"run.init_from {path}: {name} is {list(was)} there and {list(is_)} here. Latents and positions are "
                "taken whole: give this model as many"
            )
    taken = {name for name in wanted if name in given and given[name].shape == wanted[name].shape} | grown
    if not taken:
        raise ValueError(f"run.init_from {path}: no tensor there has the name and shape of one of this model")
    with torch.no_grad():
        for name in taken:
            wanted[name][: len(given[name])].copy_(given[name]) if name in grown else wanted[name].copy_(given[name])
    notes = [f"{len(taken)} of {len(wanted)} tensors come from {path}"]
    notes += [f"{name} keeps {len(given[name])} of its {len(wanted[name])} rows" for name in sorted(grown)]
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


def _has_grown(before: Tensor, now: Tensor) -> bool:
    return before.shape[1:] == now.shape[1:] and len(before) < len(now)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
