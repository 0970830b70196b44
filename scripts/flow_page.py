"""The page of flow results, from its JSON: see results_flow.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from anybyte.evaluate.flow import PairResult, by_group, mean_metrics

PICTURE = "flow_sintel.png"
SHOWN = "clean/cave_2/frame_0002"
"""The pair of the picture. MPI Sintel's film is CC BY 3.0, Blender Foundation."""

METHODS = ("zero", "farneback", "dis", "untrained", "model")
NAMES = {
    "zero": "zero flow",
    "farneback": "Farnebäck",
    "dis": "DIS",
    "untrained": "ours, before training",
    "model": "ours",
}
_MILLION = 1e6


def write_page(numbers: Mapping[str, Any]) -> str:
    """The page, from the numbers."""
    sections = [
        _head(numbers["training"]),
        _looks(numbers.get("earlier")),
        _by_set(numbers["pairs"]),
        _by_pair(numbers["pairs"]),
    ]
    sections += [
        _rates(numbers["pairs"]),
        _choice(
            numbers.get("validation", []),
            numbers.get("made", {}),
            [run["recipe"] for run in numbers["training"]["runs"]],
        ),
        _commands(numbers["training"]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(training: Mapping[str, Any]) -> str:
    passes = ", ".join(f"1/{scale}" for scale in training["scales"])
    runs = "\n".join(_run(each) for each in training["runs"])
    return f"""# Optical flow, small

Written by `scripts/results_flow.py` from [flow.json](flow.json).

A Perceiver IO of {training["parameters"] / _MILLION:.2f} million parameters, trained on pairs that are made of 200
photographs (one of each fifth class of ImageNet): textured layers under affine and smooth motion, with exact flow. It
has seen no frame of the sets below, nor any real flow. Hardware: 2 cores of an AMD EPYC (Zen 4), shared with other
work; one thread; torch 2.13 CPU.

{runs}

In use it takes passes over frames at {passes} of their size; each one warps the second frame by the flow so far and
adds what is left. {_after(training["reading"])}

The model does not begin with random weights: it compares pixels of both frames from the start
(`initialisation="matching"`, `models/starts/matching.py`). How much that is worth, and how much is learnt, is told
apart below: "ours, before training" is the same model, with the same passes, after no step. What zero flow and OpenCV's
methods make of the pairs below was known before."""


def _run(run: Mapping[str, Any]) -> str:
    """A run of training in an item of a list."""
    check = run["validation"]
    return f"""- `{run["recipe"]}`: pairs of {run["size"][0]} x {run["size"][1]} pixels, {run["examples"]:,} examples in
  {run["steps"]:,} steps, {run["minutes"]:.0f} minutes, seed {run["seed"]}, {run["optimizer"]}. The weights are those of
  step {check["step"]:,}, where the error on made pairs of this size was {check["epe"]:.2f} pixels (zero flow:
  {check["zero_epe"]:.2f})."""


def _looks(earlier: Mapping[str, Any] | None) -> str:
    """How often the pairs were looked at."""
    if not earlier:
        return "The model met the pairs below once, after everything was chosen on made pairs."
    return (
        "**This is the second look at the pairs below.** Earlier the model met them in fewer passes, and was off by "
        f"{earlier['epe']:.2f} pixels on average; it was better than zero flow on {earlier['better']} of "
        f"{earlier['pairs']}. What was changed then (tiles instead of whole frames, medians, the check, more and finer "
        "passes) was chosen on made pairs alone, and the pairs below were met once more, at the end."
    )


def _after(reading: Mapping[str, Any]) -> str:
    """What is done in each pass and after it."""
    sentences = ["Frames are read by overlapping tiles of the size of training." if reading["tiles"] else ""]
    if reading["median"] > 1:
        sentences.append(
            f"After each pass the flow goes through a median of {reading['median']} x {reading['median']}."
        )
    if reading["check"] is not None:
        sentences.append(
            f"A pass counts only where the warped second frame then fits the first better, over {reading['check']} x "
            f"{reading['check']} pixels. Median and check are classical; nothing in them is learnt."
        )
    return " ".join(each for each in sentences if each)


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
        f"![A frame, the true flow, Farnebäck's and ours]({PICTURE})\n\n"
        f"`{SHOWN}`: the first frame and the true flow; below, Farnebäck's flow and ours. The hue says where to, the "
        "saturation how far. Frame: Sintel, © Blender Foundation, durian.blender.org, "
        "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/); made smaller here."
    )
    table = _table(["pair", *(NAMES[m] for m in methods)], rows)
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


def _choice(rows: Sequence[Mapping[str, Any]], made: Mapping[str, Mapping[str, Any]], used: Sequence[str]) -> str:
    if not rows:
        return ""
    error = {(row["method"], json.dumps(row.get("reading"))): row["epe"] for row in rows}

    def cells(method: str, reading: Any) -> list[str]:
        found = error.get((method, json.dumps(reading)))
        return ["" if found is None else f"{found[name]:.2f}" for name in made]

    stages = list(dict.fromkeys(row["method"] for row in rows if "reading" in row))
    readings = {json.dumps(row["reading"]): row["reading"] for row in rows if "reading" in row}.values()
    lines = [[_settings(each), *(cell for stage in stages for cell in cells(stage, each))] for each in readings]
    blank = [""] * (len(stages) - 1) * len(made)
    lines += [[NAMES[row["method"]], *blank, *cells(row["method"], None)] for row in rows if "reading" not in row]
    motions = " and ".join(f"{config['motion']:g}" for config in made.values())
    sizes = " and ".join(f"{config['size'][0]} x {config['size'][1]}" for config in made.values())
    text = (
        f"How the model looks at frames was chosen on {len(made)} times {rows[0]['pairs']} pairs of {sizes} pixels "
        f"that are made of the same photographs, with layers that move by up to {motions} pixels (small and large "
        "motion). End-point error, before training and after each run of it."
    )
    words = [NAMES["untrained"] if stage == "untrained" else f"after `{stage}`" for stage in stages]
    for stage in stages[2:]:
        text += (
            f" `{stage}` goes on from the run before it (`--run.init_from`); what this page measures is the model "
            f"after {' and '.join(f'`{each}`' for each in used)}."
        )
    if any("" in line[1:] for line in lines[: len(readings)]):
        text += " What is blank was not measured."
    head = ["passes", *(f"{word}, {name}" for word in words for name in made)]
    return f"## How it was chosen\n\n{text}\n\n{_table(head, lines)}"


def _settings(reading: Mapping[str, Any]) -> str:
    """A way to look at frames in a few words."""
    sides = [f"{1 / scale:g}" for scale in reading["scales"]]
    words = [f"1/({', '.join(sides)})", "tiles" if reading["tiles"] else "whole"]
    words += [f"median {reading['median']}"] if reading["median"] > 1 else []
    words += [f"check {reading['check']}"] if reading["check"] is not None else []
    return ", ".join(words)


def _commands(training: Mapping[str, Any]) -> str:
    lines, folder = [], ""
    for number, run in enumerate(training["runs"], 1):
        start = f" --run.init_from {folder}" if folder else ""
        folder = f"runs/flow_{number}"
        lines.append(f"    anybyte train {run['recipe']} --data pictures.zip --out {folder} --run.threads 1{start}")
    return f"""## Again

{chr(10).join(lines)}
    python scripts/results_flow.py validate --run {folder} --pictures pictures.zip
    python scripts/results_flow.py test --run {folder} --sets sintel_pairs.zip flying_chairs.zip kitti_pair.zip
    python scripts/results_flow.py page
    anybyte evaluate {folder} --data sintel_pairs.zip
    anybyte flow frame1.png frame2.png -o flow.png --model {folder}"""
