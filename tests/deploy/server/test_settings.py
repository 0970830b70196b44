from __future__ import annotations

from typing import Any

import pytest

from anybyte.deploy.server import Settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"queue": -1}, "queue is -1"),
        ({"queue": 63}, r"queue is 63, less than a request may have files \(max_files, 64\)"),
        ({"timeout": 0}, "timeout is 0 seconds"),
        ({"upload_timeout": float("inf")}, "upload_timeout is inf"),
        ({"wait_seconds": 31.0}, "wait_seconds is 31.0"),
        ({"port": 70_000}, "port is 70000"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"tokens": ()}, "no token"),
        ({"max_bytes": 2**30}, "max_bytes is 1,073,741,824, more than all files"),
        ({"held_bytes": 2**25}, "max_request_bytes is 67,108,864, more than"),
    ],
)
def test_what_makes_no_sense_is_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)


def test_tokens_are_not_shown() -> None:
    assert "secret" not in repr(Settings(tokens=("secret-0123456789abc",)))
