"""Write the page of what the Perceivers of sets reach: entities and point clouds.

    python scripts/results_sets.py RUN...     # takes in runs of small/entities and small/points
    python scripts/results_sets.py            # the page again, from the numbers that are kept

A RUN is finished, and `anybyte evaluate RUN` has measured it. Numbers come from its `recipe.json`, `log.jsonl`, model
card and `evaluation/report.json`, and are kept in docs/results/sets.json; the page is docs/results/sets.md.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from finished_runs import count_parameters

from anybyte.files.made import shapes
from anybyte.files.made.entities import COUNTS, NUM_KINDS, SCENES, UNTOLD, EntityScenes
from anybyte.train.checkpoint import write_atomically
from anybyte.train.progress import read_log

ROOT = Path(__file__).parents[1]
REQUIRED = 0.95
"""Share of the achievable accuracy that is to be reached."""
TITLES = {"small/entities": "entities", "small/points": "point clouds"}


def main(arguments: list[str] | None = None) -> None:
    """Takes in the runs that are named, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path, help="folders of finished runs")
    parser.add_argument("--kept", type=Path, default=ROOT / "docs" / "results" / "sets.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "sets.md")
    options = parser.parse_args(arguments)
    kept = json.loads(options.kept.read_text(encoding="utf-8")) if options.kept.exists() else {}
    for folder in options.runs:
        found = read_run(folder)
        kept[found["recipe"]] = found
    if not kept:
        parser.error(f"there is no {options.kept}: name runs")
    write_atomically(options.kept, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode())
    write_atomically(options.out, page(kept).encode())
    print(f"wrote {options.kept} and {options.out}")


def read_run(folder: Path) -> dict[str, Any]:
    """What a finished run and its evaluation say.

    Raises:
        ValueError: it is a run of another recipe.
        OSError: a file is missing.
    """
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    name = recipe["name"]
    if name not in TITLES:
        raise ValueError(f"{folder} is a run of {name}, not of {' or '.join(TITLES)}")
    log = read_log(folder / "log.jsonl")
    validations = [row for row in log if row["event"] == "validation"]
    report = json.loads((folder / "evaluation" / "report.json").read_text(encoding="utf-8"))
    if name == "small/entities":
        accuracy, examples, trained_on = report["metrics"]["target_accuracy"], COUNTS["test"], COUNTS["train"]
        bound, baselines = SCENES["entities"].achievable, rules_on_test(SCENES["entities"])
    else:
        accuracy, examples, trained_on = report["top1"], report["files"], shapes.COUNTS["train"]
        bound, baselines = shapes.ACHIEVABLE, {"one class for all": 1 / len(shapes.SHAPES)}
    return {
        "recipe": name,
        "data": recipe["data"]["path"],
        "parameters": count_parameters(folder / "model" / "model.safetensors"),
        "seed": recipe["run"]["seed"],
        "steps": validations[-1]["step"],
        "examples": round(validations[-1]["epoch"] * trained_on),
        "minutes": validations[-1]["minutes"],
        "hardware": card_row(folder / "model" / "README.md", "hardware"),
        "validation": max(row.get("target_accuracy", row.get("accuracy", 0.0)) for row in validations),
        "test": accuracy,
        "test_examples": examples,
        "achievable": bound,
        "baselines": baselines,
    }


def rules_on_test(scenes: EntityScenes) -> dict[str, float]:
    """What share of the targets of the test scenes simple rules give: the right one, and two that see less."""
    right: dict[str, int] = {}
    total = 0
    for index in range(COUNTS["test"]):
        entities, targets = scenes.scene("test", index)
        answers = rules(entities, scenes, np.random.default_rng(index))
        told = targets[targets != UNTOLD]
        total += len(told)
        for name, answer in answers.items():
            right[name] = right.get(name, 0) + int((answer == told).sum())
    return {name: count / total for name, count in right.items()}


def rules(
    entities: np.ndarray[Any, Any], scenes: EntityScenes, rng: np.random.Generator
) -> dict[str, np.ndarray[Any, Any]]:
    """The answers of each rule for our units of a scene, from what a model reads."""
    is_enemy = entities[:, 1] == 1
    kinds, places = entities[:, 2:5].argmax(1), entities[:, 14:16].astype(np.float64)
    carried = entities[is_enemy, -scenes.num_numbers :].argmax(1)
    distances = np.linalg.norm(places[~is_enemy][:, None] - places[is_enemy][None], axis=-1)
    beaten = kinds[is_enemy][None] == (kinds[~is_enemy][:, None] + 1) % NUM_KINDS
    fitting = beaten | ~beaten.any(axis=1, keepdims=True)
    luck = rng.random(distances.shape)
    return {
        "the rule itself": carried[np.where(fitting, distances, np.inf).argmin(1)],
        "any enemy of the right kind": carried[np.where(fitting, luck, np.inf).argmin(1)],
        "the nearest enemy of any kind": carried[distances.argmin(1)],
        "any enemy": carried[luck.argmin(1)],
    }


def card_row(card: Path, name: str) -> str:
    """A row of the table of a model's card."""
    match = re.search(rf"^\| {name} \| (.*) \|$", card.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{card} has no row {name!r}")
    return match.group(1)


def page(kept: dict[str, Any]) -> str:
    """The page, whole."""
    lines = [
        "# Sets: entities and point clouds",
        "",
        "Both data sets are generated, so that the best accuracy that anybody can reach is known. An example follows "
        "from its part (train, val or test) and its number; the parts have nothing in common. The model that was best "
        "on the validation part was measured on the test part, once. One seed each. Minutes are by the clock, on a "
        "machine that did other work as well.",
        "",
        "| task | data | parameters | trained on | minutes | validation | test | achievable | share of it |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, run in sorted(kept.items()):
        share = run["test"] / run["achievable"]
        reached = "" if share >= REQUIRED else f" (below {REQUIRED:.0%})"
        lines.append(
            f"| {TITLES[name]} | `{run['data']}` | {run['parameters']:,} | {run['examples']:,} examples | "
            f"{run['minutes']:.1f} | {run['validation']:.1%} | **{run['test']:.1%}** of {run['test_examples']:,} "
            f"{'scenes' if name == 'small/entities' else 'clouds'} | {run['achievable']:.1%} | {share:.1%}{reached} |"
        )
    for name, text in _ABOUT.items():
        if name in kept:
            run = kept[name]
            lines += ["", f"## {TITLES[name].capitalize()}", "", text, ""]
            lines += ["| answering with | right on the test part |", "|---|---:|"]
            lines += [f"| {rule} | {share:.1%} |" for rule, share in sorted(run["baselines"].items())]
            lines += [f"| **the model** | **{run['test']:.1%}** |", ""]
            lines += ["", f"    anybyte train {name} --out runs/{name.partition('/')[2]}"]
            lines += [f"    anybyte evaluate runs/{name.partition('/')[2]}", ""]
            lines += [f"Seed {run['seed']}, {run['steps']:,} steps, {run['minutes']:.1f} minutes on {run['hardware']}."]
    lines += ["", "This page is written by `python scripts/results_sets.py` from `sets.json` beside it.", ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


_ABOUT = {
    "small/entities": (
        "Units of two sides on a map, up to 16 a scene, in no order; each has a kind, hit points and a place, and each "
        "enemy carries a number. Each of our units is told the number of the enemy to attack: the nearest of those "
        "whose kind it beats, or, if there is none, the nearest of all. So an answer depends on all enemies. Of the "
        "targets 2% are replaced by another enemy, in all parts: nobody is right more often than 98% of the time. "
        "Scenes of unequal size are padded and masked; the accuracy counts our units. The recipe at paper size, "
        "`perceiver/starcraft`, reads 512 units of 128 channels."
    ),
    "small/points": (
        "Clouds of ten shapes, turned, tilted, stretched and blurred, 512 points a file, of which a model reads 256. A "
        "fifth of the double spheres have one centre, and a fifth of the rippled planes no waves: they are drawn "
        "exactly as spheres and planes are. The best that anybody can do is to call them so, which is right about 96% "
        "of all clouds at most. The recipe at paper size, `perceiver/modelnet40`, reads 2,048 points of meshes (OFF)."
    ),
}

if __name__ == "__main__":
    main()
