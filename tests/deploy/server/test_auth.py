from __future__ import annotations

from pathlib import Path

import pytest

from anybyte.deploy.server.auth import Gate, read_tokens

TOKEN = "a-token-of-24-characters"
OTHER = "another-token-0123456789"


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "tokens.txt"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_each_token_of_a_file_is_let_in(tmp_path: Path) -> None:
    tokens = read_tokens(write(tmp_path, f"# of the team\n{TOKEN}\n\n  {OTHER}  \n"))
    assert tokens == (TOKEN, OTHER)
    gate = Gate(tokens)
    for token in tokens:
        assert gate.admits(f"Bearer {token}")
        assert gate.admits(f"bearer {token}")


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_everybody_else_is_not(shown: str | None) -> None:
    assert not Gate([TOKEN, OTHER]).admits(shown)


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (f"{TOKEN}\n", 0o644, "may be read by others"),
        ("# nothing\n\n", 0o600, "holds no token"),
        (f"{TOKEN}\nshort\n", 0o600, "line 2: a token is at least 16"),
        ("a token with some spaces\n", 0o600, "line 1"),
        ("x" * 70_000, 0o600, "longer than"),
    ],
)
def test_a_file_that_will_not_do_says_why_and_shows_no_token(
    tmp_path: Path, text: str, mode: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_tokens(write(tmp_path, text, mode))
    assert TOKEN not in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.txt"):
        read_tokens(tmp_path / "no.txt")
