"""Measure a model of optical flow beside zero flow and OpenCV's methods, and write the page of results.

    python scripts/results_flow.py validate --run runs/flow_small --pictures pictures.zip
    python scripts/results_flow.py test --run runs/flow_small --sets sintel_pairs.zip chairs.zip kitti.zip
    python scripts/results_flow.py page

`validate` compares the sizes of the passes on large pairs that are made of pictures, for a choice that no test pair has
a part in. `test` measures the pairs of sets with known flow: the model as its folder says, the same model before
training, zero flow, and OpenCV's Farnebäck and DIS (`pip install opencv-python-headless`). Both add to
docs/results/flow.json; `page` writes docs/results/flow.md from that file alone. No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anybyte.config import FlowConfig, FramesConfig, MadeFlowConfig, PerceiverConfig, Recipe
from anybyte.evaluate.flow import Estimate, PairResult, by_group, mean_metrics, pair_metrics
from anybyte.files.flow import Flow, colour_flow
from anybyte.files.flow_made import make_pair
from anybyte.files.flow_sets import Pair, open_flow_pairs
from anybyte.files.images import encode_image
from anybyte.files.textures import open_textures
from anybyte.models.perceiver import Perceiver
from anybyte.predictor import FlowPredictor, load_as
from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log
from anybyte.train.settings import read_recipe

DATA = Path("docs/results/flow.json")
PAGE = Path("docs/results/flow.md")
PICTURE = Path("docs/results/flow_sintel.png")
SHOWN = "clean/cave_2/frame_0002"
"""The pair of the picture. MPI Sintel's film is CC BY 3.0, Blender Foundation."""

CANDIDATES = {
    "32, 16, 8, 4": (1 / 32, 1 / 16, 1 / 8, 1 / 4),
    "16, 8, 4": (1 / 16, 1 / 8, 1 / 4),
    "64, 32, 16, 8, 4": (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4),
    "32, 32, 16, 16, 8, 8, 4, 4": (1 / 32, 1 / 32, 1 / 16, 1 / 16, 1 / 8, 1 / 8, 1 / 4, 1 / 4),
    "32, 16, 8, 4, 2": (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2),
    "32, 32, 16, 16, 8, 8, 4, 2": (1 / 32, 1 / 32, 1 / 16, 1 / 16, 1 / 8, 1 / 8, 1 / 4, 1 / 2),
}
"""Sizes of the passes, as what the sides of the frames are divided by."""
LARGE = MadeFlowConfig(
    size=(384, 768),
    layers=(1, 6),
    texture_side=1000,
    texture_zoom=(0.4, 1.0),
    shift=(1.0, 60.0),
    brightness=0.1,
    noise=0.02,
)
"""Pairs to choose by: as large as a film's frames, with motion of up to 60 pixels."""
_VALIDATION = 0xF10E
METHODS = ("zero", "farneback", "dis", "untrained", "model")
NAMES = {
    "zero": "zero flow",
    "farneback": "Farnebäck",
    "dis": "DIS",
    "untrained": "ours, before training",
    "model": "ours",
}
_MILLION = 1e6


def main(args: list[str] | None = None) -> int:
    """Chooses, measures, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    validate = verbs.add_parser("validate", help="compare sizes of the passes on made pairs")
    validate.add_argument("--pictures", required=True, metavar="PATH", help="folder or zip of pictures")
    validate.add_argument("--pairs", type=int, default=12, metavar="N", help="how many pairs (12)")
    test = verbs.add_parser("test", help="measure pairs with known flow")
    test.add_argument("--sets", nargs="+", required=True, metavar="PATH", help="folders or zips of pairs with flow")
    for verb in (validate, test):
        verb.add_argument("--run", type=Path, required=True, metavar="DIR", help="folder of the training run")
        verb.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page = verbs.add_parser("page", help="write the page")
    page.add_argument("--json", type=Path, default=DATA, help=f"the numbers ({DATA})")
    page.add_argument("--page", type=Path, default=PAGE, help=f"where to ({PAGE})")
    options = parser.parse_args(args)
    if options.verb == "page":
        numbers = json.loads(options.json.read_text(encoding="utf-8"))
        write_atomically(options.page, write_page(numbers).encode())
        return 0
    known = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    if options.verb == "validate":
        known["validation"] = compare_scales(options.run, options.pictures, options.pairs)
    else:
        for found in measure(options.run, options.sets, options.json.parent / PICTURE.name):
            _write(options.json, known | found)
        return 0
    _write(options.json, known)
    return 0


def _write(path: Path, numbers: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(numbers, indent=1) + "\n").encode())


def compare_scales(run: Path, pictures: str, count: int) -> list[dict[str, Any]]:
    """The end-point error of each candidate on the same made pairs, before and after training."""
    textures = open_textures(pictures, LARGE.texture_side)
    pairs = [_as_pair(LARGE, textures, index) for index in range(count)]
    rows = []
    for name, method in [("zero", zero), *opencv_methods()]:
        rows.append({"method": name, "passes": "", "epe": _mean_error(method, pairs), "pairs": count})
        print(rows[-1], flush=True)
    for stage, model in (("model", load_as(FlowPredictor, run, "cpu").model), ("untrained", untrained(run))):
        for name, scales in CANDIDATES.items():
            predictor = FlowPredictor(model, precision="bf16", reading=FramesConfig(scales=scales, tiles=False))
            epe = _mean_error(estimate_of(predictor), pairs)
            rows.append({"method": stage, "passes": name, "epe": epe, "pairs": count})
            print(rows[-1], flush=True)
    return rows


def _as_pair(config: MadeFlowConfig, textures: Any, index: int) -> Pair:
    made = make_pair(config, textures, np.random.default_rng([_VALIDATION, index]))
    first, second = np.rint(made.frames * 255).astype(np.uint8)
    return Pair(f"made {index}", "made", first, second, Flow(made.forward), made.hidden)


def _mean_error(method: Estimate, pairs: Sequence[Pair]) -> float:
    return float(np.mean([pair_metrics(method(pair.first, pair.second), pair)["epe"] for pair in pairs]))


def measure(run: Path, sets: Sequence[str], picture: Path) -> Iterator[dict[str, Any]]:
    """All methods on all pairs, and what is to be said of the model; once after each pair, with those so far."""
    predictor = load_as(FlowPredictor, run, "cpu")
    before = FlowPredictor(untrained(run), reading=predictor.reading)
    methods: dict[str, Estimate] = {"zero": zero, **dict(opencv_methods())}
    methods |= {"untrained": estimate_of(before), "model": estimate_of(predictor)}
    results: list[dict[str, Any]] = []
    for path in sets:
        pairs = open_flow_pairs(path)
        for index in range(len(pairs)):
            pair = pairs.read(index)
            metrics = {name: _timed(method, pair) for name, method in methods.items()}
            results.append({"name": pair.name, "set": pair.group, "metrics": metrics})
            print(pair.name, {name: round(each["epe"], 2) for name, each in metrics.items()}, flush=True)
            if pair.name == SHOWN:
                picture.write_bytes(encode_image(draw(pair, methods), "png"))
            yield {"pairs": results, "training": describe_run(run, predictor)}


def _timed(method: Estimate, pair: Pair) -> dict[str, float]:
    """The numbers of one pair, and the processor's seconds that it took: other work on the machine does not count."""
    started = time.process_time()
    flow = method(pair.first, pair.second)
    return pair_metrics(flow, pair) | {"seconds": time.process_time() - started}


def untrained(run: Path) -> Perceiver:
    """The model that a run began with."""
    recipe = read_recipe(run / "recipe.json")
    assert isinstance(recipe.model, PerceiverConfig)
    torch.manual_seed(recipe.run.seed)
    return Perceiver(recipe.model)


def estimate_of(predictor: FlowPredictor) -> Estimate:
    """A predictor as a function of two frames."""
    return lambda first, second: predictor.estimate(first, second).vectors


def zero(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The answer that nothing moves."""
    return np.zeros((*first.shape[:2], 2), np.float32)


def opencv_methods() -> list[tuple[str, Estimate]]:
    """Farnebäck with the settings of OpenCV's manual (5 levels), and DIS with its preset `medium`."""
    import cv2

    cv2.setNumThreads(1)

    def grey(picture: NDArray[np.uint8]) -> Any:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)

    def farneback(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = cv2.calcOpticalFlowFarneback(grey(first), grey(second), None, 0.5, 5, 15, 3, 5, 1.2, 0)
        return np.asarray(found, dtype=np.float32)

    def dis(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
        method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return np.asarray(method.calc(grey(first), grey(second), None), dtype=np.float32)

    return [("farneback", farneback), ("dis", dis)]


def draw(pair: Pair, methods: Mapping[str, Estimate], width: int = 320) -> NDArray[np.uint8]:
    """A frame, the true flow, Farnebäck's and ours, two by two; one colour means one vector in all."""
    largest = float(np.quantile(np.linalg.norm(pair.flow.vectors, axis=-1)[pair.flow.known], 0.99))
    flows = [pair.flow, *(Flow(methods[name](pair.first, pair.second)) for name in ("farneback", "model"))]
    tiles = [pair.first, *(colour_flow(flow, largest) for flow in flows)]
    step = max(1, pair.first.shape[1] // width)
    small = [tile[: tile.shape[0] // step * step, : tile.shape[1] // step * step] for tile in tiles]
    small = [_shrink(tile, step) for tile in small]
    return np.concatenate([np.concatenate(small[:2], axis=1), np.concatenate(small[2:], axis=1)])


def _shrink(picture: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    height, width = picture.shape[0] // step, picture.shape[1] // step
    means = picture.reshape(height, step, width, step, 3).mean((1, 3))
    return np.rint(means).astype(np.uint8)


def describe_run(run: Path, predictor: FlowPredictor) -> dict[str, Any]:
    """What the page says of the training."""
    recipe: Recipe = read_recipe(run / "recipe.json")
    assert isinstance(recipe.task, FlowConfig)
    log = read_log(run / "log.jsonl")
    checks = [row for row in log if row["event"] == "validation"]
    best = max((row for row in checks if row["best"]), key=lambda row: row["step"])
    optim = recipe.optim
    return {
        "recipe": recipe.name,
        "seed": recipe.run.seed,
        "steps": int(checks[-1]["step"]),
        "examples": int(checks[-1]["step"]) * recipe.run.batch_files * (2 if recipe.task.made.reverse else 1),
        "minutes": float(checks[-1]["minutes"]),
        "size": list(recipe.task.made.size),
        "optimizer": f"{optim.optimizer.upper()} at {optim.learning_rate:g}, {optim.schedule}",
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "scales": [round(1 / scale) for scale in predictor.reading.scales],
        "validation": {"step": int(best["step"]), "epe": best["epe"], "zero_epe": best["zero_epe"]},
    }


def write_page(numbers: Mapping[str, Any]) -> str:
    """The page, from the numbers."""
    sections = [_head(numbers["training"]), _by_set(numbers["pairs"]), _by_pair(numbers["pairs"])]
    sections += [_rates(numbers["pairs"]), _choice(numbers.get("validation", [])), _commands(numbers["training"])]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(training: Mapping[str, Any]) -> str:
    passes = ", ".join(f"1/{scale}" for scale in training["scales"])
    check = training["validation"]
    return f"""# Optical flow, small

Written by `scripts/results_flow.py` from [flow.json](flow.json).

A Perceiver IO of {training["parameters"] / _MILLION:.2f} million parameters (`{training["recipe"]}`), trained on pairs
of {training["size"][0]} x {training["size"][1]} pixels that are made of 200 photographs (one of each fifth class of
ImageNet): textured layers under affine and smooth motion, with exact flow. It has seen no frame of the sets below, nor
any real flow: {training["examples"]:,} examples in {training["steps"]:,} steps, {training["minutes"]:.0f} minutes,
seed {training["seed"]}, {training["optimizer"]}. Hardware: 2 cores of an AMD EPYC (Zen 4), shared with other work; one
thread; torch 2.13 CPU. The weights are those of step {check["step"]:,}, where the error on made pairs was
{check["epe"]:.2f} pixels (zero flow: {check["zero_epe"]:.2f}).

In use it takes passes over frames at {passes} of their size; each one warps the second frame by the flow so far and
adds what is left. The model does not begin with random weights: it compares pixels of both frames from the start
(`initialisation="matching"`, `models/starts/matching.py`). How much that is worth, and how much is learnt, is told
apart below: "ours, before training" is the same model, with the same passes, after no step. The model met the pairs
below once, after everything was chosen on made pairs; what zero flow and OpenCV's methods make of them was known
before."""


def _methods(pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in METHODS if all(name in pair["metrics"] for pair in pairs)]


def _groups(pairs: Sequence[Mapping[str, Any]], method: str) -> dict[str, dict[str, float]]:
    results = [PairResult(pair["name"], pair["set"], pair["metrics"][method]) for pair in pairs]
    return {group: mean_metrics(of) for group, of in by_group(results).items()}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _by_set(pairs: Sequence[Mapping[str, Any]]) -> str:
    methods = _methods(pairs)
    means = {method: _groups(pairs, method) for method in methods}
    rows = [
        [group, str(sum(pair["set"] == group for pair in pairs)), *(f"{means[m][group]['epe']:.2f}" for m in methods)]
        for group in means[methods[0]]
    ]
    every = [[pair["metrics"][method]["epe"] for pair in pairs] for method in methods]
    rows.append(["**all pairs**", str(len(pairs)), *(f"**{np.mean(each):.2f}**" for each in every)])
    seconds = [np.median([pair["metrics"][method]["seconds"] for pair in pairs]) for method in methods]
    rows.append(["processor seconds a pair (median)", "", *(f"{each:.2f}" for each in seconds)])
    text = "End-point error in pixels, the mean over the pairs of each set; less is better."
    return f"## By set\n\n{text}\n\n{_table(['set', 'pairs', *(NAMES[m] for m in methods)], rows)}\n\n{_verdict(pairs)}"


def _verdict(pairs: Sequence[Mapping[str, Any]]) -> str:
    """What the numbers say, in a sentence each."""

    def better(than: str, among: Callable[[str], bool] = lambda group: True) -> str:
        chosen = [pair["metrics"] for pair in pairs if among(pair["set"])]
        return f"{sum(each['model']['epe'] < each[than]['epe'] for each in chosen)} of {len(chosen)}"

    mean = {name: np.mean([pair["metrics"][name]["epe"] for pair in pairs]) for name in _methods(pairs)}
    lines = [
        f"- Better than zero flow on {better('zero', lambda group: group.startswith('sintel'))} pairs of Sintel, "
        f"{better('zero', lambda group: group == 'chairs')} of FlyingChairs and "
        f"{better('zero', lambda group: group == 'kitti')} of KITTI."
    ]
    for name in ("farneback", "dis", "untrained"):
        if name in mean:
            less = mean["model"] < mean[name]
            lines.append(
                f"- {'Better' if less else 'Worse'} than {NAMES[name].removeprefix('ours, ')} on average over all "
                f"pairs ({mean['model']:.2f} and {mean[name]:.2f} pixels), and better on {better(name)} pairs."
            )
    return "\n".join(lines).replace("than before training", "than the same model before training")


def _by_pair(pairs: Sequence[Mapping[str, Any]]) -> str:
    methods = _methods(pairs)
    rows = [[pair["name"], *(f"{pair['metrics'][m]['epe']:.2f}" for m in methods)] for pair in pairs]
    picture = (
        f"![A frame, the true flow, Farnebäck's and ours]({PICTURE.name})\n\n"
        f"`{SHOWN}`: the first frame and the true flow; below, Farnebäck's flow and ours. The hue says where to, the "
        "saturation how far. Frame: Sintel, © Blender Foundation, durian.blender.org, "
        "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/); made smaller here."
    )
    table = _table(["pair", *(NAMES[m] for m in methods)], rows)
    picture += (
        " Our flow has stripes along both axes. Their cause was not looked for; the Fourier positions are the suspect, "
        "since frames are read whole here and are larger than those of training."
    )
    return f"## By pair\n\nEnd-point error in pixels.\n\n{table}\n\n{picture}"


def _rates(pairs: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for method in _methods(pairs):
        for group, means in _groups(pairs, method).items():
            if method in ("farneback", "dis", "model"):
                shares = (f"{100 * means[key]:.1f}%" for key in ("over_1", "over_3", "over_5", "fl"))
                seen = f"{means['epe_seen']:.2f}" if "epe_seen" in means else ""
                hidden = f"{means['epe_hidden']:.2f}" if "epe_hidden" in means else ""
                rows.append([group, NAMES[method], *shares, seen, hidden])
    rows.sort(key=lambda row: row[0])
    head = ["set", "method", "> 1 px", "> 3 px", "> 5 px", "Fl", "error where seen", "where hidden"]
    text = (
        "Shares of the pixels that are off by more than so much; Fl: by more than 3 pixels and 5% of the true length. "
        "The error is split where a set says, for all of its pairs, which pixels the second frame shows."
    )
    return f"## Outliers\n\n{text}\n\n{_table(head, rows)}"


def _choice(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    passes = list(dict.fromkeys(row["passes"] for row in rows if row["passes"]))
    error = {(row["method"], row["passes"]): f"{row['epe']:.2f}" for row in rows}
    lines = [
        [f"ours, 1/({each})", *(error.get((stage, each), "") for stage in ("untrained", "model"))] for each in passes
    ]
    lines += [[NAMES[row["method"]], "", f"{row['epe']:.2f}"] for row in rows if not row["passes"]]
    text = (
        f"The sizes of the passes were chosen on {rows[0]['pairs']} pairs of {LARGE.size[0]} x {LARGE.size[1]} pixels "
        "that are made of the same photographs, "
        f"with layers that move by up to {LARGE.shift[1]:g} pixels. End-point error:"
    )
    missing = len(CANDIDATES) - len(passes)
    if missing:
        text += (
            f" {missing} of the {len(CANDIDATES)} lists of sizes were not measured; nor were tiles instead of whole "
        )
        text += "frames."
    return f"## How the passes were chosen\n\n{text}\n\n{_table(['sizes', 'before training', 'after'], lines)}"


def _commands(training: Mapping[str, Any]) -> str:
    scales = ",".join(f"{1 / scale:g}" for scale in training["scales"])
    return f"""## Again

    anybyte train {training["recipe"]} --data pictures.zip --out runs/flow_small --run.threads 1
    python scripts/results_flow.py validate --run runs/flow_small --pictures pictures.zip
    python scripts/results_flow.py test --run runs/flow_small --sets sintel_pairs.zip flying_chairs.zip kitti_pair.zip
    python scripts/results_flow.py page
    anybyte evaluate runs/flow_small --data sintel_pairs.zip
    anybyte flow frame1.png frame2.png -o flow.png --model runs/flow_small --scales {scales}"""


if __name__ == "__main__":
    raise SystemExit(main())
