"""Checkpoints of the original ByteFormer (apple/corenet) as ours.

Two spellings of its configuration are read: the flat one of our golden cases (`embed_dim`, `n_heads`,
`conv_kernel_size`, ...) and the original's own option names (`model.classification.byteformer.conv_kernel_size`, ...,
flat, nested or without the prefix), as few of them as there are: the tensors tell most of it.
"""

from __future__ import annotations

import dataclasses
import re
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from anybyte.config import ByteFormerConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.weights.fit import check_fit, required

_PREFIX = "model.classification."
_OPTIONS = f"{_PREFIX}byteformer."
_SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "huge": (1280, 20, 32)}
"""Mode of the original -> (dim, num_heads, depth)."""
_HEAD = 64
"""Width of a head in every mode."""
_BARE = (
    *("mode", "n_classes", "conv_kernel_size", "max_num_tokens", "sinusoidal_pos_emb"),
    *("window_sizes", "window_shifts", "downsample", "vocab_size", "norm_layer"),
)
"""Options of the original that are known without their prefix."""
_GOLDEN = ("embed_dim", "n_heads", "n_layers", "ffn_dim")
"""Names that only the golden form has."""
_NAMES = (
    (r"transformer\.(\d+)\.pre_norm_mha\.0\.(weight|bias)", r"blocks.\1.norm1.\2"),
    (r"transformer\.(\d+)\.pre_norm_mha\.1\.qkv_proj\.(weight|bias)", r"blocks.\1.attention.qkv.\2"),
    (r"transformer\.(\d+)\.pre_norm_mha\.1\.out_proj\.(weight|bias)", r"blocks.\1.attention.out.\2"),
    (r"transformer\.(\d+)\.pre_norm_ffn\.0\.(weight|bias)", r"blocks.\1.norm2.\2"),
    (r"transformer\.(\d+)\.pre_norm_ffn\.1\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (r"transformer\.(\d+)\.pre_norm_ffn\.4\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
    (r"downsamplers\.downsample_(\d+)\.(reduction|norm)\.(weight|bias)", r"merges.\1.\2.\3"),
    (r"post_transformer_norm\.(weight|bias)", r"norm.\1"),
    (r"classifier\.(weight|bias)", r"classifier.\1"),
    (r"embeddings\.weight", "stem.embedding"),
    (r"token_reduction_net\.weight", "stem.kernel"),
    (r"pos_embed\.pos_embed\.pos_embed", "positions.rows"),
)


def from_corenet(
    state_dict: Mapping[str, Tensor],
    config: Mapping[str, Any] | Namespace | ByteFormerConfig,
    numerics: Literal["anybyte", "corenet"] = "corenet",
) -> ByteFormer:
    """The original's weights as a ByteFormer, in evaluation mode.

    Args:
        state_dict: as `torch.load(..., weights_only=True)` returns it, under the original's names.
        config: the original's configuration in either spelling, as a mapping or a namespace, or ours.
        numerics: `corenet` computes what the released code computes; `anybyte` computes with the same weights and
        right masks.

    Raises:
        ValueError: tensors are missing, left over or of another shape, or an option is missing or of the wrong type;
            each is named.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    ours = config if isinstance(config, ByteFormerConfig) else parse_options(config, state)
    model = ByteFormer(dataclasses.replace(ours, numerics=numerics))
    converted = {}
    for name, tensor in state.items():
        new_name = _rename(name)
        if new_name == "positions.rows":
            if ours.positions != "learned":
                continue
            tensor = _ranked(name, tensor, 4).flatten(0, -2)
        if new_name.endswith("reduction.weight"):
            tensor = _merge_columns(_ranked(name, tensor, 2))
        converted[new_name] = tensor.float()
    check_fit(model, converted)
    model.load_state_dict(converted)
    return model.eval()


def parse_options(options: Mapping[str, Any] | Namespace, state: Mapping[str, Tensor]) -> ByteFormerConfig:
    """Our config from the original's, in either spelling; what it leaves out is read off the tensors or is the
    original's default.

    Raises:
        ValueError: neither spelling is there, or a value is not one we know.
    """
    if not isinstance(options, Mapping) and not hasattr(options, "__dict__"):
        raise ValueError(f"a configuration is a mapping or a namespace, not a {type(options).__name__}")
    flat = _flatten(options)
    if any(name in flat for name in _GOLDEN):
        return _from_golden(flat)
    given = {name: value for name, value in flat.items() if name in _BARE}
    for prefix in (_PREFIX, _OPTIONS):
        given |= {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}
    if given:
        return _from_original(given, state)
    raise ValueError(
        f"not a configuration of the original: expected `embed_dim`, ... or `{_OPTIONS}mode`, ...; "
        f"got {', '.join(sorted(flat)) or 'nothing'}"
    )


def _from_golden(given: Mapping[str, Any]) -> ByteFormerConfig:
    if given.get("activation", "gelu_exact_erf") != "gelu_exact_erf":
        raise ValueError(f"activation {given['activation']!r} is not the original's gelu_exact_erf")
    positions = given.get("pos_embed", "learned")
    if positions not in ("learned", "sinusoidal"):
        raise ValueError(f"pos_embed is {positions!r}; known: learned, sinusoidal")
    try:
        eps = float(given.get("layer_norm_eps", 1e-5))  # YAML makes a string of 1e-05
    except (TypeError, ValueError) as error:
        raise ValueError(f"layer_norm_eps is {given['layer_norm_eps']!r}, not a number") from error
    dim, depth = _number(required(given, "embed_dim"), "embed_dim"), _number(required(given, "n_layers"), "n_layers")
    return ByteFormerConfig(
        num_classes=_number(required(given, "n_classes"), "n_classes"),
        dim=dim,
        num_heads=_number(required(given, "n_heads"), "n_heads"),
        depth=depth,
        mlp_ratio=_number(required(given, "ffn_dim"), "ffn_dim") / dim,
        kernel_size=_number(required(given, "conv_kernel_size"), "conv_kernel_size"),
        window_sizes=_per_block(required(given, "window_sizes"), depth, "window_sizes"),
        window_shifts=_per_block(required(given, "window_shifts"), depth, "window_shifts", least=0),
        merge_after=_merged(required(given, "downsample"), depth),
        positions=positions,
        max_num_tokens=_number(required(given, "max_num_tokens"), "max_num_tokens"),
        position_scale=1.0,
        layer_norm_eps=eps,
        numerics="corenet",
    )


def _from_original(given: Mapping[str, Any], state: Mapping[str, Tensor]) -> ByteFormerConfig:
    given = {name: value for name, value in given.items() if value is not None}
    for name, _, entry in (name.partition(".") for name in given):
        if entry and name in _BARE:
            raise ValueError(f"{name} holds options of its own ({entry}) instead of a value")
    mode = str(given.get("mode", "tiny")).lower()
    if mode not in _SIZES:
        raise ValueError(f"mode is {given['mode']!r}; known: {', '.join(_SIZES)}")
    dim = _tensor(state, "embeddings.weight", 2).shape[1]
    depth = len({name.split(".")[1] for name in state if name.startswith("transformer.")})
    merged = [match[1] for name in state if (match := re.match(r"downsamplers\.downsample_(\d+)\.reduction", name))]
    sinusoidal = given.get("sinusoidal_pos_emb", False)
    if not isinstance(sinusoidal, bool):
        raise ValueError(f"sinusoidal_pos_emb is {sinusoidal!r}, neither true nor false")
    rows = _number(given.get("max_num_tokens", 10_000), "max_num_tokens")
    if not sinusoidal:
        rows = _tensor(state, "pos_embed.pos_embed.pos_embed", 4).shape[-2]
    kernel_size = given.get("conv_kernel_size", _tensor(state, "token_reduction_net.weight", 3).shape[2])
    shifts = [64 * (block % 2) for block in range(depth)]
    return ByteFormerConfig(
        num_classes=_number(given.get("n_classes", len(_tensor(state, "classifier.weight", 2))), "n_classes"),
        dim=dim,
        num_heads=_SIZES[mode][1] if dim % _HEAD else dim // _HEAD,
        depth=depth,
        kernel_size=_number(kernel_size, "conv_kernel_size"),
        window_sizes=_per_block(given.get("window_sizes", 128), depth, "window_sizes"),
        window_shifts=_per_block(given.get("window_shifts", shifts), depth, "window_shifts", least=0),
        merge_after=_merged(given["downsample"], depth) if "downsample" in given else tuple(sorted(map(int, merged))),
        positions="sinusoidal" if sinusoidal else "learned",
        max_num_tokens=rows,
        position_scale=1.0,
        numerics="corenet",
    )


def _per_block(values: Any, depth: int, name: str, least: int = 1) -> tuple[int, ...]:
    """One value a block; the original repeats a single one."""
    entries = tuple(values) if isinstance(values, list | tuple) else (values,)
    entries = entries * depth if len(entries) == 1 else entries
    if len(entries) != depth:
        raise ValueError(f"{name} has {len(entries)} entries for {depth} blocks")
    return tuple(_number(entry, name, least) for entry in entries)


def _merged(flags: Any, depth: int) -> tuple[int, ...]:
    """The blocks whose flag is set."""
    if not isinstance(flags, list | tuple) or len(flags) != depth or any(flag not in (0, 1) for flag in flags):
        raise ValueError(f"downsample is {flags!r}, not a list of true or false for {depth} blocks")
    return tuple(index for index, flag in enumerate(flags) if flag)


def _number(value: Any, name: str, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}, not a whole number of at least {least}")
    return value


def _flatten(options: Mapping[str, Any] | Namespace, prefix: str = "") -> dict[str, Any]:
    """Nested mappings or namespaces, as a YAML file or a command line gives them, under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in (options if isinstance(options, Mapping) else vars(options)).items():
        if not isinstance(name, str):
            raise ValueError(
                f"{prefix.rstrip('.') or 'the configuration'} has {name!r} where the name of an option should be"
            )
        if isinstance(value, Mapping | Namespace):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _tensor(state: Mapping[str, Tensor], name: str, rank: int) -> Tensor:
    if name not in state:
        raise ValueError(f"the checkpoint lacks {name}")
    return _ranked(name, state[name], rank)


def _ranked(name: str, tensor: Tensor, rank: int) -> Tensor:
    if tensor.ndim != rank:
        raise ValueError(f"the checkpoint has {name} of shape {tuple(tensor.shape)}, which should have {rank} axes")
    return tensor


def _rename(name: str) -> str:
    for pattern, ours in _NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    raise ValueError(f"the checkpoint has {name}, which is not a tensor of the original ByteFormer")


def _merge_columns(weight: Tensor) -> Tensor:
    """The original reads a pair as c0t0, c0t1, c1t0, ...; ours as all of t0, then all of t1: [dim, 2 dim] reordered."""
    return torch.cat([weight[:, 0::2], weight[:, 1::2]], dim=1)
