"""Parameters under the names of DeepMind's release give the numbers of DeepMind's code.

`--golden DIR` takes a folder that holds `hf_perceiver` (weights and inputs) and `deepmind_perceiver` (outputs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from anybyte.config import (
    AttentionConfig,
    ClassOutputConfig,
    ConvStemConfig,
    FourierPositionsConfig,
    ImageInputConfig,
    PerceiverConfig,
)
from anybyte.models.perceiver import Perceiver
from anybyte.models.zoo import list_models, model_config
from anybyte.weights import from_deepmind, from_transformers
from anybyte.weights.deepmind import rename
from anybyte.weights.transformers import parse_options
from tests.weights.golden import OWN, folder_of, read_index
from tests.weights.haiku import Tree, tree_of
from tests.weights.test_transformers import Case, answers, arguments


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of the original a test; the folders are known only when the options are."""
    if "expected" in metafunc.fixturenames:
        deepmind = load_file(folder_of(metafunc.config, "deepmind_perceiver") / "deepmind_outputs.safetensors")
        folder = folder_of(metafunc.config, "hf_perceiver")
        runs = []
        for case in (Case(folder, entry) for entry in read_index(folder)["cases"]):
            for run in case.entry["runs"]:
                prefix = f"{case.name}.{run}."
                values = {name.removeprefix(prefix): x for name, x in deepmind.items() if name.startswith(prefix)}
                runs += [pytest.param(case, run, values, id=f"{case.name}-{run}")] if values else []
        metafunc.parametrize(("case", "run", "expected"), runs)


def small(architecture: str) -> Case:
    folder = OWN / "hf_perceiver"
    return Case(folder, next(case for case in read_index(folder)["cases"] if case["class"].endswith(architecture)))


def converted(case: Case, **changes: Any) -> Perceiver:
    params, state = tree_of(case.state(), case.entry["class"])
    return from_deepmind(params, state, model=parse_options(case.config, "deepmind"), **changes)


@torch.inference_mode()
def test_outputs_are_those_of_deepmind(case: Case, run: str, expected: dict[str, torch.Tensor]) -> None:
    model, given = converted(case), arguments(case.tensors(run))
    if case.entry["class"] == "PerceiverForMaskedLM" and given["mask"] is not None:
        given["query_mask"] = given["mask"]
    atol = 1e-4
    for name, value in answers(model, given).items():
        if case.entry["class"].endswith("Flow"):
            atol, value = 2e-6, value / 20  # the golden numbers are not yet in pixels
        torch.testing.assert_close(value, expected[name], atol=atol, rtol=1e-4)


def test_every_array_has_its_place(case: Case, run: str, expected: dict[str, torch.Tensor]) -> None:
    """The same tensors as through the names of transformers, whatever they compute."""
    ours = converted(case).state_dict()
    theirs = from_transformers(case.state(), case.config, semantics="deepmind").state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, theirs[name], atol=0, rtol=0, msg=name)


SEQUENCE, ENCODER = "SequenceClassification", "perceiver_encoder/"


def trees() -> tuple[Case, Tree]:
    case = small(SEQUENCE)
    return case, tree_of(case.state(), case.entry["class"])[0]


@pytest.mark.parametrize(
    "form",
    [
        lambda tree: tree,
        lambda tree: {f"{module}/{name}": array for module, arrays in tree.items() for name, array in arrays.items()},
        lambda tree: (
            {"perceiver_encoder": {k.removeprefix(ENCODER): v for k, v in tree.items() if ENCODER in k}}
            | {k: v for k, v in tree.items() if ENCODER not in k}
        ),
    ],
    ids=["nested", "flat", "deeply nested"],
)
def test_trees_may_be_nested_or_flat(form: Any) -> None:
    case, tree = trees()
    config = parse_options(case.config, "deepmind")
    model = from_deepmind(form(tree), model=config)
    assert not model.training
    assert model.config == config
    torch.testing.assert_close(model.state_dict(), converted(case).state_dict(), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("embed"), r"lacks inputs\.parts\.tokens\.embedding\.weight"),
        (lambda tree: tree.update(stray={"w": np.zeros(1)}), "has unknown stray/w"),
        (lambda tree: tree["embed"].update(bias=np.zeros(1)), "has unknown embed/bias"),
        (lambda tree: tree["embed"].update(embeddings=np.zeros((3, 4))), r"has embed/embeddings .* of shape \(3, 4\)"),
        (lambda tree: tree["embed"].update(embeddings=np.array(["a"])), "embed/embeddings is not an array of numbers"),
        (lambda tree: tree.update({1: {}}), "the tree has 1 where the name of a module should be"),
        (lambda tree: tree.clear(), r"lacks latents; .* \(and \d+ more\)"),
    ],
)
def test_a_tree_that_does_not_fit_is_named(change: Any, message: str) -> None:
    case, tree = trees()
    change(tree)
    with pytest.raises(ValueError, match=message):
        from_deepmind(tree, model=parse_options(case.config, "deepmind"))


def test_the_model_is_one_of_the_zoo() -> None:
    with pytest.raises(ValueError, match="did you mean perceiver_io_flow"):
        from_deepmind({}, model="perceiver_io_fow")
    with pytest.raises(ValueError, match="byteformer_tiny is no Perceiver"):
        from_deepmind({}, model="byteformer_tiny")
    with pytest.raises(ValueError, match="lacks latents"):
        from_deepmind({}, model="perceiver_io_conv")


CONV = PerceiverConfig(
    inputs=(
        ImageInputConfig(
            shape=(16, 16),
            stem=ConvStemConfig(num_channels=6),
            positions=FourierPositionsConfig(num_bands=1, max_resolution=(4, 4)),
        ),
    ),
    outputs=(ClassOutputConfig(num_classes=3, query_channels=8),),
    num_latents=2,
    latent_dim=8,
    num_blocks=1,
    num_layers=1,
    process=AttentionConfig(num_heads=1),
)
"""6 features and 2 * (2 + 1) positions: tokens of 12 channels."""


def conv_tree() -> tuple[Tree, Tree]:
    """The release's parameters and state for `CONV`, all zeros, module by module."""

    def linear(rows: int, columns: int) -> dict[str, np.ndarray[Any, Any]]:
        return {"w": np.zeros((rows, columns)), "b": np.zeros(columns)}

    def norm(width: int) -> dict[str, np.ndarray[Any, Any]]:
        return {"scale": np.ones(width), "offset": np.zeros(width)}

    def block(dim: int, source: int, width: int, cross: bool) -> Tree:
        norms = [norm(dim), norm(source), norm(dim)] if cross else [norm(dim), norm(dim)]
        linears = [linear(dim, width), linear(source, width), linear(source, width), linear(width, dim)]
        return (
            {f"layer_norm{f'_{i}' if i else ''}": arrays for i, arrays in enumerate(norms)}
            | {f"attention/linear{f'_{i}' if i else ''}": arrays for i, arrays in enumerate(linears)}
            | {"mlp/linear": linear(dim, dim), "mlp/linear_1": linear(dim, dim)}
        )

    encoder, decoder = "perceiver_encoder/~", "classification_decoder/~/basic_decoder"
    stem = "image_preprocessor/~/conv2_d_downsample/~"
    tree: Tree = {f"{encoder}/cross_attention/{name}": arrays for name, arrays in block(8, 12, 12, True).items()}
    tree |= {f"{encoder}/self_attention/{name}": arrays for name, arrays in block(8, 8, 8, False).items()}
    tree |= {f"{decoder}/cross_attention/{name}": arrays for name, arrays in block(8, 8, 8, True).items()}
    tree |= {
        f"{encoder}/trainable_position_encoding": {"pos_embs": np.zeros((2, 8))},
        f"{decoder}/~/trainable_position_encoding": {"pos_embs": np.zeros((1, 8))},
        f"{decoder}/output": linear(8, 3),
        f"{stem}/conv": {"w": np.zeros((7, 7, 3, 6))},
        f"{stem}/batchnorm": {name: array.reshape(1, 1, 1, 6) for name, array in norm(6).items()},
    }
    ema = {"average": np.ones((1, 1, 1, 6)), "hidden": np.ones((1, 1, 1, 6)), "counter": np.array(7)}
    return tree, {f"{stem}/batchnorm/~/mean_ema": ema, f"{stem}/batchnorm/~/var_ema": ema}


@torch.inference_mode()
def test_kernels_are_upright() -> None:
    """Height before width: a kernel that looks up in Haiku looks up in ours."""
    params, state = conv_tree()
    # Height 0, width 3, the second colour, the sixth channel: what stands 2 rows above, with 2 rows of padding before.
    params["image_preprocessor/~/conv2_d_downsample/~/conv"]["w"][0, 3, 1, 5] = 1
    stem = from_deepmind(params, state, model=CONV).inputs.parts["image"].stem
    assert isinstance(stem, torch.nn.Module)
    image = torch.zeros(1, 16, 16, 3)
    image[0, 6, 7, 1] = 2.0
    lit = stem(image)[0, :, :, 5].nonzero()
    # Kernel i covers rows 2 i - 2 to 2 i + 4: its first row is 6 at i = 4, its fourth column is 7 at i = 3; pooling
    # over 3 of stride 2, with padding behind, sees row 4 at 1 and 2, column 3 at 1.
    assert lit.tolist() == [[1, 1], [2, 1]]


def test_without_its_state_the_averages_are_missed() -> None:
    params, _ = conv_tree()
    with pytest.raises(ValueError, match=r"lacks inputs\.parts\.image\.stem\.norm\.running_mean"):
        from_deepmind(params, model=CONV)


def test_the_release_is_the_default_of_every_field() -> None:
    """What transformers computes otherwise: the GELU, masked rows, 56 tokens a side, the residual, the unit of flow."""
    for name in list_models("perceiver_io_*"):
        config = model_config(name)
        assert (config.gelu, config.masked_rows) == ("tanh", "zero"), name
        for part in config.inputs:
            if isinstance(part, ImageInputConfig) and isinstance(part.stem, ConvStemConfig):
                assert part.stem.padding == "same"
    assert not model_config("perceiver_io_learned").decode.query_residual
    assert model_config("perceiver_io_flow").outputs[0].scale == 20


def test_names_of_other_networks_are_refused() -> None:
    config = model_config("perceiver_io_flow")
    for name in ("resnet/conv/w", "perceiver_encoder/~/cross_attention/attention/linear_9/w", "mlp/linear/w"):
        assert rename(name, config) is None
