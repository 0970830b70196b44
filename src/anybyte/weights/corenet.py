"""Checkpoints of the original ByteFormer (apple/corenet) as ours.

Two spellings of its configuration are read: the flat one of our golden cases (`embed_dim`, `n_heads`,
`conv_kernel_size`, ...) and the original's own option names (`model.classification.byteformer.conv_kernel_size`, ...,
flat or nested).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from anybyte.config import ByteFormerConfig
from anybyte.models.byteformer import ByteFormer
from anybyte.weights.fit import check_fit, required

_OPTIONS = "model.classification.byteformer."
_SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "huge": (1280, 20, 32)}
"""Mode of the original -> (dim, num_heads, depth)."""
_MERGED_BLOCKS = (0, 1, 3, 5, 7, 9)
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
    config: Mapping[str, Any] | ByteFormerConfig,
    numerics: Literal["anybyte", "corenet"] = "corenet",
) -> ByteFormer:
    """The original's weights as a ByteFormer, in evaluation mode.

    Args:
        state_dict: as `torch.load(..., weights_only=True)` returns it, under the original's names.
        config: the original's configuration in either spelling, or ours.
        numerics: `corenet` computes what the released code computes; `anybyte` computes with the same weights and
        right masks.

    Raises:
        ValueError: tensors are missing, left over or of another shape, or an option is missing; each is named.
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
            tensor = tensor.flatten(0, -2)
        converted[new_name] = _merge_columns(tensor) if new_name.endswith("reduction.weight") else tensor.float()
    check_fit(model, converted)
    model.load_state_dict(converted)
    return model.eval()


def parse_options(options: Mapping[str, Any], state: Mapping[str, Tensor]) -> ByteFormerConfig:
    """Our config from the original's, in either spelling; what it leaves out is read off the tensors or is the
    original's default.

    Raises:
        ValueError: neither spelling is there, or a value is not one we know.
    """
    flat = _flatten(options)
    if any(name.startswith(_OPTIONS) for name in flat):
        given = {name.removeprefix(_OPTIONS): value for name, value in flat.items() if name.startswith(_OPTIONS)}
        return _from_original(given, flat.get("model.classification.n_classes"), state)
    if "embed_dim" in flat:
        return _from_golden(flat)
    raise ValueError(
        f"not a configuration of the original: expected `embed_dim`, ... or `{_OPTIONS}mode`, ...; "
        f"got {', '.join(sorted(flat)) or 'nothing'}"
    )


def _from_golden(given: Mapping[str, Any]) -> ByteFormerConfig:
    if given.get("activation", "gelu_exact_erf") != "gelu_exact_erf":
        raise ValueError(f"activation {given['activation']!r} is not the original's gelu_exact_erf")
    return ByteFormerConfig(
        num_classes=required(given, "n_classes"),
        dim=required(given, "embed_dim"),
        num_heads=required(given, "n_heads"),
        depth=required(given, "n_layers"),
        mlp_ratio=required(given, "ffn_dim") / given["embed_dim"],
        kernel_size=required(given, "conv_kernel_size"),
        window_sizes=tuple(required(given, "window_sizes")),
        window_shifts=tuple(required(given, "window_shifts")),
        merge_after=tuple(index for index, merged in enumerate(required(given, "downsample")) if merged),
        positions=given.get("pos_embed", "learned"),
        max_num_tokens=required(given, "max_num_tokens"),
        position_scale=1.0,
        layer_norm_eps=given.get("layer_norm_eps", 1e-5),
        numerics="corenet",
    )


def _from_original(given: Mapping[str, Any], num_classes: int | None, state: Mapping[str, Tensor]) -> ByteFormerConfig:
    mode = str(given.get("mode", "tiny")).lower()
    if mode not in _SIZES:
        raise ValueError(f"{_OPTIONS}mode is {mode!r}; known: {', '.join(_SIZES)}")
    dim, num_heads, depth = _SIZES[mode]
    merged = given.get("downsample")
    return ByteFormerConfig(
        num_classes=num_classes or len(_tensor(state, "classifier.weight")),
        dim=dim,
        num_heads=num_heads,
        depth=depth,
        kernel_size=given.get("conv_kernel_size") or _tensor(state, "token_reduction_net.weight").shape[2],
        window_sizes=_per_block(given.get("window_sizes") or [128], depth, "window_sizes"),
        window_shifts=_per_block(given.get("window_shifts") or [0, 64] * (depth // 2), depth, "window_shifts"),
        merge_after=_MERGED_BLOCKS if merged is None else tuple(i for i, flag in enumerate(merged) if flag),
        positions="sinusoidal" if given.get("sinusoidal_pos_emb") else "learned",
        max_num_tokens=_tensor(state, "pos_embed.pos_embed.pos_embed").shape[-2],
        position_scale=1.0,
        numerics="corenet",
    )


def _per_block(values: Any, depth: int, name: str) -> tuple[int, ...]:
    """One value a block; the original repeats a single one."""
    entries: tuple[int, ...] = tuple(values) if isinstance(values, list | tuple) else (values,)
    entries = entries * depth if len(entries) == 1 else entries
    if len(entries) != depth:
        raise ValueError(f"{_OPTIONS}{name} has {len(entries)} entries for {depth} blocks")
    return entries


def _flatten(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings, as a YAML file gives them, under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _tensor(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise ValueError(f"the checkpoint lacks {name}")
    return state[name]


def _rename(name: str) -> str:
    for pattern, ours in _NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, ours, name)
    raise ValueError(f"the checkpoint has {name}, which is not a tensor of the original ByteFormer")


def _merge_columns(weight: Tensor) -> Tensor:
    """The original reads a pair as c0t0, c0t1, c1t0, ...; ours as all of t0, then all of t1: [dim, 2 dim] reordered."""
    return torch.cat([weight[:, 0::2], weight[:, 1::2]], dim=1).float()
