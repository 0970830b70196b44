"""What a caller is told when there is no answer: one form of JSON for all errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

LINGER_SECONDS = 2.0
LINGER_BYTES = 2**26
"""What is still read of a body that is refused, and thrown away. A connection that is closed on a caller who is
sending takes the answer with it."""

CODES: Mapping[int, str] = {400: "bad_request", 404: "not_found", 405: "not_allowed", 500: "internal"}
"""Codes of errors that the framework finds, by status."""


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        code: one word, for programs.
        message: for people.
        headers: of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def busy(what: str) -> ApiError:
    """503: there is no room at present."""
    return ApiError(503, "busy", f"{what}: try again in a second", {"Retry-After": "1"})


def late(timeout: float) -> ApiError:
    """504: it takes too long."""
    return ApiError(504, "timeout", f"there was no answer within {timeout:g} seconds")


def error_body(status: int, code: str, message: str) -> dict[str, Any]:
    """The JSON of an error."""
    return {"error": {"status": status, "code": code, "message": message}}


class ErrorResponse(JSONResponse):
    """An error's answer. It is sent whole at once; what still comes of the request is read for a moment, and thrown
    away.

    Args:
        error: to be told.
        drain: whether the request's body may not have been read. The connection then ends with this answer.
    """

    def __init__(self, error: ApiError, drain: bool = False) -> None:
        headers = dict(error.headers)
        if drain:
            headers["Connection"] = "close"
        super().__init__(error_body(error.status, error.code, error.message), error.status, headers)
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._drain:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # The caller has the whole answer now, by its Content-Length; the server goes on listening.
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if not _expects_to_be_asked(scope):
            await _drain(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _expects_to_be_asked(scope: Scope) -> bool:
    """Whether a caller sends its body only when it is told to (Expect: 100-continue): then nothing is on its way."""
    return any(name == b"expect" for name, _ in scope["headers"])


async def _drain(receive: Receive) -> None:
    read = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while read < LINGER_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
