"""Around every request: who is let in, what every answer's head says, and the one line of the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anybyte.deploy.server.auth import Gate
from anybyte.deploy.server.errors import ApiError, ErrorResponse
from anybyte.deploy.server.metrics import Metrics
from anybyte.deploy.server.uploads import Upload

_KEY = "anybyte"
_GUARDED = ("/v1/", "/metrics")
GONE = 499
"""Stands in the log where the caller went away before the answer (nginx has the same)."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=()",
}
"""Of every answer to a request that is HTTP: the page may use nothing from elsewhere."""

_log = logging.getLogger("anybyte.server")


@dataclass
class _Visit:
    """What is noted of a request on its way.

    Attributes:
        has_unread_body: whether some of its body may still come.
        status: of the answer; None before its head is sent.
        is_gone: whether the caller went away.
        files: lengths and hashes of what it sent.
    """

    has_unread_body: bool
    status: int | None = None
    is_gone: bool = False
    files: list[tuple[int, str]] = field(default_factory=list)


class Door:
    """ASGI middleware.

    Args:
        app: behind the door.
        tokens: one of which a caller of the API must show. None: it is open.
        metrics: counts requests.
    """

    def __init__(self, app: ASGIApp, tokens: Sequence[str] | None, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._gate = None if tokens is None else Gate(tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = scope[_KEY] = _Visit(_has_body(scope))
        start = time.monotonic()

        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                visit.has_unread_body = False
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            if self._admits(scope):
                await self._app(scope, watched_receive, watched_send)
            else:
                refused = ApiError(
                    401, "unauthorized", "this takes a token: send the header Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
                await answer_error(refused, scope)(scope, watched_receive, watched_send)
        finally:
            self._note(scope, visit, time.monotonic() - start)

    def _admits(self, scope: Scope) -> bool:
        if self._gate is None or not scope["path"].startswith(_GUARDED):
            return True
        return self._gate.admits(Headers(scope=scope).get("authorization"))

    def _note(self, scope: Scope, visit: _Visit, seconds: float) -> None:
        """The log's line, and the count. Of a file they hold its length and hash; of a path, only one that is known."""
        status = GONE if visit.is_gone else visit.status or 500
        route = getattr(scope.get("route"), "path", "other")
        if visit.is_gone:
            self._metrics.gone()
        else:
            self._metrics.request(route, status, seconds)
        files = " ".join(f"{size}:{digest}" for size, digest in visit.files)
        _log.info("%s %s %d %.1f ms%s", scope["method"], route, status, seconds * 1000, f" {files}" if files else "")


def note_files(scope: Scope, uploads: Sequence[Upload]) -> None:
    """Keeps lengths and hashes for the log."""
    scope[_KEY].files = [(len(upload.data), upload.sha256) for upload in uploads]


def note_gone(scope: Scope) -> None:
    """The caller went away."""
    scope[_KEY].is_gone = True


def answer_error(error: ApiError, scope: Scope) -> ErrorResponse:
    """The answer that tells an error, however much of the request has been read."""
    return ErrorResponse(error, drain=scope[_KEY].has_unread_body)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
