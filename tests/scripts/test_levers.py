"""The table of levers: its place in a page, and that every lever can be measured."""

from __future__ import annotations

import pytest

from scripts import levers


def test_the_table_takes_its_place_and_leaves_the_rest() -> None:
    page = f"before\n{levers.BEGIN}\nold\n{levers.END}\nafter\n"
    once = levers.with_table(page, "| new |")
    assert once == f"before\n{levers.BEGIN}\n\n| new |\n\n{levers.END}\nafter\n"
    assert levers.with_table(once, "| new |") == once
    with pytest.raises(ValueError, match="no lines"):
        levers.with_table("a page", "| new |")


def test_rows_are_written_from_results() -> None:
    document = {
        "environment": {"processor": "P", "load_average": 1.2, "torch": "2"},
        "levers": {"GELU by tanh": {"with_ms": 2.0, "without_ms": 3.0, "ratio": 1.5}},
    }
    text = levers.table(document)
    assert "| GELU by tanh | not erf, in the product, bfloat16 | 3 → 2 | 1.50 | no |" in text
    assert "P, one thread, load 1, torch 2" in text


@pytest.mark.parametrize("name", ["oneDNN product", "GELU by tanh", "weights laid out", "windows where they lie"])
def test_a_lever_is_measured_both_ways(name: str) -> None:
    lever = levers.LEVERS[name]
    result = levers.measured(levers.Lever(lever.what, lever.kept, lever.prepare, rounds=1))
    assert result["with_ms"] > 0
    assert result["ratio"] == pytest.approx(result["without_ms"] / result["with_ms"], rel=0.2)
