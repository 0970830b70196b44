"""`anybyte recipes`: names, what they train on, and what was published."""

from __future__ import annotations

import json

import pytest

from anybyte.cli import main
from anybyte.recipes import RECIPES
from anybyte.recipes.byteformer.published import PUBLISHED


def test_the_papers_trainings_are_listed_by_table_with_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "byteformer/*"]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  byteformer/")}
    assert set(lines) == {name for name in RECIPES if name.startswith("byteformer/")}
    assert len(lines) == 46  # the joint model is the 46th
    assert lines["byteformer/imagenet_tiff"].split()[1] == "77.33"
    assert lines["byteformer/imagenet_order_reverse"].split()[1] == "61.14*"
    assert lines["byteformer/imagenet_png"].split()[1] == "-"
    assert "ByteFormer, ImageNet: order of the bytes of a JPEG file:" in out
    assert "With * it is that of the released weights" in out


def test_every_recipe_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert len(listed) == len(RECIPES)
    assert all(len(line.split()) > 4 for line in listed)


def test_as_json_each_line_is_a_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "byteformer/*", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    for name, numbers in PUBLISHED.items():
        assert (rows[name]["paper"], rows[name]["checkpoint"]) == (numbers.paper, numbers.checkpoint)
    assert rows["byteformer/imagenet_fhwc"]["paper"] is None


def test_no_match_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "nothing*"]) == 2
    assert "no recipe matches 'nothing*'" in capsys.readouterr().err
