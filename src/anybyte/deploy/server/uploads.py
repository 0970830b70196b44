"""Files as they come in: into memory, never to disk, with every limit enforced while they are read."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect, Request

from anybyte.deploy.server.errors import ApiError, busy
from anybyte.deploy.server.multipart import BadMultipart, FileParser, TooManyFiles, read_content_type
from anybyte.deploy.server.settings import Settings

RAW = "application/octet-stream"
MULTIPART = "multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Attributes:
        name: as the caller gave it; None for a raw body.
        data: what is in it.
        sha256: of the data, in hexadecimal digits.
    """

    name: str | None
    data: bytes = field(repr=False)
    sha256: str

    def open(self) -> io.BytesIO:
        """The file as an open one with a name, as a predictor takes it."""
        opened = io.BytesIO(self.data)
        opened.name = self.name or "the file"
        return opened


class Memory:
    """How many bytes of files are in memory at once, over all requests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def hold(self) -> Holding:
        """To be entered while a request's files are held."""
        return Holding(self)


class Holding:
    """What one request holds; at its end all of it is given back."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._size = 0

    def take(self, size: int) -> None:
        """Counts some more bytes.

        Raises:
            ApiError: 503, there is no room for them.
        """
        if self._memory.held + size > self._memory.limit:
            raise busy("the server holds as many files as it can")
        self._memory.held += size
        self._size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._memory.held -= self._size
        self._size = 0


async def receive_files(request: Request, holding: Holding, settings: Settings) -> list[Upload]:
    """The files of a request, at least one; a raw body is one without a name.

    Args:
        request: whose body has not been read.
        holding: counts what is held.
        settings: the limits.

    Raises:
        ApiError: 400, 408, 413, 415, 422 or 503.
        ClientDisconnect: the caller has gone away.
    """
    kind, options = read_content_type(request.headers.get("content-type"))
    if kind not in (RAW, MULTIPART):
        raise ApiError(
            415,
            "wrong_type",
            f"the content type is {kind or 'missing'}, expected {RAW} (the body is the file) or {MULTIPART} "
            f"(with curl: -H 'Content-Type: {RAW}' --data-binary @FILE, or -F file=@FILE)",
        )
    limit = settings.max_bytes if kind == RAW else settings.max_request_bytes
    chunks = _chunks(request, limit, holding)
    try:
        async with asyncio.timeout(settings.upload_timeout):
            if kind == RAW:
                return [await _receive_raw(chunks)]
            return await _receive_parts(chunks, options.get("boundary", b""), settings)
    except TimeoutError as error:
        message = f"the request did not arrive within {settings.upload_timeout:g} seconds"
        raise ApiError(408, "slow_upload", message) from error


async def _chunks(request: Request, limit: int, holding: Holding) -> AsyncIterator[bytes]:
    """The body piece by piece, as long as it is within the limits."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(f"the request has {int(announced):,} bytes", limit)
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > limit:
            raise _too_large("the request has more bytes than it may", limit)
        holding.take(len(chunk))
        yield chunk


async def _receive_raw(chunks: AsyncIterator[bytes]) -> Upload:
    digest = hashlib.sha256()
    pieces = []
    async for chunk in chunks:
        digest.update(chunk)
        pieces.append(chunk)
    data = b"".join(pieces)
    if not data:
        raise ApiError(422, "empty", "the body is empty: there is nothing to read")
    return Upload(None, data, digest.hexdigest())


async def _receive_parts(chunks: AsyncIterator[bytes], boundary: bytes, settings: Settings) -> list[Upload]:
    try:
        parser = FileParser(boundary, settings.max_files, settings.max_bytes)
        async for chunk in chunks:
            parser.write(chunk)
        parser.finish()
    except BadMultipart as error:
        raise ApiError(400, "bad_multipart", str(error)) from error
    except TooManyFiles as error:
        raise ApiError(413, "too_large", str(error)) from error
    if not parser.files:
        raise ApiError(422, "empty", "the request holds no file: there is nothing to read")
    return [Upload(file.name, bytes(file.data), file.digest.hexdigest()) for file in parser.files]


def _too_large(what: str, limit: int) -> ApiError:
    return ApiError(413, "too_large", f"{what}, the limit is {limit:,}")


__all__ = ["MULTIPART", "RAW", "ClientDisconnect", "Holding", "Memory", "Upload", "receive_files"]
