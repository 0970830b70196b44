"""Ratios as bars: a panel of cases, a bar for each side, with the range that it had over the rounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RATIOS = {
    "speedup": "times as fast as the first",
    "cost_in_batch": "cost in a batch, of that alone",
    "times_the_peer": "times as long as the first",
    "speed": "speed, of that of the first",
}
"""Fields of a side that hold a `measure.Ratio`, and what they say."""


def draw_ratios(results: Mapping[str, Any], path: Path) -> bool:
    """A plot of all ratios in {case: {"sides": {side: {field: ratio}}}}; False if there are none."""
    cases = {
        name: result["sides"] for name, result in results.items() if isinstance(result, Mapping) and "sides" in result
    }
    if not cases and isinstance(results.get("sides"), Mapping):
        cases = {"": results["sides"]}
    sides = list(dict.fromkeys(side for case in cases.values() for side in case))
    field = next(
        (field for field in RATIOS if any(field in row for case in cases.values() for row in case.values())), None
    )
    if field is None:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 + 2.2 * len(cases), 3.6), layout="constrained")
    panel = figure.subplots()
    width = 0.8 / len(sides)
    for number, side in enumerate(sides):
        rows = [(place, case[side][field]) for place, case in enumerate(cases.values()) if side in case]
        values = [row["value"] for _, row in rows]
        below = [max(0.0, row["value"] - row["low"]) for _, row in rows]
        above = [max(0.0, row["high"] - row["value"]) for _, row in rows]
        places = [place + width * (number - (len(sides) - 1) / 2) for place, _ in rows]
        panel.bar(places, values, 0.95 * width, yerr=[below, above], capsize=2, label=side)
    panel.set_xticks(range(len(cases)), list(cases))
    panel.axhline(1, color="grey", lw=1)
    panel.set_ylabel(RATIOS[field])
    panel.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    return True
