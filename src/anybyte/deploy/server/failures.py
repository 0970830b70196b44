"""What becomes of everything that is raised while a request is answered: JSON of one form."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from anybyte.deploy.server.door import GONE, HEADERS, answer_error, note_gone
from anybyte.deploy.server.errors import CODES, ApiError


def handle_failures(app: FastAPI) -> None:
    """Adds the handlers to an application."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(RequestValidationError, _on_bad_query)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_gone)
    app.add_exception_handler(Exception, _on_bug)


async def _on_api_error(request: Request, error: Exception) -> Response:
    return answer_error(cast(ApiError, error), request.scope)


async def _on_bad_query(request: Request, error: Exception) -> Response:
    """Says which parameter is wrong, and how."""
    wrong = [
        f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in cast(RequestValidationError, error).errors()
    ]
    return answer_error(ApiError(422, "bad_request", "; ".join(wrong)), request.scope)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """What the framework says: no such path, no such method."""
    found = cast(HTTPException, error)
    code = CODES.get(found.status_code, "bad_request")
    return answer_error(ApiError(found.status_code, code, found.detail, found.headers), request.scope)


async def _on_gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read the answer."""
    note_gone(request.scope)
    return Response(status_code=GONE)


async def _on_bug(request: Request, error: Exception) -> Response:
    """A mistake of ours: the log has its traceback, the caller none of it."""
    # The framework answers this one outside the door, which gives all others their head.
    mistake = ApiError(500, "internal", "the server made a mistake, which its log tells", HEADERS)
    return answer_error(mistake, request.scope)
