"""`anybyte recipes [PATTERN]`: the training recipes, each with the first line of its description."""

from __future__ import annotations

import argparse

from anybyte.recipes import list_recipes, recipe_function


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="anybyte recipes", description="List the training recipes.")
    parser.add_argument("pattern", nargs="?", default="*", help="names to list, with * and ? (default: all)")
    pattern = parser.parse_args(args).pattern
    names = list_recipes(pattern)
    if not names:
        raise ValueError(f"no recipe matches {pattern!r}: there are {', '.join(list_recipes())}")
    width = max(map(len, names))
    for name in names:
        about = (recipe_function(name).__doc__ or "").strip().partition("\n")[0]
        print(f"{name:<{width}}  {about}".rstrip())
    return 0
