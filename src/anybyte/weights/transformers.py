"""Checkpoints of the Perceiver classes of Hugging Face transformers as ours.

Where transformers computes something else than DeepMind's release (docs of `from_transformers`), fields of the config
say so; the weights are the same.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from anybyte.config import (
    ArrayInputConfig,
    AttentionConfig,
    AudioInputConfig,
    ClassOutputConfig,
    ConvStemConfig,
    FlowInputConfig,
    FlowOutputConfig,
    FourierPositionsConfig,
    GridOutputConfig,
    ImageInputConfig,
    LabelInputConfig,
    LearnedPositionsConfig,
    LinearStemConfig,
    PerceiverConfig,
    TokenInputConfig,
    TokenOutputConfig,
    VideoInputConfig,
)
from anybyte.models.perceiver import Perceiver
from anybyte.weights.fit import filled, required

Given = Mapping[str, Any]

_LAYER = {
    "attention.self.layernorm1": "norm",
    "attention.self.layernorm2": "norm_source",
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "layernorm": "norm_mlp",
    "mlp.dense1": "mlp.fc1",
    "mlp.dense2": "mlp.fc2",
}
_NAMES = (
    (r"embeddings\.latents", "latents"),
    (r"encoder\.cross_attention\.(layer)", r"encoders.0.\1"),
    (r"encoder\.self_attends\.(\d+)\.(layer)", r"blocks.0.\1.\2"),
    (r"decoder\.(?:decoder\.)?decoding_cross_attention\.(layer)", r"decoder.layer.\1"),
    (r"decoder\.(?:decoder\.)?final_layer", "decoder.{final}projection"),
    (r"decoder\.(?:decoder\.)?output_position_encodings\.position_embeddings", "decoder.outputs.{output}.table.rows"),
    (r"embedding_decoder\.bias", "decoder.outputs.{output}.bias"),
    (r"input_preprocessor\.embeddings\.weight", "inputs.parts.{input}.embedding.weight"),
    (r"input_preprocessor\.position_embeddings\.weight", "inputs.parts.{input}.positions.rows"),
    (r"input_preprocessor\.position_embeddings\.position_embeddings", "inputs.parts.{input}.positions.table.rows"),
    (r"input_preprocessor\.positions_projection", "inputs.parts.{input}.positions.projection"),
    (r"input_preprocessor\.(?:convnet_1x1|conv_after_patches)", "inputs.parts.{input}.stem"),
    (r"input_preprocessor\.convnet\.conv", "inputs.parts.{input}.stem.conv"),
    (r"input_preprocessor\.convnet\.batchnorm", "inputs.parts.{input}.stem.norm"),
    (r"input_preprocessor\.padding\.(\w+)", r"inputs.padding.\1"),
    (r"input_preprocessor\.mask\.(\w+)", r"inputs.mask_tokens.\1"),
    (r"decoder\.padding\.(\w+)", r"decoder.padding.\1"),
    (
        r"decoder\.modalities\.(\w+)\.decoder\.output_position_encodings\.position_embeddings",
        r"decoder.outputs.\1.table.rows",
    ),
    (r"output_postprocessor\.modalities\.(\w+)\.classifier", r"decoder.outputs.\1.projection"),
)
_GELUS: dict[str, Literal["erf", "tanh"]] = {"gelu": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
_EPS, _EPS_STATED = 1e-5, 1e-12
"""What its layer norms add to the variance, and what its configurations say they do."""
_LAYER_PATTERN = "(?:" + "|".join(re.escape(name) for name in _LAYER) + ")"
_ENDING = r"(\.(?:weight|bias|running_mean|running_var|num_batches_tracked))?"


def from_transformers(
    state_dict: Mapping[str, Tensor],
    config: Given | PerceiverConfig,
    semantics: Literal["transformers", "deepmind"] = "transformers",
    transposed_kernels: bool = False,
) -> Perceiver:
    """A Perceiver of transformers as ours, in evaluation mode.

    Args:
        state_dict: its tensors, under its names.
        config: its `config.json`, whose `architectures` names the class (PerceiverModel, PerceiverForMaskedLM,
            ...ForSequenceClassification, ...ForImageClassificationLearned / Fourier / ConvProcessing,
            ...ForOpticalFlow, ...ForMultimodalAutoencoding); or ours.
        semantics: `transformers` computes what it computes: exact GELU, a mean of all values where everything is
            masked, 55 tokens a side from the convolution, a query residual with learned positions, flow in its own
            unit. `deepmind` computes what the original computes with these weights. Ignored if `config` is ours.
        transposed_kernels: the checkpoint's 7 x 7 kernels have height and width exchanged, and are turned back. So are
            those of the convolutional model that transformers published: its conversion reversed all four axes of
            Haiku's kernels. Checkpoints that were trained in transformers are upright.

    Raises:
        ValueError: tensors are missing, left over or of another shape, or an option is; each is named.
    """
    ours = config if isinstance(config, PerceiverConfig) else parse_options(config, semantics)
    converted: dict[str, Tensor] = {}
    names, unknown = {}, []
    for name, tensor in state_dict.items():
        new_name = _our_name(name, ours)
        if new_name is None:
            unknown.append(name)
            continue
        if name.endswith("convnet_1x1.weight"):
            tensor = tensor.flatten(1)
        if name.endswith("convnet.conv.weight") and transposed_kernels:
            tensor = tensor.transpose(-1, -2)
        converted[new_name] = tensor.float() if tensor.is_floating_point() else tensor
        names[new_name] = name
    return filled(ours, converted, unknown, names)


def rename(name: str, config: PerceiverConfig) -> str:
    """Our name of a tensor of transformers.

    Raises:
        ValueError: it is of no Perceiver.
    """
    ours = _our_name(name, config)
    if ours is None:
        raise ValueError(f"{name} is not a tensor of a Perceiver of transformers")
    return ours


def _our_name(name: str, config: PerceiverConfig) -> str | None:
    bare = name.removeprefix("perceiver.")
    for pattern, template in _NAMES:
        match = re.fullmatch(f"(?:{pattern.replace('layer)', f'{_LAYER_PATTERN})')}){_ENDING}", bare)
        if match:
            *groups, ending = match.groups()
            for number, word in enumerate(groups, start=1):
                template = template.replace(f"\\{number}", _LAYER.get(word, word))
            output = config.outputs[0].name if config.outputs else ""
            final = f"outputs.{output}." if config.decoder_channels is None else ""
            return template.format(input=config.inputs[0].name, output=output, final=final) + (ending or "")
    return None


def parse_options(given: Given, semantics: Literal["transformers", "deepmind"] = "transformers") -> PerceiverConfig:
    """Our config from a `config.json` of transformers.

    Raises:
        ValueError: its class is not a Perceiver, or an option is missing or unknown.
    """
    if semantics not in ("transformers", "deepmind"):
        raise ValueError(f"semantics must be transformers or deepmind, got {semantics!r}")
    architecture = (given.get("architectures") or ["nothing"])[0]
    if architecture not in _CLASSES:
        raise ValueError(f"architectures names {architecture}; known: {', '.join(_CLASSES)}")
    if given.get("hidden_act", "gelu") not in _GELUS:
        raise ValueError(f"hidden_act is {given['hidden_act']!r}; known: {', '.join(_GELUS)}")
    if given.get("layer_norm_eps", _EPS_STATED) not in (_EPS_STATED, _EPS):
        raise ValueError(
            f"layer_norm_eps is {given['layer_norm_eps']!r}, but transformers computes with {_EPS} whatever it says; "
            f"set it to {_EPS} if that is meant"
        )
    foreign = semantics == "transformers"
    dim = required(given, "d_latents")
    qk, v = given.get("qk_channels"), given.get("v_channels")
    reading = qk
    if qk is None and given.get("cross_attention_shape_for_attention", "kv") == "q":
        reading = dim
    config = PerceiverConfig(
        inputs=(ArrayInputConfig(num_channels=required(given, "d_model")),),
        num_latents=required(given, "num_latents"),
        latent_dim=dim,
        num_blocks=required(given, "num_blocks"),
        num_layers=required(given, "num_self_attends_per_block"),
        encode=AttentionConfig(
            num_heads=required(given, "num_cross_attention_heads"),
            qk_channels=reading,
            v_channels=v,
            widening=given.get("cross_attention_widening_factor", 1),
            query_residual=given.get("use_query_residual", True),
        ),
        process=AttentionConfig(
            num_heads=required(given, "num_self_attention_heads"),
            qk_channels=qk,
            v_channels=v,
            widening=given.get("self_attention_widening_factor", 1),
        ),
        gelu=_GELUS[given.get("hidden_act", "gelu")] if foreign else "tanh",
        masked_rows="uniform" if foreign else "zero",
    )
    return dataclasses.replace(config, **_CLASSES[architecture](given, foreign))


def _num_labels(given: Given) -> int:
    """transformers writes the names of the labels instead of their number, and neither if there are two."""
    return int(given.get("num_labels") or len(given.get("id2label") or "ab"))


def _text(given: Given) -> TokenInputConfig:
    return TokenInputConfig(
        vocabulary=required(given, "vocab_size"),
        num_channels=required(given, "d_model"),
        max_length=required(given, "max_position_embeddings"),
    )


def _classes(given: Given) -> tuple[ClassOutputConfig]:
    return (ClassOutputConfig(num_classes=_num_labels(given), query_channels=given["d_latents"]),)


def _masked_lm(given: Given, foreign: bool) -> dict[str, Any]:
    text = _text(given)
    return {
        "inputs": (text,),
        "outputs": (TokenOutputConfig(max_length=text.max_length, query_channels=text.num_channels),),
        "decode": AttentionConfig(num_heads=8, qk_channels=256, v_channels=text.num_channels, query_residual=False),
    }


def _sequence_classification(given: Given, foreign: bool) -> dict[str, Any]:
    return {"inputs": (_text(given),), "outputs": _classes(given)}


def _image_learned(given: Given, foreign: bool) -> dict[str, Any]:
    size = required(given, "image_size")
    positions = LearnedPositionsConfig(num_channels=256, projected=True)
    image = ImageInputConfig(shape=(size, size), stem=LinearStemConfig(), positions=positions)
    return {
        "inputs": (image,),
        "outputs": _classes(given),
        "decode": AttentionConfig(query_residual=foreign),
    }


def _image_fourier(given: Given, foreign: bool) -> dict[str, Any]:
    positions = FourierPositionsConfig(num_bands=64, max_resolution=(224, 224))
    return {"inputs": (ImageInputConfig(positions=positions),), "outputs": _classes(given)}


def _image_conv(given: Given, foreign: bool) -> dict[str, Any]:
    stem = ConvStemConfig(padding="transformers" if foreign else "same")
    positions = FourierPositionsConfig(num_bands=64, max_resolution=(56, 56))
    return {"inputs": (ImageInputConfig(stem=stem, positions=positions),), "outputs": _classes(given)}


def _optical_flow(given: Given, foreign: bool) -> dict[str, Any]:
    positions = FourierPositionsConfig(num_bands=64, max_resolution=tuple(required(given, "train_size")))
    return {
        "inputs": (FlowInputConfig(positions=positions),),
        "outputs": (FlowOutputConfig(scale=1.0) if foreign else FlowOutputConfig(),),
        "decode": AttentionConfig(query_residual=False),
    }


def _multimodal(given: Given, foreign: bool) -> dict[str, Any]:
    frames, size, patch = (required(given, name) for name in ("num_frames", "image_size", "samples_per_patch"))
    samples = frames * required(given, "audio_samples_per_frame")
    shape = tuple(required(given, "output_shape")[1:])
    audio = FourierPositionsConfig(num_bands=192, max_resolution=(samples,))
    video = FourierPositionsConfig(num_bands=32, max_resolution=(frames, size, size))
    labels = _num_labels(given)
    return {
        "inputs": (
            AudioInputConfig(num_samples=samples, patch=patch, positions=audio),
            VideoInputConfig(shape=shape, positions=video),
            LabelInputConfig(num_classes=labels, mask_probability=1.0),
        ),
        "outputs": (
            GridOutputConfig(
                name="audio", shape=(samples // patch,), num_channels=patch, positions=audio, flatten=True
            ),
            GridOutputConfig(name="image", shape=shape, num_channels=3, positions=video),
            ClassOutputConfig(
                name="label", num_classes=labels, query_channels=given.get("_label_trainable_num_channels", 1024)
            ),
        ),
        "decode": AttentionConfig(query_residual=False),
        "decoder_channels": required(given, "output_num_channels"),
    }


_CLASSES: dict[str, Callable[[Given, bool], dict[str, Any]]] = {
    "PerceiverModel": lambda given, foreign: {},
    "PerceiverForMaskedLM": _masked_lm,
    "PerceiverForSequenceClassification": _sequence_classification,
    "PerceiverForImageClassificationLearned": _image_learned,
    "PerceiverForImageClassificationFourier": _image_fourier,
    "PerceiverForImageClassificationConvProcessing": _image_conv,
    "PerceiverForOpticalFlow": _optical_flow,
    "PerceiverForMultimodalAutoencoding": _multimodal,
}
"""Class of transformers -> the fields of our config that it determines, given whether its semantics are wanted."""
