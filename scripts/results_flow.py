"""Measure a model of optical flow beside zero flow and OpenCV's methods, and write the page of results.

    python scripts/results_flow.py validate --run runs/flow_small --pictures pictures.zip
    python scripts/results_flow.py test --run runs/flow_small --sets sintel_pairs.zip chairs.zip kitti.zip
    python scripts/results_flow.py page

`validate` compares ways to look at frames (sizes of the passes, and what is done after each) on large pairs that are
made of pictures, for a choice that no test pair has a part in. `test` measures the pairs of sets with known flow: the
model as its folder says, the same model before training, zero flow, and OpenCV's Farnebäck and DIS (`pip install
opencv-python-headless`). Both add to docs/results/flow.json; `page` writes docs/results/flow.md from that file alone.
No number on the page is typed by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anybyte.config import FlowConfig, FramesConfig, MadeFlowConfig, PerceiverConfig, Recipe
from anybyte.evaluate.flow import Estimate, pair_metrics
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

sys.path.insert(0, str(Path(__file__).parent))
from flow_page import PICTURE, SHOWN, write_page

DATA = Path("docs/results/flow.json")
PAGE = Path("docs/results/flow.md")
_COARSE = (1 / 32, 1 / 16, 1 / 8, 1 / 4)
_TWICE = tuple(scale for scale in _COARSE for _ in range(2))
CANDIDATES = (
    FramesConfig(scales=_COARSE, tiles=False),
    FramesConfig(scales=_COARSE),
    FramesConfig(scales=_COARSE, median=7),
    FramesConfig(scales=_COARSE, median=7, check=5),
    FramesConfig(scales=_TWICE, median=7, check=5),
    FramesConfig(scales=_TWICE, median=11, check=5),
    FramesConfig(scales=(*_TWICE, 1 / 2), median=7, check=5),
    FramesConfig(scales=(*_TWICE, 1 / 2), median=11, check=5),
    FramesConfig(scales=(*_TWICE, 1 / 2), median=15, check=5),
    FramesConfig(scales=(*_TWICE, 1 / 2, 1 / 2), median=11, check=5),
)
"""Ways to look at frames, to choose from."""
MADE = {
    "small": MadeFlowConfig(
        size=(384, 512),
        layers=(1, 6),
        texture_side=1000,
        texture_zoom=(0.4, 1.0),
        shift=(0.3, 10.0),
        rotation=3.0,
        zoom=0.04,
        shear=0.02,
        bend=3.0,
        brightness=0.1,
        noise=0.02,
    ),
    "large": MadeFlowConfig(
        size=(384, 768),
        layers=(1, 6),
        texture_side=1000,
        texture_zoom=(0.4, 1.0),
        shift=(1.0, 60.0),
        brightness=0.1,
        noise=0.02,
    ),
}
"""Pairs to choose by: as large as a film's frames, with motion of up to 10 and 60 pixels."""
_VALIDATION = 0xF10E


def main(args: list[str] | None = None) -> int:
    """Chooses, measures, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    validate = verbs.add_parser("validate", help="compare ways to look at frames on made pairs")
    validate.add_argument("--pictures", required=True, metavar="PATH", help="folder or zip of pictures")
    validate.add_argument("--pairs", type=int, default=12, metavar="N", help="how many pairs (12)")
    validate.add_argument("--keep", action="store_true", help="do not measure again what the numbers have already")
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
        made = {name: {"size": config.size, "motion": config.shift[1]} for name, config in MADE.items()}
        kept = known.get("validation", []) if options.keep else []
        for rows in compare_readings(options.run, options.pictures, options.pairs, kept):
            _write(options.json, known | {"validation": rows, "made": made})
    else:
        if "earlier" not in known and "pairs" in known:
            known["earlier"] = summary_of(known["pairs"])
        for found in measure(options.run, options.sets, options.json.parent / PICTURE):
            _write(options.json, known | found)
    return 0


def _write(path: Path, numbers: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(numbers, indent=1) + "\n").encode())


def compare_readings(
    run: Path, pictures: str, count: int, known: Sequence[Mapping[str, Any]] = ()
) -> Iterator[list[Mapping[str, Any]]]:
    """The end-point error of each candidate on the same made pairs, before training and after each run of it.

    Args:
        run: the last run; those that it went on from are measured, too.
        pictures: what pairs are made of.
        count: pairs of each kind of motion.
        known: rows that need not be measured again.

    Yields:
        All rows so far, after each new one.
    """
    pairs: dict[str, list[Pair]] = {}
    for name, config in MADE.items():
        textures = open_textures(pictures, config.texture_side)
        pairs[name] = [_as_pair(config, textures, index) for index in range(count)]
    there = {_key(row): row for row in known if row["pairs"] == count}
    rows: list[Mapping[str, Any]] = []
    for head, method in _ways(run):
        row = there.get(_key(head))
        if row is None:
            row = head | {"epe": {name: _mean_error(method, each) for name, each in pairs.items()}, "pairs": count}
            print(row, flush=True)
        rows.append(row)
        yield rows


def _key(row: Mapping[str, Any]) -> str:
    return json.dumps([row["method"], row.get("reading")])


def _ways(run: Path) -> Iterator[tuple[dict[str, Any], Estimate]]:
    """What is compared: head of the row, and the method."""
    for name, method in [("zero", zero), *opencv_methods()]:
        yield {"method": name}, method
    stages = [("untrained", untrained(run))]
    stages += [
        (read_recipe(each / "recipe.json").name, load_as(FlowPredictor, each, "cpu").model) for each in runs_of(run)
    ]
    for stage, model in stages:
        for reading in CANDIDATES:
            head = {"method": stage, "reading": json.loads(json.dumps(dataclasses.asdict(reading)))}
            yield head, estimate_of(FlowPredictor(model, precision="bf16", reading=reading))


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
    """What the page says of the model and its training, which may have gone on from another run."""
    return {
        "runs": [_describe(each) for each in runs_of(run)],
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "scales": [round(1 / scale) for scale in predictor.reading.scales],
        "reading": dataclasses.asdict(predictor.reading),
    }


def runs_of(run: Path) -> list[Path]:
    """The runs that a model went through: those that each went on from, and the last one."""
    runs = [run]
    while (before := read_recipe(runs[0] / "recipe.json").run.init_from) and (Path(before) / "recipe.json").exists():
        runs.insert(0, Path(before))
    return runs


def _describe(run: Path) -> dict[str, Any]:
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
        "validation": {"step": int(best["step"]), "epe": best["epe"], "zero_epe": best["zero_epe"]},
    }


def summary_of(pairs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What is kept of a model's numbers when another takes its place."""
    errors = [(pair["metrics"]["model"]["epe"], pair["metrics"]["zero"]["epe"]) for pair in pairs]
    better = sum(ours < zero for ours, zero in errors)
    return {"pairs": len(pairs), "epe": float(np.mean([ours for ours, _ in errors])), "better": better}


if __name__ == "__main__":
    raise SystemExit(main())
