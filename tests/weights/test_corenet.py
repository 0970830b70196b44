"""The original ByteFormer's numbers, reproduced. `--golden DIR` runs the same on any folder of that form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from anybyte.batch import ByteBatch
from anybyte.cli import main
from anybyte.models import corenet_numerics
from anybyte.models.byteformer import ByteFormer
from anybyte.weights import from_corenet

OWN_GOLDEN = Path(__file__).parents[1] / "golden" / "corenet_byteformer"
PREFIX = "state_dict."


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a test; the folder is known only when the options are."""
    if "case" in metafunc.fixturenames:
        folder = Path(metafunc.config.getoption("--golden") or OWN_GOLDEN)
        cases = json.loads((folder / "index.json").read_text())["cases"]
        metafunc.parametrize("case", [Case(folder, case) for case in cases], ids=[case["name"] for case in cases])


class Case:
    """A golden case: the original's weights, an input, and what came out."""

    def __init__(self, folder: Path, entry: dict[str, Any]) -> None:
        self.entry = entry
        self.config = entry["config"]
        self.path = folder / entry["file"]

    def read(self) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The original's state_dict, and the other tensors."""
        tensors = load_file(self.path)
        state = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
        return state, {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}


def batch_of(rows: torch.Tensor) -> ByteBatch:
    """The original's padded int32 rows (-1 = padding) as a batch."""
    return ByteBatch.from_bytes([bytes(row[row >= 0].tolist()) for row in rows])


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: dict[str, float]) -> None:
    torch.testing.assert_close(actual, expected, atol=tolerance["atol"], rtol=tolerance["rtol"])


@torch.inference_mode()
def test_logits_are_the_originals(case: Case) -> None:
    state, tensors = case.read()
    logits = from_corenet(state, case.config)(batch_of(tensors["input"]))
    close(logits, tensors["logits"], case.entry["tolerance"])


@torch.inference_mode()
def test_activations_are_the_originals(case: Case) -> None:
    state, tensors = case.read()
    expected = {name.removeprefix("activation."): value for name, value in tensors.items() if "activation." in name}
    taps: dict[str, torch.Tensor] = {}
    corenet_numerics.features(from_corenet(state, case.config), batch_of(tensors["input"]), tap=taps.__setitem__)
    assert set(expected) <= set(taps)
    for name, value in expected.items():
        close(taps[name], value, case.entry["activation_tolerance"])


@torch.inference_mode()
def test_right_masks_are_the_originals_intention(case: Case) -> None:
    """Under our numerics the same weights give what the original gives with its two masks mended.

    The original drops trailing bytes and counts the tokens of padding; files that fill their last kernel have neither.
    """
    state, tensors = case.read()
    if "logits_intended_masks" not in tensors or case.entry["flags"]:
        return
    kernel = case.config["conv_kernel_size"]
    rows = tensors["input"]
    filled = (rows.shape[1] - kernel) // (kernel // 2) * (kernel // 2) + kernel
    logits = from_corenet(state, case.config, numerics="anybyte")(batch_of(rows[:, :filled]))
    close(logits, tensors["logits_intended_masks"], case.entry["tolerance"])


def original_options(case: Case) -> dict[str, Any]:
    config = case.config
    own = {
        "mode": "tiny",
        "conv_kernel_size": config["conv_kernel_size"],
        "max_num_tokens": config["max_num_tokens"],
        "window_sizes": config["window_sizes"],
        "window_shifts": config["window_shifts"],
        "downsample": config["downsample"],
        "sinusoidal_pos_emb": config["pos_embed"] == "sinusoidal",
    }
    return {f"model.classification.byteformer.{name}": value for name, value in own.items()}


@torch.inference_mode()
def test_the_originals_own_option_names(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat and nested option names build the same model as the flat form of the golden index."""
    config = case.config
    sizes = (config["embed_dim"], config["n_heads"], config["n_layers"])
    monkeypatch.setitem(__import__("anybyte.weights.corenet", fromlist=["_SIZES"])._SIZES, "tiny", sizes)
    state, tensors = case.read()
    flat = original_options(case)
    nested = {"model": {"classification": {"n_classes": config["n_classes"], "byteformer": {}}}}
    for name, value in flat.items():
        nested["model"]["classification"]["byteformer"][name.rpartition(".")[2]] = value  # type: ignore[index]
    batch = batch_of(tensors["input"])
    expected = from_corenet(state, config)(batch)
    for options in (flat, nested):
        torch.testing.assert_close(from_corenet(state, options)(batch), expected, atol=0, rtol=0)


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Case:
    entry = next(case for case in json.loads((OWN_GOLDEN / "index.json").read_text())["cases"])
    return Case(OWN_GOLDEN, entry)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("classifier.bias"), "lacks classifier.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra, which is not a tensor of the original"),
        (lambda state: state.update({"classifier.bias": torch.zeros(3)}), r"shape \(3,\) instead of \(10,\)"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(small: Case, change: Any, message: str) -> None:
    state, _ = small.read()
    change(state)
    with pytest.raises(ValueError, match=message):
        from_corenet(state, small.config)


def test_an_unknown_configuration_is_named(small: Case) -> None:
    state, _ = small.read()
    with pytest.raises(ValueError, match="conv_kernel_size"):
        from_corenet(state, {name: value for name, value in small.config.items() if name != "conv_kernel_size"})
    with pytest.raises(ValueError, match="got depth"):
        from_corenet(state, {"depth": 3})


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_convert_writes_a_folder_that_answers_alike(
    small: Case, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, tensors = small.read()
    weights, config = tmp_path / f"original{suffix}", tmp_path / "config.json"
    save_file(state, weights) if suffix == ".safetensors" else torch.save(state, weights)
    config.write_text(json.dumps(small.config))
    out = tmp_path / "model"
    assert main(["convert", str(weights), "--config", str(config), "--out", str(out)]) == 0
    assert "ByteFormer" in capsys.readouterr().out
    with torch.inference_mode():
        logits = ByteFormer.from_pretrained(out)(batch_of(tensors["input"]))
    close(logits, tensors["logits"], small.entry["tolerance"])


class Payload:
    """What a malicious pickle would be."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this must never run",))


def test_convert_runs_nothing_from_a_pickle(small: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, config = tmp_path / "evil.pt", tmp_path / "config.json"
    torch.save({"classifier.bias": Payload()}, weights)
    config.write_text(json.dumps(small.config))
    assert main(["convert", str(weights), "--config", str(config), "--out", str(tmp_path / "model")]) == 2
    output = capsys.readouterr()
    assert "evil.pt" in output.err
    assert "must never run" not in output.out
    assert not (tmp_path / "model").exists()
