"""The page on the server's load test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import results_serve

KEPT = sorted((Path(__file__).parents[2] / "benchmarks/results").glob("serve_load-*.json"))


@pytest.mark.skipif(not KEPT, reason="no result of the load test is kept")
def test_the_page_is_what_the_script_writes() -> None:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in KEPT]
    assert results_serve.PAGE.read_text(encoding="utf-8") == results_serve.page_of(documents)
    for document in documents:
        sides = document["results"]["sides"]
        assert all(side["wrong"] == side["refused"] == side["lost"] == 0 for side in sides.values())
