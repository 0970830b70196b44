"""The documents stay true: commands exist, links lead somewhere, and nothing names the folders of one machine."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from anybyte.cli import EXAMPLES, VERBS, privacy
from anybyte.cli.train import USAGE
from anybyte.recipes import RECIPES

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SCHEMA = str(ROOT / "examples/moved_pictures/schema.yaml")
"""Stands for a reader's own schema."""
MACHINE_PATH = re.compile(r"(?<![\w.:])/(?:work|root|home|Users)/\w+")


def code_lines(text: str) -> Iterator[str]:
    """The lines of fenced and of indented code, lines that end in a backslash joined with the next."""
    fenced = False
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("  "):
            yield line.strip()


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `anybyte ...` command in a text's code, cut at pipes, redirections and comments."""
    inline = re.findall(r"`(anybyte [a-z][^`]*)`", text)
    for line in [*code_lines(text), *inline]:
        match = re.match(r"(?:\$ )?(?:\w+=\S+ )*(?:[\w./-]+ .*-m |.*\| xargs -0 )?(anybyte \w.*)$", line)
        if match:
            words = shlex.split(match[1], comments=True)
            end = next((i for i, word in enumerate(words) if re.match(r"\d*[|<>&;]", word)), len(words))
            yield words[:end]


SETTINGS = sorted((ROOT / "src/anybyte/config").glob("*.py"))
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in [*DOCUMENTS, *SETTINGS]}
TEXTS |= {"anybyte --help": EXAMPLES, "anybyte train --help": USAGE, "anybyte privacy --help": privacy.USAGE}
COMMANDS = sorted({(name, shlex.join(words)) for name, text in TEXTS.items() for words in commands(text)})


@pytest.mark.parametrize(("document", "command"), COMMANDS)
def test_commands_name_verbs_and_flags_that_exist(
    document: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from anybyte.cli import main

    words = shlex.split(command)[1:]
    if words[0].startswith("-"):
        return
    assert words[0] in VERBS, f"{document}: no verb {words[0]!r} in: {command}"
    if words[0] == "train":
        words = [SCHEMA if word.endswith(".yaml") else word for word in words if word != "RECIPE"]
        assert {*words[1:2]} <= {*RECIPES, SCHEMA, "--help"}, f"{document}: no recipe {words[1]!r} in: {command}"
    flags = [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
    if not flags:
        return
    # A verb's help may depend on its first argument: that of `train` on the recipe.
    leading = [word for word in words[1:2] if not word.startswith("-")]
    with contextlib.suppress(SystemExit):
        main([words[0], *leading, "--help"])
    help_text = capsys.readouterr().out.replace("_", "-")
    for flag in flags:
        pattern = rf"(?<![\w-]){re.escape(flag.replace('_', '-'))}(?![\w-])"
        assert re.search(pattern, help_text), f"{document}: {words[0]} has no option {flag}: {command}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not re.match(r"[a-z]+:|#", target):
            file = document.parent / target.partition("#")[0]
            assert file.exists(), f"{document.relative_to(ROOT)} links to {target}, which is not there"


def test_no_file_names_a_folder_of_one_machine() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, listing.stdout.split("\0")):
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        found += [f"{name}: {match}" for match in MACHINE_PATH.findall(text)]
    assert not found, "absolute paths of one machine: " + ", ".join(found)
