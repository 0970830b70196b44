"""Trees of parameters as DeepMind's release holds them, made from checkpoints of transformers.

Written from the names in both checkpoints and from Haiku's rules, not from the converter it is to test.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

Tree = dict[str, dict[str, np.ndarray[Any, Any]]]

DECODERS = {
    "PerceiverForMaskedLM": "basic_decoder",
    "PerceiverForOpticalFlow": "flow_decoder/~/basic_decoder",
    "PerceiverForMultimodalAutoencoding": "multimodal_decoder/~/basic_decoder",
}
"""Where the decoder's layers are; elsewhere inside the classification decoder."""
CLASSIFIER = "classification_decoder/~/basic_decoder"


def tree_of(state: dict[str, Tensor], architecture: str) -> tuple[Tree, Tree]:
    """Parameters and state of Haiku with the weights of a class of transformers."""
    params: Tree = {}
    averages: Tree = {}
    for name, tensor in state.items():
        bare = name.removeprefix("perceiver.")
        if bare.endswith("num_batches_tracked"):
            continue
        if bare.endswith(("running_mean", "running_var")):
            moment = bare.rpartition("_")[2]
            module = f"image_preprocessor/~/conv2_d_downsample/~/batchnorm/~/{moment}_ema"
            average = tensor.numpy().reshape(1, 1, 1, -1)
            averages[module] = {"average": average, "hidden": average * 0.9, "counter": np.array(7)}
            continue
        module, array_name = place(bare, architecture)
        array = tensor.numpy()
        if array_name == "w":
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        if "batchnorm" in module:
            array = array.reshape(1, 1, 1, -1)
        params.setdefault(module, {})[array_name] = array
    return params, averages


def place(name: str, architecture: str) -> tuple[str, str]:
    """The module and the array of Haiku for a tensor of transformers."""
    encoder = "encoder" if architecture.endswith("MultimodalAutoencoding") else "perceiver_encoder"
    decoder = DECODERS.get(architecture, CLASSIFIER)
    words = name.split(".")
    ending = words[-1]
    if name == "embeddings.latents":
        return f"{encoder}/~/trainable_position_encoding", "pos_embs"
    if words[0] == "encoder":
        if words[1] == "cross_attention":
            return layer(f"{encoder}/~/cross_attention", words[2:], cross=True)
        number = "" if words[2] == "0" else f"_{words[2]}"
        return layer(f"{encoder}/~/self_attention{number}", words[3:], cross=False)
    if "decoding_cross_attention" in words:
        rest = words[words.index("decoding_cross_attention") + 1 :]
        return layer(f"{decoder}/cross_attention", rest, cross=True)
    if "final_layer" in words:
        return f"{decoder}/output", {"weight": "w", "bias": "b"}[ending]
    if "output_position_encodings" in words:
        queries = CLASSIFIER if architecture.endswith("MultimodalAutoencoding") else decoder
        return f"{queries}/~/trainable_position_encoding", "pos_embs"
    if name == "embedding_decoder.bias":
        return "embedding_decoder", "bias"
    if words[0] == "output_postprocessor":
        kind = {"audio": "audio", "image": "projection", "label": "classification"}[words[2]]
        return f"{kind}_postprocessor/linear", {"weight": "w", "bias": "b"}[ending]
    if words[:2] == ["decoder", "padding"]:
        return f"multimodal_decoder/~decoder_query/{words[2]}_padding", "pos_embs"
    assert words[0] == "input_preprocessor", name
    return of_preprocessor(words[1:])


def of_preprocessor(words: list[str]) -> tuple[str, str]:
    image = "image_preprocessor/~"
    linear = {"weight": "w", "bias": "b"}
    match words:
        case ["embeddings", "weight"]:
            return "embed", "embeddings"
        case ["position_embeddings", "weight"]:
            return "trainable_position_encoding", "pos_embs"
        case ["position_embeddings", "position_embeddings"]:
            return f"{image}_build_network_inputs/trainable_position_encoding", "pos_embs"
        case ["positions_projection", ending]:
            return f"{image}_build_network_inputs/position_encoding_projector/linear", linear[ending]
        case ["convnet_1x1", ending]:
            return f"{image}/conv2_d", linear[ending]
        case ["convnet", "conv", "weight"]:
            return f"{image}/conv2_d_downsample/~/conv", "w"
        case ["convnet", "batchnorm", ending]:
            return f"{image}/conv2_d_downsample/~/batchnorm", {"weight": "scale", "bias": "offset"}[ending]
        case ["conv_after_patches", ending]:
            return "image_preprocessor/patches_linear", linear[ending]
        case ["padding", modality]:
            return f"multimodal_preprocessor/{modality}_padding", "pos_embs"
        case ["mask", modality]:
            return f"multimodal_preprocessor/{modality}_mask_token", "pos_embs"
    raise AssertionError(words)


def layer(module: str, words: list[str], cross: bool) -> tuple[str, str]:
    """Inside one attention layer. Haiku numbers modules of a class in the order of their making."""
    linear, norm = {"weight": "w", "bias": "b"}, {"weight": "scale", "bias": "offset"}
    ending = words[-1]
    match words[:-1]:
        case ["attention", "self", "layernorm1"]:
            return f"{module}/layer_norm", norm[ending]
        case ["attention", "self", "layernorm2"]:
            return f"{module}/layer_norm_1", norm[ending]
        case ["attention", "self", ("query" | "key" | "value") as role]:
            return f"{module}/attention/linear{ {'query': '', 'key': '_1', 'value': '_2'}[role] }", linear[ending]
        case ["attention", "output", "dense"]:
            return f"{module}/attention/linear_3", linear[ending]
        case ["layernorm"]:
            return f"{module}/layer_norm{'_2' if cross else '_1'}", norm[ending]
        case ["mlp", ("dense1" | "dense2") as dense]:
            return f"{module}/mlp/linear{'' if dense == 'dense1' else '_1'}", linear[ending]
    raise AssertionError(words)
