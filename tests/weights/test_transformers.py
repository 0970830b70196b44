"""The Perceivers of transformers, reproduced. `--golden DIR` runs the same on any folder of that form.

Our own folder holds the smaller cases; DeepMind's numbers for the same weights lie beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from anybyte.config import PerceiverConfig
from anybyte.models.inputs import frame_patches
from anybyte.models.perceiver import Perceiver
from anybyte.models.positions import fourier_features
from anybyte.weights import from_transformers
from anybyte.weights.transformers import parse_options, rename
from tests.weights.golden import OWN, folder_of, read_index

OWN_GOLDEN = OWN / "hf_perceiver"
DEEPMIND = OWN / "deepmind_perceiver" / "deepmind_outputs.safetensors"


class Case:
    """A golden case: the weights of a model of transformers, and runs of it."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry, self.name, self.folder = entry, entry["name"], folder
        self.config = entry["config"] | {"architectures": [entry["class"]]}
        self.tolerance = {key: entry["tolerance"][key] for key in ("atol", "rtol")}

    def state(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / self.entry["weights"])

    def tensors(self, run: str) -> dict[str, torch.Tensor]:
        everything = load_file(self.folder / self.entry["io"])
        return {name.removeprefix(f"{run}."): value for name, value in everything.items() if name.startswith(f"{run}.")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case and run a test; the folder is known only when the options are."""
    if "run" in metafunc.fixturenames:
        folder = folder_of(metafunc.config, OWN_GOLDEN.name)
        entries = read_index(folder)["cases"]
        cases = [Case(folder, entry) for entry in entries]
        runs = [(case, run) for case in cases for run in case.entry["runs"]]
        metafunc.parametrize(("case", "run"), runs, ids=[f"{case.name}-{run}" for case, run in runs])


def arguments(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """The inputs of a run in our form: channels last, audio without an axis for its channel."""

    def ours(name: str, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 1 and "audio" in name:
            return x[..., 0]
        return x.movedim(-3, -1) if x.dim() > 3 else x

    inputs = {name: ours(name, x) for name, x in tensors.items() if name.startswith("input.")}
    rows = {name.rpartition(".")[2]: x for name, x in inputs.items() if "subsampled" in name}
    arrays: Any = inputs.get("input.inputs")
    if arrays is None:
        arrays = {name.rpartition(".")[2]: x for name, x in inputs.items() if name.startswith("input.inputs.")}
    return {"arrays": arrays, "mask": inputs.get("input.attention_mask"), "rows": rows or None}


def answers(model: Perceiver, given: dict[str, Any]) -> dict[str, torch.Tensor]:
    out = model(**given)
    if isinstance(out, dict):
        return {f"output.logits.{name}": value for name, value in out.items()}
    return {"output.logits" if model.config.outputs else "output.last_hidden_state": out}


@torch.inference_mode()
def test_outputs_are_those_of_transformers(case: Case, run: str) -> None:
    tensors = case.tensors(run)
    out = answers(from_transformers(case.state(), case.config), arguments(tensors))
    assert {name for name in tensors if name.startswith("output.") and name != "output.loss"} == set(out)
    for name, value in out.items():
        torch.testing.assert_close(value, tensors[name], **case.tolerance)


@torch.inference_mode()
def test_activations_are_those_of_transformers(case: Case, run: str) -> None:
    tensors, model = case.tensors(run), from_transformers(case.state(), case.config)
    taps: dict[str, torch.Tensor] = {}

    def tap(layer: torch.nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        taps["inter.latents_after_cross_attention"] = out

    model.encoders[0].register_forward_hook(tap)
    given = arguments(tensors)
    encoded = model.encode(given["arrays"], given["mask"])
    taps |= {"inter.encoder_inputs": encoded.tokens, "inter.latents": encoded.latents}
    for name, value in taps.items():
        torch.testing.assert_close(value, tensors[name], **(case.tolerance | {"atol": 1e-4}))


def test_gradients_are_those_of_transformers(case: Case, run: str) -> None:
    tensors, model = case.tensors(run), from_transformers(case.state(), case.config)
    labels = tensors.get("input.labels")
    if labels is None or "output.loss" not in tensors:
        return
    logits = answers(model, arguments(tensors))["output.logits"]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
    torch.testing.assert_close(loss, tensors["output.loss"].reshape(()), **case.tolerance)
    loss.backward()
    ours = dict(model.named_parameters())
    expected = {name.removeprefix("grad."): value for name, value in tensors.items() if name.startswith("grad.")}
    assert len(expected) == case.entry["runs"][run].get("gradients", {"count": 0})["count"]
    for name, value in expected.items():
        gradient = ours[rename(name, model.config)].grad
        assert gradient is not None, name
        torch.testing.assert_close(gradient, value, **case.tolerance, msg=lambda text, name=name: f"{name}: {text}")


@torch.inference_mode()
def test_deepmind_computes_this_with_the_same_weights(case: Case, run: str) -> None:
    prefix = f"{case.name}.{run}."
    expected = {name.removeprefix(prefix): x for name, x in load_file(DEEPMIND).items() if name.startswith(prefix)}
    if not expected:
        return
    model = from_transformers(case.state(), case.config, semantics="deepmind")
    given = arguments(case.tensors(run))
    if "logits" in next(iter(expected)) and given["mask"] is not None:
        given["query_mask"] = given["mask"]
    atol = 1e-4
    for name, value in answers(model, given).items():
        if case.entry["class"].endswith("Flow"):
            atol, value = 2e-6, value / 20
        torch.testing.assert_close(value, expected[name], atol=atol, rtol=1e-4)


def test_the_rest_of_deepminds_numbers() -> None:
    golden = load_file(DEEPMIND)
    torch.testing.assert_close(frame_patches(golden["patches.input"]), golden["patches.output"], atol=0, rtol=0)
    features = fourier_features((5, 7), 4, (10, 14))
    torch.testing.assert_close(features, golden["fourier.2d_5x7_bands4_res_10x14"], atol=1e-5, rtol=0)
    gelu = torch.nn.functional.gelu(golden["gelu_tanh.input"], approximate="tanh")
    torch.testing.assert_close(gelu, golden["gelu_tanh.output"], atol=1e-6, rtol=1e-6)


@pytest.fixture
def small() -> Case:
    entries = json.loads((OWN_GOLDEN / "index.json").read_text())["cases"]
    return Case(OWN_GOLDEN, next(entry for entry in entries if entry["name"] == "sequence_classification"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("perceiver.embeddings.latents"), "lacks latents"),
        (lambda state: state.update(extra=torch.zeros(1)), "has unknown extra"),
        (
            lambda state: state.update({"perceiver.embeddings.latents": torch.zeros(3, 4)}),
            r"perceiver.embeddings.latents \(latents\) of shape \(3, 4\) instead of",
        ),
        (lambda state: state.update({"embedding_decoder.bias": torch.zeros(3)}), "has unknown embedding_decoder.bias"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(small: Case, change: Any, message: str) -> None:
    state = small.state()
    change(state)
    with pytest.raises(ValueError, match=message):
        from_transformers(state, small.config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["BertModel"]}, "architectures names BertModel"),
        ({"architectures": None}, "architectures names nothing"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
    ],
)
def test_an_unknown_configuration_is_named(small: Case, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(small.config | change)
    with pytest.raises(ValueError, match="lacks d_latents"):
        parse_options({"architectures": ["PerceiverModel"]})
    with pytest.raises(ValueError, match="semantics"):
        parse_options(small.config, "jax")  # type: ignore[arg-type]


def test_the_number_of_labels_may_be_told_by_their_names(small: Case) -> None:
    named = {key: value for key, value in small.config.items() if key != "num_labels"}
    named["id2label"] = {str(index): f"class {index}" for index in range(5)}
    assert parse_options(named) == parse_options(small.config)


def test_our_own_config_is_taken_as_it_is(small: Case) -> None:
    ours = parse_options(small.config, "deepmind")
    assert isinstance(ours, PerceiverConfig)
    assert from_transformers(small.state(), ours).config == ours
