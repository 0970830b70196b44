"""`anybyte recipes [PATTERN]`: the training recipes, each with what it trains on and what was published for it."""

from __future__ import annotations

import argparse
import json

from anybyte.recipes import list_recipes, recipe_function
from anybyte.recipes.byteformer.published import published
from anybyte.recipes.byteformer.tables import TABLES

PAPER = "byteformer/"
"""How the names of the paper's own trainings begin."""

NOTE = """\
The number is top-1 accuracy in percent from the paper. With * it is that of the released weights, as their README
states it, where the paper's own could not be read. -: no source was at hand."""


def main(args: list[str]) -> int:
    """Prints the recipes that match, as a table for each family or as JSON."""
    parser = argparse.ArgumentParser(
        prog="anybyte recipes",
        description="List the training recipes.",
        epilog="examples:\n  anybyte recipes\n  anybyte recipes 'byteformer/*'\n  anybyte recipes 'small/*' --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pattern", nargs="?", default="*", help="names to list, with * and ? (default: all)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args(args)
    names = list_recipes(options.pattern)
    if not names:
        raise ValueError(
            f"no recipe matches {options.pattern!r}: `anybyte recipes` lists all {len(list_recipes())} of them"
        )
    if options.json:
        for name in names:
            about = {"name": name, "family": _family(name), "about": _about(name)}
            print(json.dumps(about | vars(published(name))))
        return 0
    _print_tables(names)
    return 0


def _print_tables(names: list[str]) -> None:
    """The names under a heading for each family; the paper's with their numbers."""
    width = max(map(len, names))
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(_family(name), []).append(name)
    for family, members in families.items():
        print(f"{family or 'your own files'}:")
        for name in members:
            number = f"{_number(name):>7}  " if name.startswith(PAPER) else ""
            print(f"  {name:<{width}}  {number}{_about(name)}".rstrip())
        print()
    if any(name.startswith(PAPER) for name in names):
        print(NOTE)


def _number(name: str) -> str:
    numbers = published(name)
    if numbers.top1 is None:
        return "-"
    return f"{numbers.top1:.2f}{'*' if numbers.paper is None else ' '}"


def _family(name: str) -> str:
    """The table of the paper that a recipe belongs to, or what is in its name before the last slash."""
    for table in TABLES:
        if name in table.recipes:
            return f"ByteFormer, {table.data}: {table.title}"
    return name.rpartition("/")[0]


def _about(name: str) -> str:
    return (recipe_function(name).__doc__ or "").strip().partition("\n")[0]
