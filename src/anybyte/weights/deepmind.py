"""DeepMind's own release of Perceiver IO (deepmind-research, `perceiver/`) as ours.

Its parameters are those of Haiku modules: {"perceiver_encoder/~/cross_attention/attention/linear": {"w": ..., "b":
...}}. Layers of one kind are told apart by a number behind the name: queries, keys, values and the output of attention
are `linear`, `linear_1`, `linear_2` and `linear_3`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anybyte.config import PerceiverConfig
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import list_models, model_config
from anybyte.weights.fit import filled

_ATTENTION = {
    "attention/linear": "query",
    "attention/linear_1": "key",
    "attention/linear_2": "value",
    "attention/linear_3": "out",
    "mlp/linear": "mlp.fc1",
    "mlp/linear_1": "mlp.fc2",
}
_CROSS = _ATTENTION | {"layer_norm": "norm", "layer_norm_1": "norm_source", "layer_norm_2": "norm_mlp"}
_SELF = _ATTENTION | {"layer_norm": "norm", "layer_norm_1": "norm_mlp"}

_ENCODER = r"(?:perceiver_)?encoder/~/"
_DECODER = r"(?:(?:classification|flow|multimodal)_decoder/~/)?basic_decoder/"
_IMAGE = "image_preprocessor/~"
_TABLE = "trainable_position_encoding"
_NAMES = (
    (rf"{_ENCODER}{_TABLE}/pos_embs", "latents"),
    (rf"{_ENCODER}cross_attention/(?P<cross>.+)", "encoders.0.{layer}"),
    (rf"{_ENCODER}self_attention(?:_(?P<index>\d+))?/(?P<self>.+)", "blocks.0.{index}.{layer}"),
    (r"embed/embeddings", "inputs.parts.{input}.embedding.weight"),
    (rf"{_TABLE}/pos_embs", "inputs.parts.{input}.positions.rows"),
    (rf"{_IMAGE}/conv2_d(?P<end>/[wb])", "inputs.parts.{input}.stem{end}"),
    (rf"{_IMAGE}/conv2_d_downsample/~/conv(?P<end>/w)", "inputs.parts.{input}.stem.conv{end}"),
    (rf"{_IMAGE}/conv2_d_downsample/~/batchnorm(?P<end>/\w+)", "inputs.parts.{input}.stem.norm{end}"),
    (
        rf"{_IMAGE}/conv2_d_downsample/~/batchnorm/~/(?P<moment>mean|var)_ema/average",
        "inputs.parts.{input}.stem.norm.running_{moment}",
    ),
    (rf"{_IMAGE}_build_network_inputs/{_TABLE}/pos_embs", "inputs.parts.{input}.positions.table.rows"),
    (
        rf"{_IMAGE}_build_network_inputs/position_encoding_projector/linear(?P<end>/[wb])",
        "inputs.parts.{input}.positions.projection{end}",
    ),
    (r"image_preprocessor/patches_linear(?P<end>/[wb])", "inputs.parts.{input}.stem{end}"),
    (r"multimodal_preprocessor/(?P<name>\w+)_padding/pos_embs", "inputs.padding.{name}"),
    (r"multimodal_preprocessor/(?P<name>\w+)_mask_token/pos_embs", "inputs.mask_tokens.{name}"),
    (rf"{_DECODER}cross_attention/(?P<cross>.+)", "decoder.layer.{layer}"),
    (rf"{_DECODER}output(?P<end>/[wb])", "decoder.{final}projection{end}"),
    (rf"{_DECODER}~/{_TABLE}/pos_embs", "decoder.outputs.{queried}.table.rows"),
    (r"multimodal_decoder/~decoder_query/(?P<name>\w+)_padding/pos_embs", "decoder.padding.{name}"),
    (r"embedding_decoder/bias", "decoder.outputs.{output}.bias"),
    (r"audio_postprocessor/linear(?P<end>/[wb])", "decoder.outputs.audio.projection{end}"),
    (r"projection_postprocessor/linear(?P<end>/[wb])", "decoder.outputs.image.projection{end}"),
    (r"classification_postprocessor/linear(?P<end>/[wb])", "decoder.outputs.label.projection{end}"),
    (r"projection_decoder/~/logits(?P<end>/[wb])", "averages.{output}.projection{end}"),
)
"""Names of the release, module and array joined by a slash -> ours."""
_ENDINGS = {"w": "weight", "b": "bias", "scale": "weight", "offset": "bias"}
_STATE_ONLY = re.compile(r".*_ema/(?:hidden|counter)")
"""What Haiku keeps to compute its moving averages, and nothing else needs."""


def from_deepmind(
    params: Mapping[str, Any], state: Mapping[str, Any] | None = None, *, model: str | PerceiverConfig
) -> Perceiver:
    """A Perceiver of DeepMind's release as ours, in evaluation mode.

    Args:
        params: Haiku's parameters, nested ({module: {name: array}}) or flat ({"module/name": array}); NumPy arrays or
            what becomes one.
        state: Haiku's state in the same form: the moving averages of batch norm. Only the convolutional model has one.
        model: which of the models of the release these are: an entry of the zoo, or a config of another size. What the
            release computes is the default of each field of a config.

    Raises:
        ValueError: arrays are missing, left over or of another shape (each is named), or the zoo has no such model.
    """
    config = model if isinstance(model, PerceiverConfig) else _config_of(model)
    converted: dict[str, Tensor] = {}
    names, unknown = {}, []
    for name, array in [*_flatten(params), *_flatten(state or {})]:
        if _STATE_ONLY.fullmatch(name):
            continue
        new_name = rename(name, config)
        if new_name is None or new_name in converted:
            unknown.append(name)
        else:
            converted[new_name], names[new_name] = _tensor(name, array), name
            if new_name.endswith("running_mean"):  # how many batches it is of: not in the release, and never read
                converted[new_name.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    return filled(config, converted, unknown, names)


def rename(name: str, config: PerceiverConfig) -> str | None:
    """Our name of an array of the release, or None if it is of no Perceiver."""
    for pattern, template in _NAMES:
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        groups = match.groupdict()
        words = {word: value for word, value in groups.items() if value is not None}
        if "index" in groups:
            words["index"] = groups["index"] or "0"
        if "cross" in words or "self" in words:
            layer, _, ending = (words.get("cross") or words["self"]).rpartition("/")
            table = _CROSS if "cross" in words else _SELF
            if layer not in table or ending not in _ENDINGS:
                return None
            words["layer"] = f"{table[layer]}.{_ENDINGS[ending]}"
        if "end" in words:
            words["end"] = f".{_ENDINGS.get(words['end'][1:], words['end'][1:])}"
        output = config.outputs[0].name if config.outputs else ""
        return template.format(
            input=config.inputs[0].name,
            output=output,
            # Of several outputs, only the label has queries of its own.
            queried=output if len(config.outputs) == 1 else "label",
            final=f"outputs.{output}." if config.decoder_channels is None else "",
            **words,
        )
    return None


def _config_of(name: str) -> PerceiverConfig:
    config = model_config(name)
    if not isinstance(config, PerceiverConfig):
        known = ", ".join(list_models("perceiver_io_*"))
        raise ValueError(f"{name} is no Perceiver; DeepMind released some of {known}")
    return config


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if not isinstance(name, str):
            raise ValueError(f"{prefix.rstrip('/') or 'the tree'} has {name!r} where the name of a module should be")
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _tensor(name: str, array: Any) -> Tensor:
    """In the axes of torch: [out, in] of a linear layer, [out, in, height, width] of a convolution."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise ValueError(f"{name} is not an array of numbers, but of {array.dtype}")
    tensor = torch.from_numpy(array.astype(np.float32))
    if "batchnorm" in name:
        return tensor.flatten()
    if name.endswith("/w") and tensor.dim() == 4:
        tensor = tensor.permute(3, 2, 0, 1)
        # A kernel of one pixel is a linear layer of ours.
        return tensor.flatten(1) if name.endswith("/conv2_d/w") else tensor
    return tensor.T if name.endswith("/w") else tensor
