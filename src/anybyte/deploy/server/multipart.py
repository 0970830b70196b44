"""The files in a multipart/form-data body, parsed piece by piece into memory.

The usual parsers of web frameworks write large parts to temporary files. Files that were sent here never touch a disk.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

_MAX_BOUNDARY = 70
"""Characters of a boundary (RFC 2046, section 5.1.1)."""

# It quotes bytes of what it cannot parse, and nothing of a file is logged.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


class BadMultipart(ValueError):
    """The body is not multipart/form-data with files in it."""


class TooManyFiles(ValueError):
    """There are more files, or longer ones, than are taken."""


@dataclass(eq=False)
class PartFile:
    """A file of a multipart body.

    Attributes:
        name: as the sender gave it.
        data: what is in it, so far.
        digest: SHA-256 of the data.
    """

    name: str
    data: bytearray = field(default_factory=bytearray)
    digest: Any = field(default_factory=hashlib.sha256)


class FileParser:
    """Collects the files of a body that is given in pieces.

    Attributes:
        files: those seen so far, in their order.

    Args:
        boundary: between the parts, from the content type.
        max_files: that are taken.
        max_bytes: of each.

    Raises:
        BadMultipart: the boundary is none.
    """

    def __init__(self, boundary: bytes, max_files: int, max_bytes: int) -> None:
        if not 0 < len(boundary) <= _MAX_BOUNDARY:
            raise BadMultipart(
                f"the content type's boundary has {len(boundary)} characters, expected 1 to {_MAX_BOUNDARY}"
            )
        self.files: list[PartFile] = []
        self._max_files, self._max_bytes = max_files, max_bytes
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""
        self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_file,
                "on_part_data": self._add,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Takes the next piece of the body.

        Raises:
            BadMultipart: it is malformed.
            TooManyFiles: a limit is passed.
        """
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            place = f" (byte {error.offset} of a piece)" if error.offset >= 0 else ""
            raise BadMultipart(f"the body is not multipart/form-data of this boundary{place}") from error

    def finish(self) -> None:
        """To be called at the end of the body.

        Raises:
            BadMultipart: it ends in the middle.
        """
        if not self._is_whole:
            raise BadMultipart("the body ends before its last boundary")

    def _begin_part(self) -> None:
        self._disposition = b""

    def _begin_header(self) -> None:
        self._header = (bytearray(), bytearray())

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)

    def _begin_file(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            field = options.get(b"name", b"").decode("utf-8", "replace")
            raise BadMultipart(
                f"the part {field!r} has no filename: all parts are files, and what else is to be said goes into the "
                "query"
            )
        if len(self.files) == self._max_files:
            raise TooManyFiles(f"the request has more files than the limit, {self._max_files}")
        self.files.append(PartFile(name.decode("utf-8", "replace")))

    def _add(self, data: bytes, start: int, end: int) -> None:
        file = self.files[-1]
        if len(file.data) + end - start > self._max_bytes:
            raise TooManyFiles(f"{file.name} has more bytes than the limit, {self._max_bytes:,}")
        piece = memoryview(data)[start:end]
        file.data += piece
        file.digest.update(piece)

    def _end(self) -> None:
        self._is_whole = True


def read_content_type(header: str | None) -> tuple[str, dict[str, bytes]]:
    """The type that a Content-Type header names, in small letters, and its options."""
    kind, options = parse_options_header(header)
    return kind.decode("latin-1"), {name.decode("latin-1").lower(): value for name, value in options.items()}
