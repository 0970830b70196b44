"""Asks a server of models: `anybyte.Client(url).classify(files)`, as `anybyte.load(model).classify(files)` asks one in
this process.

With a key, files are read and permuted here, and only what is sealed leaves the machine. What a permutation is worth
is in docs/privacy.md. Names of files never leave it. Nothing but the standard library is needed to talk to the server.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import numpy as np

from anybyte.config import ReadingConfig
from anybyte.models.pretrained import parse_config
from anybyte.predictor import Failure, Item, Prediction
from anybyte.privacy.keys import read_key
from anybyte.privacy.permutation import Permutation, is_same, short
from anybyte.privacy.seal import is_sealed, seal
from anybyte.reading import ByteReading, reading_digest

_RAW = "application/octet-stream"
_PART_BYTES = 512
"""More than what stands around a file in a request."""
_RETRIES = 5
_MAX_PAUSE = 5.0
"""Seconds: a server that asks for more is asked again no later."""


class Client:
    """A server of models.

    Args:
        url: of the server, `http://` or `https://`, with the path that it is under, if any.
        key: the key, or its file, of a model that reads permuted bytes. Files are permuted here, before they are sent.
        token: that the server asks for.
        timeout: seconds to wait for an answer.

    Raises:
        ValueError: the address or the key is none.
        OSError: the key file cannot be read.
    """

    def __init__(
        self,
        url: str,
        key: str | os.PathLike[str] | Permutation | None = None,
        token: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is not the address of a server: write http://HOST:PORT or https://HOST")
        self.url = url
        self._path = parts.path.rstrip("/")
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
        self._token = token
        self._key = read_key(key) if isinstance(key, str | os.PathLike) else key
        self._models: dict[str | None, dict[str, Any]] = {}

    def close(self) -> None:
        """Closes the connection; it is opened again when it is needed."""
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def model(self, model: str | None = None) -> dict[str, Any]:
        """What the server says of a model: labels, how files are read, limits, its card; docs/serve.md names all of it.

        Args:
            model: its name. None: the server's first one.
        """
        found: dict[str, Any] = self._ask("GET", "/v1/model", {"model": model})
        self._models[model] = found
        return found

    def classify(
        self, items: Sequence[Item], top: int = 1, threshold: float | None = None, model: str | None = None
    ) -> list[Prediction]:
        """One answer an item, in the order given, as `Predictor.classify`.

        Args:
            items: paths, byte strings, or files opened with "rb".
            top: labels to give, at most.
            threshold: below this probability the label is `unknown`. None: as the server was told.
            model: its name. None: the server's first one.

        Raises:
            ValueError: an item cannot be classified, or the request is wrong; the message names it.
            OSError: a path cannot be read, the server cannot be reached, or does not answer; PermissionError: it wants
                another token; TimeoutError: it takes too long.
        """
        answers = []
        for answer in self.stream(items, top, threshold, model):
            if isinstance(answer, Failure):
                raise answer.error
            answers.append(answer)
        return answers

    def stream(
        self, items: Iterable[Item], top: int = 1, threshold: float | None = None, model: str | None = None
    ) -> Iterator[Prediction | Failure]:
        """As `classify`, for any number of items: drawn as needed, and a bad one gives a `Failure` in its place."""
        if isinstance(items, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(items, "read"):
            raise ValueError(f"expected a list of items, got a single {type(items).__name__}: write classify([item])")
        sealer = self._sealer(model)
        limits = self._about(model)["limits"]
        query = {"model": model, "top": top, "threshold": threshold}
        read = (_read(item, number, sealer) for number, item in enumerate(items))
        for parcel in _parcels(read, limits["max_files"], limits["max_bytes"], limits["max_request_bytes"]):
            yield from self._send(parcel, query)

    def explain(
        self, item: Item, method: str | None = None, label: str | None = None, model: str | None = None
    ) -> dict[str, Any]:
        """Which bytes of a file decided, as the server tells it (docs/serve.md): its scores are a float32 array.

        Args:
            item: a path, a byte string, or a file opened with "rb".
            method: of those that `model()["explain"]` names. None: the default one.
            label: to explain. None: the most probable one.
            model: its name. None: the server's first one.

        Raises:
            ValueError, OSError: as for `classify`.
        """
        file = _read(item, 0, self._sealer(model))
        if isinstance(file, Failure):
            raise file.error
        query = {"model": model, "method": method, "label": label, "scores": "float32"}
        found: dict[str, Any] = self._ask("POST", "/v1/explain", query, file.data, _RAW)
        found["scores"] = np.frombuffer(base64.b64decode(found["scores"]["data"]), dtype="<f4")
        if found["overlay"] is not None:
            found["overlay"]["png"] = base64.b64decode(found["overlay"]["png"])
        return found | {"name": file.path}

    def _about(self, model: str | None) -> dict[str, Any]:
        return self._models[model] if model in self._models else self.model(model)

    def _sealer(self, model: str | None) -> ByteReading | None:
        """What permutes files here; None if the model reads plain ones.

        Raises:
            ValueError: the key is not the model's. So no file is sent that its reader would not understand, nor a
                plain one to a model that should not see it.
        """
        about = self._about(model)
        fingerprint = about["reading"]["key"]
        if fingerprint is None:
            if self._key is not None:
                raise ValueError(f"a key is given, but the model {about['name']} of {self.url} reads plain files")
            return None
        settings = {name: value for name, value in about["reading"]["settings"].items() if name != "kind"}
        config = cast(ReadingConfig, parse_config(ReadingConfig, settings, f"the reading of {about['name']}"))
        if self._key is not None and not is_same(self._key.fingerprint, fingerprint):
            raise ValueError(
                f"the key given is {short(self._key.fingerprint)}, but the model {about['name']} has "
                f"{short(fingerprint)}"
            )
        # The server decides how files are read, not that they go out as they are, nor which file here is a key.
        privacy = replace(config.privacy, permutation=True, fingerprint=fingerprint, key=None)
        return ByteReading(replace(config, privacy=privacy), key=self._key)

    def _send(self, parcel: list[_File | Failure], query: Mapping[str, Any]) -> Iterator[Prediction | Failure]:
        """The answers to some files that fit into one request."""
        files = [file for file in parcel if isinstance(file, _File)]
        results: Iterator[Any] = iter(())
        if files:
            kind, body = _multipart([file.data for file in files])
            results = enumerate(self._ask("POST", "/v1/classify", query, body, kind)["results"])
        for file in parcel:
            yield file if isinstance(file, Failure) else _answer(file, *next(results))

    def _ask(
        self, method: str, path: str, query: Mapping[str, Any], body: bytes | None = None, kind: str | None = None
    ) -> Any:
        """The JSON that the server answers; a server that is busy is asked again."""
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{self._path}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": "application/json"}
        if kind is not None:
            headers["Content-Type"] = kind
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        status, pause, content = self._exchange(method, target, body, headers)
        for _ in range(_RETRIES):
            if status != 503:
                break
            time.sleep(min(_MAX_PAUSE, pause))
            status, pause, content = self._exchange(method, target, body, headers)
        return _checked(status, content, self.url)

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, float, bytes]:
        """Status, Retry-After and body of the answer. A connection that the server closed meanwhile is opened again."""
        was_open = self._connection.sock is not None
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a refusal may be here already
                self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"{self.url} gives no answer within {self._connection.timeout:g} seconds") from error
            if was_open:
                return self._exchange(method, target, body, headers)
            raise ConnectionError(f"{self.url}: {error or type(error).__name__}") from error
        pause = response.headers.get("Retry-After", "1")
        return response.status, float(pause) if pause.isdecimal() else 1.0, content


@dataclass(frozen=True)
class _File:
    """What is sent of an item."""

    path: str | None
    name: str
    data: bytes


def _read(item: Item, number: int, sealer: ByteReading | None) -> _File | Failure:
    """An item as it is sent: sealed, if the model has a key."""
    path = os.fspath(item) if isinstance(item, str | os.PathLike) else getattr(item, "name", None)
    path = path if isinstance(path, str) else None
    name = path or f"item {number}"
    try:
        data = _content(item, name)
        if not data:
            raise ValueError(f"{name} is empty: there is nothing to send")
        if sealer is not None and not is_sealed(data):
            data = _sealed(data, name, sealer)
    except (ValueError, OSError) as error:
        return Failure(path, error)
    return _File(path, name, data)


def _content(item: Item, name: str) -> bytes:
    if isinstance(item, str | os.PathLike):
        if not os.path.isfile(item) and os.path.exists(item):  # opening a pipe could wait for ever
            raise ValueError(f"{name} is not a regular file")
        with open(item, "rb") as file:
            return file.read()
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if not hasattr(item, "read"):
        raise ValueError(f"{name} is {type(item).__name__}, expected a path, bytes or an open binary file")
    data = item.read()
    if not isinstance(data, bytes):
        raise ValueError(f"{name} is a file opened as text: open it with 'rb'")
    return data


def _sealed(data: bytes, name: str, sealer: ByteReading) -> bytes:
    """A file as it is read, and permuted, for the model.

    Raises:
        ValueError: it cannot be read so, or the key is not at hand.
    """
    fingerprint = sealer.protection.fingerprint
    assert fingerprint is not None
    return seal(sealer(data, name), fingerprint, reading_digest(sealer.config))


def _parcels(
    files: Iterable[_File | Failure], max_files: int, max_bytes: int, max_request_bytes: int
) -> Iterator[list[_File | Failure]]:
    """The files in lists that the server takes in one request; one that it would not take at all is a failure."""
    parcel: list[_File | Failure] = []
    held = 0
    for file in files:
        size = 0
        if isinstance(file, _File):
            size = len(file.data) + _PART_BYTES
            if len(file.data) > max_bytes or size > max_request_bytes - _PART_BYTES:
                message = f"{file.name} would be {len(file.data):,} bytes to send, the server's limit is {max_bytes:,}"
                file, size = Failure(file.path, ValueError(message)), 0
        if parcel and (len(parcel) == max_files or held + size > max_request_bytes - _PART_BYTES):
            yield parcel
            parcel, held = [], 0
        parcel.append(file)
        held += size
    if parcel:
        yield parcel


def _multipart(contents: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body of a request. Files are called by their numbers: their names are nobody's business."""
    boundary = secrets.token_hex(16)
    head = (
        '--{}\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    pieces = []
    for number, data in enumerate(contents):
        pieces += [head.format(boundary, _sent_name(number)).encode(), data, b"\r\n"]
    return f"multipart/form-data; boundary={boundary}", b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _sent_name(number: int) -> str:
    return f"file-{number}"


def _answer(file: _File, number: int, result: Mapping[str, Any]) -> Prediction | Failure:
    """What the server says of a file, under the name that it has here."""
    if "error" in result:
        return Failure(file.path, ValueError(str(result["error"]).replace(_sent_name(number), file.name, 1)))
    top = tuple((entry["label"], entry["score"]) for entry in result["top"])
    return Prediction(file.path, result["label"], result["score"], top, result["unknown"])


def _checked(status: int, content: bytes, url: str) -> Any:
    """The JSON of an answer.

    Raises:
        ValueError, OSError: it is an error; see `Client.classify`.
    """
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ConnectionError(f"{url} answers {status} and no JSON: is it a server of anybyte?") from error
    if status == 200:
        return found
    told = found.get("error") if isinstance(found, dict) else None
    message = f"{url}: {told['message'] if isinstance(told, dict) else f'status {status}'}"
    if status in (401, 403):
        raise PermissionError(message)
    if status in (408, 504):
        raise TimeoutError(message)
    raise ConnectionError(message) if status >= 500 else ValueError(message)
