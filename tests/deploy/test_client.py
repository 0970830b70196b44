from __future__ import annotations

import base64
import dataclasses
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte import Client, Predictor, create_model, load
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.deploy.server import Settings, serve_in_thread
from anybyte.files.media import encode_image
from anybyte.models.rekey import rekey
from anybyte.predictor import Failure
from anybyte.privacy.keys import create_key, read_key
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import is_sealed, unseal
from tests.tiny_model import LABELS, SHAPE, save_tiny_model

TOKEN = "a-token-of-24-characters"
FILES = [b"abc" * 50, bytes(range(256)), b"\0", b"x" * 900, b"yz" * 77]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("client") / "tiny")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A server that takes two files a request, so that some files are several requests."""
    settings = Settings(port=0, max_files=2, max_bytes=1000, max_request_bytes=2500, tokens=(TOKEN,))
    with serve_in_thread({"tiny": folder, "other": folder}, settings) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, token=TOKEN) as client:
        yield client


def test_answers_are_those_of_the_predictor(client: Client, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(FILES[0])
    items = [str(path), path, FILES[1], memoryview(FILES[2]), io.BytesIO(FILES[3]), bytearray(FILES[4])]
    found = client.classify(items, top=3)
    expected = load(folder).classify([*items[:4], io.BytesIO(FILES[3]), items[5]], top=3)
    for one, other in zip(found, expected, strict=True):
        assert (one.path, one.label, one.unknown) == (other.path, other.label, other.unknown)
        assert [label for label, _ in one.top] == [label for label, _ in other.top]
        assert [score for _, score in one.top] == pytest.approx([score for _, score in other.top], abs=1e-5)
    (unknown,) = client.classify([FILES[0]], threshold=1.0, model="other")
    assert (unknown.label, unknown.unknown) == ("unknown", True)


def test_a_bad_item_has_its_own_name_and_does_not_stop_the_others(client: Client, tmp_path: Path) -> None:
    items: list[Any] = [FILES[0], b"", tmp_path / "none.bin", b"x" * 1001, io.StringIO("text"), 7, FILES[1]]
    answers = list(client.stream(items))
    assert [isinstance(answer, Failure) for answer in answers] == [False, True, True, True, True, True, False]
    messages = [str(answer.error) for answer in answers if isinstance(answer, Failure)]
    for message, part in zip(
        messages, ["item 1 is empty", "none.bin", "limit is 1,000", "opened as text", "item 5 is int"], strict=True
    ):
        assert part in message
    with pytest.raises(ValueError, match="item 1 is empty"):
        client.classify(items)
    assert client.classify([]) == []
    with pytest.raises(ValueError, match="write classify"):
        client.classify(b"abc")  # type: ignore[arg-type]


def test_facts_and_explanations(client: Client, folder: Path) -> None:
    assert client.model("other")["name"] == "other"
    assert client.model()["labels"] == list(LABELS)
    told = client.explain(FILES[3], method="occlusion", label=LABELS[2])
    assert (told["label"], told["method"]) == (LABELS[2], "occlusion")
    assert told["scores"].dtype == np.float32
    assert told["scores"].shape == (len(FILES[3]),)
    assert told["overlay"]["png"].startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no label 'none'"):
        client.explain(FILES[3], method="occlusion", label="none")


def test_errors_of_the_server_are_those_of_python(url: str, client: Client) -> None:
    with Client(url) as stranger, pytest.raises(PermissionError, match="token"):
        stranger.classify([FILES[0]])
    with pytest.raises(ValueError, match="no model 'none'"):
        client.classify([FILES[0]], model="none")
    with pytest.raises(ValueError, match="top"):
        client.classify([FILES[0]], top=0)
    for wrong in ("localhost:8000", "ftp://here", "http://", "http://here?x=1"):
        with pytest.raises(ValueError, match="is not the address of a server"):
            Client(wrong)


def test_a_server_that_is_not_there_is_named() -> None:
    with Client("http://127.0.0.1:9", timeout=5) as client, pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9"):
        client.model()


def test_a_closed_connection_is_opened_again(folder: Path) -> None:
    with serve_in_thread({"tiny": folder}) as first:
        client = Client(first)
        assert client.classify([FILES[0]])
    port = int(first.rpartition(":")[2])
    with serve_in_thread({"tiny": folder}, Settings(port=port)), client:
        assert client.classify([FILES[0]])


# A server that notes what it is sent, and answers as it is told.


class Notes(HTTPServer):
    replies: list[tuple[int, dict[str, str], Any]]
    received: list[bytes]


class Handler(BaseHTTPRequestHandler):
    server: Notes

    def do_POST(self) -> None:
        self.server.received.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        status, headers, content = self.server.replies.pop(0)
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def notes() -> Iterator[Notes]:
    with Notes(("127.0.0.1", 0), Handler) as server:
        server.replies, server.received = [], []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server: Notes) -> str:
    return f"http://127.0.0.1:{server.server_port}/under/a/path/"


BUSY = (503, {"Retry-After": "0"}, {"error": {"status": 503, "code": "busy", "message": "the queue is full"}})


def about(key: str | None, settings: dict[str, Any] | None = None) -> tuple[int, dict[str, str], Any]:
    settings = settings or dataclasses.asdict(ReadingConfig())
    limits = {"max_files": 9, "max_bytes": 10**6, "max_request_bytes": 10**7}
    return 200, {}, {"name": "m", "reading": {"key": key, "settings": settings}, "limits": limits}


def answered(*labels: str) -> tuple[int, dict[str, str], Any]:
    results = [{"label": label, "score": 1.0, "unknown": False, "top": []} for label in labels]
    return 200, {}, {"model": "m", "results": results}


def test_a_busy_server_is_asked_again_and_not_for_ever(notes: Notes) -> None:
    notes.replies = [about(None), BUSY, BUSY, answered("cat")]
    with Client(address(notes)) as client:
        assert client.classify([b"abc"])[0].label == "cat"
        notes.replies = [BUSY] * 6
        with pytest.raises(ConnectionError, match="the queue is full"):
            client.classify([b"abc"])
        assert notes.replies == []


def test_names_of_files_stay_here(notes: Notes, tmp_path: Path) -> None:
    path = tmp_path / "secret-name.bin"
    path.write_bytes(b"content")
    error = {"error": "file-0: cannot be decoded"}
    notes.replies = [about(None), answered("cat"), (200, {}, {"model": "m", "results": [error]})]
    with Client(address(notes)) as client:
        client.classify([path])
        with pytest.raises(ValueError, match=r"secret-name\.bin: cannot be decoded"):
            client.classify([path])
    assert b"content" in notes.received[1]
    assert not [body for body in notes.received if b"secret" in body]


@pytest.mark.parametrize("reply", [(200, {}, "no dict"), (500, {}, ["nonsense"]), (502, {}, "bad gateway")])
def test_answers_that_are_none_of_ours_are_errors(notes: Notes, reply: Any) -> None:
    notes.replies = [reply]
    with Client(address(notes)) as client, pytest.raises((ConnectionError, TypeError)):
        client.model()["name"]


# Keys.


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "my.key"
    create_key(path)
    return path


def test_with_a_key_only_permuted_bytes_leave(notes: Notes, key: Path) -> None:
    permutation = read_key(key)
    plain = b"plain content " * 20
    notes.replies = [about(permutation.fingerprint), answered("cat")]
    with Client(address(notes), key=key) as client:
        client.classify([plain])
    body = notes.received[1]
    assert b"plain" not in body
    start = body.index(b"\x89ABSEAL1")
    sent = body[start : body.rindex(b"\r\n--")]
    assert is_sealed(sent)
    assert permutation.inverse.apply(unseal(sent, "sent").payload) == plain


def test_no_server_makes_plain_files_leave(notes: Notes, key: Path, tmp_path: Path) -> None:
    fingerprint = read_key(key).fingerprint
    settings = dataclasses.asdict(ReadingConfig())
    settings["privacy"] |= {"permutation": False, "key": str(tmp_path / "no.key")}
    notes.replies = [about(fingerprint, settings), answered("cat")]
    with Client(address(notes), key=key) as client:
        client.classify([b"plain content " * 20])
    assert b"plain" not in notes.received[1]


def test_no_plain_file_goes_to_a_model_with_a_key_nor_a_sealed_one_elsewhere(notes: Notes, key: Path) -> None:
    other = Permutation.random(5)
    with Client(address(notes)) as client:
        notes.replies = [about(other.fingerprint)]
        with pytest.raises(ValueError, match="takes the key"):
            client.classify([b"plain"])
    with Client(address(notes), key=key) as client:
        notes.replies = [about(other.fingerprint)]
        with pytest.raises(ValueError, match="the key given is"):
            client.classify([b"plain"])
    with Client(address(notes), key=key) as client:
        notes.replies = [about(None)]
        with pytest.raises(ValueError, match="reads plain files"):
            client.classify([b"plain"])
    assert not [body for body in notes.received if b"plain" in body]


@pytest.mark.parametrize("format", [None, "tiff"])
def test_a_rekeyed_model_answers_as_the_plain_one(tmp_path: Path, key: Path, format: str | None) -> None:
    permutation = read_key(key)
    plain = load(save_tiny_model(tmp_path / "plain"))
    assert isinstance(plain, Predictor)
    privacy = PrivacyConfig(permutation=True, fingerprint=permutation.fingerprint)
    reading = ReadingConfig(format=format, privacy=privacy)
    rekey(plain.model, permutation).save_pretrained(tmp_path / "rekeyed", labels=LABELS, reading=reading)
    create_model("byteformer_nano", **SHAPE)
    picture = encode_image(np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3), "png")
    with serve_in_thread({"m": tmp_path / "rekeyed"}) as url:
        with Client(url, key=key) as client:
            (found,) = client.classify([picture], top=6)
            told = client.explain(picture, method="occlusion")
        with Client(url) as stranger, pytest.raises(ValueError, match="takes the key"):
            stranger.classify([picture])
    as_read = plain.reading.altered(max_bytes=None, format=format)(picture, "picture")
    (expected,) = plain.classify([as_read], top=6)
    assert found.label == expected.label
    assert dict(found.top) == pytest.approx(dict(expected.top), abs=1e-5)
    assert told["altered"]
    assert len(told["scores"]) == len(as_read)
    assert base64.b64encode(told["overlay"]["png"])
