"""Waiting for what the worker computes, no longer than the caller stays, nor than it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from anybyte.deploy.server.errors import late

R = TypeVar("R")


async def results_of(futures: Sequence[Future[R]], request: Request, timeout: float) -> list[R]:
    """The results of all futures. Those that nobody waits for any longer are cancelled: they leave the queue.

    Args:
        futures: of the worker.
        request: of which the whole body has been read.
        timeout: seconds.

    Raises:
        ApiError: 504, it takes too long; or what the work raised.
        ClientDisconnect: the caller went away.
    """
    waiting = [asyncio.wrap_future(future) for future in futures]
    finished = asyncio.ensure_future(asyncio.wait(waiting))
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        done, _ = await asyncio.wait({finished, gone}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if finished in done:
            return [future.result() for future in waiting]
        if gone in done:
            raise ClientDisconnect
        raise late(timeout)
    finally:
        finished.cancel()
        gone.cancel()
        for future in waiting:
            future.cancel()
            if future.done() and not future.cancelled():
                future.exception()  # has been looked at: asyncio need not complain that nobody did


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
