"""The page in a browser, with a real server behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.web.conftest import drop
from tests.deploy.web.made_files import LABELS, made_file


@pytest.mark.parametrize(("label", "kind"), [("box", "picture"), ("high tone", "waveform")])
def test_a_dropped_file_is_answered_and_explained(
    visit: Callable[..., Any], server: str, label: str, kind: str
) -> None:
    page = visit(server)
    drop(page, "dropped", made_file(label, 999))
    page.wait_for_selector("#overlay canvas")
    assert page.inner_text("#label") == label
