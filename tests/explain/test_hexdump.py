from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from anybyte.explain import Explanation
from anybyte.explain.hexdump import describe, print_hexdump, printed
from tests.explain.test_result import explanation


def dump(one: Explanation, **options: int) -> list[str]:
    out = io.StringIO()
    print_hexdump(one, out, **options)  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def long_one() -> Explanation:
    scores = np.zeros(1000)
    scores[[5, 400, 999]] = (1, -3, 2)
    return explanation(scores.tolist())


def test_a_short_file_is_shown_whole() -> None:
    one = Explanation(np.ones(20, dtype=np.float32), "cat", 1.0, 0.7, "gradient", "a", b"hello\0world" + bytes(9))
    lines = dump(one, width=100)
    assert lines[0].startswith("a: cat (70.0%, logit 1.00), explained by gradient over 20 bytes.")
    assert lines[1] == "00000000  68 65 6c 6c 6f 00 77 6f 72 6c 64 00 00 00 00 00  hello.world.....  +16"
    assert lines[2] == "00000010  00 00 00 00                                      ....              +4"
    assert len(lines) == 3


def test_of_a_long_file_the_strongest_lines_stand_in_their_order() -> None:
    lines = dump(long_one(), most=2, width=100)
    assert lines[1] == "The strongest 2 of 63 lines of 16 bytes; 61 are left out."
    assert lines[2] == "  ... 400 bytes"
    assert lines[3].startswith("00000190  00")
    assert lines[3].endswith("-3")
    assert lines[4] == "  ... 576 bytes"
    assert lines[5].startswith("000003e0")
    assert lines[5].endswith("+2")
    assert len(lines) == 6


def test_what_is_left_out_at_the_end_is_told() -> None:
    scores = [0.0] * 64
    scores[20] = 1
    assert dump(explanation(scores), most=1, width=100)[-1] == "  ... 32 bytes"


def test_a_narrow_terminal_has_shorter_lines() -> None:
    for line in dump(explanation([1.0] * 40), width=60):
        assert len(line) <= 60
    assert any(line.startswith("00000008  ") for line in dump(explanation([1.0] * 40), width=60))


def test_colours_in_a_terminal_only_and_not_where_they_are_unwanted(monkeypatch: pytest.MonkeyPatch) -> None:
    one = long_one()
    assert not any("\x1b" in line for line in dump(one, width=100))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = "\n".join(dump(one, most=2, width=100))
    shades = {tuple(map(int, found)) for found in re.findall(r"48;2;(\d+);(\d+);(\d+)", coloured)}
    assert {red > blue for red, _, blue in shades} == {True, False}
    monkeypatch.setenv("NO_COLOR", "1")
    assert "48;2" not in "\n".join(dump(one, width=100))
    assert Console(file=io.StringIO()).no_color


def test_what_is_said_of_the_scores() -> None:
    whole = describe(explanation([0.5, 0.25], baseline=1.25, completeness_error=0.004))
    assert "Scores add up to 0.750: the logit is 0.750 above that of a file of padding (error 0.40%)." in whole
    assert "they know of no label" in describe(explanation([1.0], method="attention"))
    assert "does not read this file as it is stored" in describe(explanation([1.0], altered=True))


def test_bytes_as_text() -> None:
    assert printed(bytes([31, 32, 65, 126, 127, 255])) == ". A~.."


def test_no_lines_to_show() -> None:
    with pytest.raises(ValueError, match="0 lines to show"):
        dump(long_one(), most=0)
