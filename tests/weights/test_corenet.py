"""The original ByteFormer's numbers, reproduced. `--golden DIR` runs the same on any folder of that form."""

from __future__ import annotations

import io
import json
import pickle
import re
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from anybyte.batch import ByteBatch
from anybyte.cli import main
from anybyte.config import ByteFormerConfig
from anybyte.models import corenet_numerics
from anybyte.models.byteformer import ByteFormer
from anybyte.weights import from_corenet
from tests.weights.golden import OWN, folder_of, read_index

OWN_GOLDEN = OWN / "corenet_byteformer"
PREFIX = "state_dict."


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a test; the folder is known only when the options are."""
    if "case" in metafunc.fixturenames:
        folder = folder_of(metafunc.config, OWN_GOLDEN.name)
        cases = read_index(folder)["cases"]
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
        pytest.skip("the case has no logits under right masks, or shows another quirk of the original")
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
def test_the_originals_own_option_names(case: Case) -> None:
    """Flat, nested and bare option names build the same model as the flat form of the golden index."""
    config = case.config
    state, tensors = case.read()
    flat = original_options(case)
    bare = {name.rpartition(".")[2]: value for name, value in flat.items()}
    nested = {"model": {"classification": {"n_classes": config["n_classes"], "byteformer": {}}}}
    for name, value in flat.items():
        nested["model"]["classification"]["byteformer"][name.rpartition(".")[2]] = value  # type: ignore[index]
    batch = batch_of(tensors["input"])
    expected = from_corenet(state, config)(batch)
    for options in (flat, nested, bare, Namespace(**flat), SimpleNamespace(**bare)):
        torch.testing.assert_close(from_corenet(state, options)(batch), expected, atol=0, rtol=0)


def original_state(model: ByteFormer) -> dict[str, torch.Tensor]:
    """A model's tensors as the original would have stored them."""
    names = {
        r"blocks\.(\d+)\.norm1": r"transformer.\1.pre_norm_mha.0",
        r"blocks\.(\d+)\.attention\.qkv": r"transformer.\1.pre_norm_mha.1.qkv_proj",
        r"blocks\.(\d+)\.attention\.out": r"transformer.\1.pre_norm_mha.1.out_proj",
        r"blocks\.(\d+)\.norm2": r"transformer.\1.pre_norm_ffn.0",
        r"blocks\.(\d+)\.mlp\.fc1": r"transformer.\1.pre_norm_ffn.1",
        r"blocks\.(\d+)\.mlp\.fc2": r"transformer.\1.pre_norm_ffn.4",
        r"merges\.(\d+)": r"downsamplers.downsample_\1",
        r"^norm": r"post_transformer_norm",
        r"stem\.embedding": "embeddings.weight",
        r"stem\.kernel": "token_reduction_net.weight",
        r"positions\.rows": "pos_embed.pos_embed.pos_embed",
    }
    state = {}
    for name, tensor in model.state_dict().items():
        for ours, original in names.items():
            name = re.sub(ours, original, name)
        if name.endswith("reduction.weight"):
            tensor = tensor.unflatten(1, (2, -1)).transpose(1, 2).flatten(1)
        state[name] = tensor[None, None] if name.startswith("pos_embed") else tensor
    return state


@pytest.mark.parametrize(
    "options",
    [
        {"model.classification.n_classes": 7},
        {"model": {"classification": {"name": "byteformer"}}},
        {"mode": "small"},
        {"n_classes": 7, "conv_kernel_size": 8},
        Namespace(**{"model.classification.name": "byteformer", "common.seed": 0}),
        Namespace(model={"classification": Namespace(n_classes=7)}),
    ],
)
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@torch.inference_mode()
def test_a_few_options_do(options: Any, positions: Any) -> None:
    """The tensors tell the rest, the width of a head being 64 in every mode."""
    config = ByteFormerConfig(
        num_classes=7, dim=128, num_heads=2, depth=3, kernel_size=8, merge_after=(0, 2), window_shifts=(0, 64, 0),
        positions=positions, max_num_tokens=600, position_scale=1.0, numerics="corenet",
    )  # fmt: skip
    model = ByteFormer(config).eval()
    if positions == "sinusoidal":
        options = {**(vars(options) if isinstance(options, Namespace) else options), "sinusoidal_pos_emb": True}
    read = from_corenet(original_state(model), options)
    batch = ByteBatch.from_bytes([bytes(range(256)) * 5])
    torch.testing.assert_close(read(batch), model(batch), atol=0, rtol=0)
    assert read.config.num_heads == 2


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
    with pytest.raises(ValueError, match="1 where the name of an option should be"):
        from_corenet(state, {1: 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="not a list"):
        from_corenet(state, [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_classes", "ten"),
        ("conv_kernel_size", [16]),
        ("max_num_tokens", 1.5),
        ("window_sizes", "128"),
        ("window_sizes", [128, None, 128, 128]),
        ("window_shifts", [0, 64]),
        ("window_shifts", {"first": 0}),
        ("downsample", "yes"),
        ("downsample", [True]),
        ("downsample", ["True", "False", "False", "True"]),
        ("mode", 3),
        ("sinusoidal_pos_emb", "no"),
        ("embed_dim", 0),
        ("n_heads", True),
        ("n_layers", None),
        ("ffn_dim", "4x"),
        ("pos_embed", "rotary"),
        ("layer_norm_eps", "small"),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(small: Case, name: str, value: Any) -> None:
    state, _ = small.read()
    golden_only = name in ("embed_dim", "n_heads", "n_layers", "ffn_dim", "pos_embed", "layer_norm_eps")
    original_only = name in ("mode", "sinusoidal_pos_emb")
    forms = [] if original_only else [{**small.config, name: value}]
    forms += [] if golden_only else [{f"model.classification.byteformer.{name}": value}]
    for options in forms:
        with pytest.raises(ValueError, match=name):
            from_corenet(state, options)


@torch.inference_mode()
def test_one_window_size_stands_for_all_blocks(small: Case) -> None:
    state, tensors = small.read()
    logits = from_corenet(state, {**small.config, "window_sizes": small.config["window_sizes"][0]})
    close(logits(batch_of(tensors["input"])), tensors["logits"], small.entry["tolerance"])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_convert_writes_a_folder_that_answers_alike(
    small: Case, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, tensors = small.read()
    weights, config = tmp_path / f"original{suffix}", tmp_path / "config.json"
    save_file(state, weights) if suffix == ".safetensors" else torch.save(state, weights)
    config.write_text(json.dumps(small.config))
    out = tmp_path / "model"
    assert main(["convert", str(weights), str(out), "--config", str(config)]) == 0
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
    assert main(["convert", str(weights), str(tmp_path / "model"), "--config", str(config)]) == 2
    output = capsys.readouterr()
    assert "evil.pt" in output.err
    assert "must never run" not in output.out
    assert not (tmp_path / "model").exists()


def damaged(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


MORE = "holds more than tensors (a pickle that would run code); it is not loaded"


@pytest.mark.parametrize(
    ("option", "name", "data", "message"),
    [
        ("checkpoint", "a.pt", b"", "is empty"),
        ("checkpoint", "a.safetensors", b"", "is empty"),
        ("checkpoint", "a.safetensors", b"no header", "is not a readable safetensors file"),
        ("checkpoint", "a.pt", b"plain text", "is not a checkpoint, or a damaged one"),
        ("checkpoint", "a.pt", damaged({"a": torch.zeros(9)})[:-200], "is not a checkpoint, or a damaged one"),
        ("checkpoint", "a.pt", damaged({1: torch.zeros(1)}), "holds tensors under something else than names"),
        ("checkpoint", "a.pt", damaged([torch.zeros(1)]), "does not hold a dictionary of tensors"),
        ("checkpoint", "a.pt", damaged({"a": Payload()}), MORE),
        ("checkpoint", "a.pt", damaged({"a": torch.zeros(1), "b": Path("x")}), MORE),
        *(("checkpoint", "a.pkl", pickle.dumps(Payload(), protocol), MORE) for protocol in range(6)),
        ("config", "a.json", b"", "is empty"),
        ("config", "a.yaml", b"n_classes: \xff\xfe", "is not text in UTF-8"),
        ("config", "a.yaml", b"1: 2\n3: 4\n", "has 1 where the name of an option should be"),
        ("config", "a.yaml", b"model:\n  1: 2\n", "model has 1 where the name of an option should be"),
        ("config", "a.yaml", b"a: [1\nb: 2", "is not valid JSON or YAML"),
        ("config", "a.yaml", b"day: 2001-99-99", "is not valid JSON or YAML"),
        ("config", "a.json", b"{", "is not valid JSON or YAML"),
        ("config", "a.json", b"[" * 100_000, "is not valid JSON or YAML"),
        ("labels", "a.txt", b"caf\xe9\n", "is not text in UTF-8"),
        ("labels", "a.txt", b"\n", "is empty"),
        ("labels", "a.txt", b"one\ntwo\n", "2 labels for a model with num_classes=10"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_convert_answers_a_bad_file_in_one_line(
    small: Case, option: str, name: str, data: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"checkpoint": tmp_path / "good.safetensors", "config": tmp_path / "good.json"}
    save_file(small.read()[0], paths["checkpoint"])
    paths["config"].write_text(json.dumps(small.config))
    paths[option] = tmp_path / name
    paths[option].write_bytes(data)
    given = [f"--{key}={path}" for key, path in paths.items() if key != "checkpoint"]
    assert main(["convert", str(paths["checkpoint"]), str(tmp_path / "model"), *given]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert len(output.err.splitlines()) == 1
    assert "\x1b" not in output.err
    assert not output.out
    assert not (tmp_path / "model").exists()
