from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import random
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte import Predictor, create_model, load
from anybyte.config import ReadingConfig
from anybyte.deploy.server import Settings, serve_in_thread
from tests.deploy.server.asking import PARTS, RAW, Gated, ask, body_of, metric, post
from tests.tiny_model import LABELS, SHAPE

TOKEN = "a-token-of-24-characters"


def made_files(count: int, seed: int = 0) -> list[bytes]:
    """Files of 1 byte to 60 kB, small ones as often as large ones."""
    rng = random.Random(seed)
    return [rng.randbytes(round(10 ** rng.uniform(0, 4.8))) for _ in range(count)]


@functools.cache
def predictor_of(folder: Path) -> Predictor:
    found = load(folder)
    assert isinstance(found, Predictor)
    return found


def check(found: Any, data: bytes, folder: Path, top: int = 1) -> None:
    """Whether a result is what the model says of the file alone."""
    (expected,) = predictor_of(folder).classify([data], top=top)
    assert found["label"] == expected.label
    assert found["score"] == pytest.approx(expected.score, abs=1e-5)
    assert [(entry["label"], entry["score"]) for entry in found["top"]] == [
        (label, pytest.approx(score, abs=1e-5)) for label, score in expected.top
    ]
    assert (found["size"], found["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_raw_body_is_a_file(url: str, folder: Path) -> None:
    reply = post(url, b"abc" * 50, "?top=3")
    assert reply.status == 200
    assert reply.json["model"] == "tiny"
    (result,) = reply.json["results"]
    assert (result["name"], result["unknown"]) == (None, False)
    check(result, b"abc" * 50, folder, top=3)


def test_parts_are_files_answered_in_their_order(url: str, folder: Path) -> None:
    files = [("b.bin", b"\0" * 300), ("empty.bin", b""), ("ä.bin", bytes(range(256)))]
    reply = ask(url, "/v1/classify?top=100", body_of(files), PARTS)
    assert reply.status == 200
    first, empty, last = reply.json["results"]
    check(first, files[0][1], folder, top=len(LABELS))
    check(last, files[2][1], folder, top=len(LABELS))
    assert [first["name"], empty["name"], last["name"]] == ["b.bin", "empty.bin", "ä.bin"]
    assert empty["error"] == "empty.bin is empty: there is nothing to classify"


def test_below_the_threshold_it_is_unknown(url: str, folder: Path) -> None:
    (result,) = post(url, b"abc", "?threshold=1&top=2").json["results"]
    assert (result["label"], result["unknown"]) == ("unknown", True)
    assert result["top"][0]["label"] in LABELS
    with serve_in_thread({"tiny": folder}, Settings(port=0, threshold=1.0)) as strict:
        assert post(strict, b"abc").json["results"][0]["unknown"]
        assert not post(strict, b"abc", "?threshold=0").json["results"][0]["unknown"]


def test_answers_to_many_at_once_are_those_of_each_alone(url: str, folder: Path) -> None:
    files = made_files(60)
    batches = metric(url, "anybyte_batch_files_count")
    with ThreadPoolExecutor(30) as pool:
        replies = list(pool.map(lambda data: post(url, data), files))
    for reply, data in zip(replies, files, strict=True):
        assert reply.status == 200
        check(reply.json["results"][0], data, folder)
    assert metric(url, "anybyte_batch_files_count") - batches < len(files), "nothing was computed together"


def test_models_are_asked_by_name(url: str) -> None:
    assert post(url, b"abc", "?model=other").json["model"] == "other"
    assert post(url, b"abc", "?model=none").error == (404, "no_model", "no model 'none': there are tiny, other")


def test_a_model_tells_what_it_is(url: str, folder: Path) -> None:
    told = ask(url, "/v1/model?model=other").json
    assert (told["name"], told["models"], told["labels"]) == ("other", ["tiny", "other"], list(LABELS))
    assert (told["architecture"], told["several"]) == ("ByteFormer", False)
    assert told["parameters"] == sum(parameter.numel() for parameter in predictor_of(folder).model.parameters())
    assert told["reading"]["as_stored"]
    assert (told["reading"]["key"], told["reading"]["permutes_only"]) == (None, False)
    assert "integrated_gradients" in told["explain"]["methods"]
    assert told["limits"]["max_bytes"] == 100_000
    assert told["card"] is None
    (folder / "README.md").write_text("# Tiny\n")
    with serve_in_thread({"tiny": folder}) as anew:
        assert ask(anew, "/v1/model").json["card"] == "# Tiny\n"


def test_the_document_names_every_route_with_examples(url: str) -> None:
    document = ask(url, "/openapi.json").json
    assert set(document["paths"]) == {
        *("/v1/classify", "/v1/explain", "/v1/model", "/healthz", "/readyz", "/metrics"),
    }
    body = document["paths"]["/v1/classify"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/octet-stream", "multipart/form-data"}
    assert '"examples": ["seven"]' in json.dumps(document["components"]["schemas"])


def test_health(url: str) -> None:
    assert ask(url, "/healthz").json["status"] == "alive"
    assert ask(url, "/readyz").json == {"status": "ready", "models": ["tiny", "other"]}


def test_requests_and_batches_are_counted(url: str) -> None:
    before = [metric(url, name) for name in ("anybyte_files_total", "anybyte_batch_bytes_sum")]
    assert ask(url, "/v1/classify", body_of([("a", b"12345"), ("b", b""), ("c", b"678")]), PARTS).status == 200
    assert metric(url, "anybyte_files_total") == before[0] + 3
    assert metric(url, "anybyte_batch_bytes_sum") == before[1] + 8
    text = ask(url, "/metrics").body.decode()
    assert 'anybyte_files_total{model="tiny",outcome="error"}' in text
    assert 'anybyte_requests_total{route="/v1/classify",status="200"}' in text


def test_wrong_requests_have_answers_of_one_form(url: str) -> None:
    def classify(body: bytes, headers: dict[str, str], query: str = "") -> tuple[int, str]:
        return ask(url, f"/v1/classify{query}", body, headers).error[:2]

    assert classify(b"", RAW) == (422, "empty")
    assert classify(body_of([]), PARTS) == (422, "empty")
    assert classify(b"nonsense", PARTS) == (400, "bad_multipart")
    assert classify(b"x", {"Content-Type": "multipart/form-data"}) == (400, "bad_multipart")
    assert classify(b"x", {"Content-Type": "image/png"}) == (415, "wrong_type")
    assert classify(b"x", {}) == (415, "wrong_type")
    assert classify(b"x" * 100_001, RAW) == (413, "too_large")
    assert classify(body_of([("a", b"x")] * 5), PARTS) == (413, "too_large")
    assert classify(body_of([("a", b"x" * 100_001)]), PARTS) == (413, "too_large")
    for query in ("?top=0", "?top=x", "?threshold=2", "?threshold=nan"):
        assert classify(b"x", RAW, query) == (422, "bad_request"), query
    assert ask(url, "/v1/classify").error[:2] == (405, "not_allowed")
    assert ask(url, "/v1/other").error[:2] == (404, "not_found")
    assert ask(url, "/%ff/..//", b"x" * 10).status in (404, 405)


def test_a_file_that_the_model_cannot_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    model = create_model("byteformer_nano", **SHAPE)
    model.save_pretrained(tmp_path / "tiff", labels=LABELS, reading=ReadingConfig(format="tiff"))
    with serve_in_thread({"tiff": tmp_path / "tiff"}) as url:
        status, code, message = post(url, b"no picture").error
        assert (status, code) == (422, "bad_file")
        assert message.startswith("the file: ")
        (result,) = ask(url, "/v1/classify", body_of([("a.png", b"no picture")]), PARTS).json["results"]
        assert result["error"].startswith("a.png: ")


def test_a_token_is_asked_for_where_files_and_numbers_are(folder: Path) -> None:
    with serve_in_thread({"tiny": folder}, Settings(port=0, tokens=(TOKEN,))) as url:
        for path in ("/v1/model", "/metrics"):
            reply = ask(url, path)
            assert reply.error[:2] == (401, "unauthorized")
            assert reply.headers["www-authenticate"] == "Bearer"
            assert ask(url, path, headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
        assert post(url, b"abc").error[:2] == (401, "unauthorized")
        assert post(url, b"abc", Authorization=f"Bearer {TOKEN}x").status == 401
        assert post(url, b"abc", Authorization=f"Bearer {TOKEN}").status == 200
        assert ask(url, "/healthz").json["token"] is True
        assert ask(url, "/readyz").status == 200


def test_every_answer_forbids_what_the_page_does_not_need(url: str) -> None:
    for reply in (ask(url, "/healthz"), ask(url, "/v1/none"), post(url, b"")):
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers


def test_the_log_has_length_and_hash_of_a_file_and_nothing_else(url: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = b"content-that-is-secret"
    with caplog.at_level(logging.DEBUG):
        ask(url, "/v1/classify?model=tiny&top=2", body_of([("secret-name.txt", secret)]), PARTS)
        ask(url, "/v1/classify", body_of([("secret-name.txt", secret)])[:-30] + b"#secret", PARTS)
        ask(url, "/secret-path?secret=1")
        ask(url, "/healthz")  # the line of a request comes after its answer
    ours = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert any(f"{len(secret)}:{hashlib.sha256(secret).hexdigest()}" in line for line in ours)
    assert not [line for line in ours if "secret" in line]


def test_no_file_is_ever_written(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a file would be written")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    assert post(url, b"x" * 99_000).status == 200
    assert ask(url, "/v1/classify", body_of([("a", b"x" * 99_000), ("b", b"x" * 99_000)]), PARTS).status == 200


def test_a_bug_is_told_without_its_details_and_hits_one_file(
    predictor: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    with serve_in_thread({"tiny": predictor}, Settings(port=0, wait_seconds=0.2)) as url:
        with ThreadPoolExecutor(3) as pool:
            replies = list(pool.map(lambda data: post(url, data), [b"one", b"BUG", b"three"]))
        assert [reply.status for reply in replies] == [200, 500, 200]
        assert replies[1].error[1] == "internal"
        for name in ("content-security-policy", "x-content-type-options"):
            assert replies[1].headers[name] == replies[0].headers[name]
        assert b"memory" not in replies[1].body
        assert ask(url, "/healthz").status == 200
    assert "out of memory, say" in caplog.text


def test_explanations(url: str, folder: Path) -> None:
    data = bytes(range(256)) * 2
    reply = ask(url, "/v1/explain?method=occlusion&scores=float32", data, RAW)
    assert reply.status == 200
    told = reply.json
    (expected,) = predictor_of(folder).classify([data])
    assert (told["label"], told["score"]) == (expected.label, pytest.approx(expected.score, abs=1e-4))
    exact = np.frombuffer(base64.b64decode(told["scores"]["data"]), "<f4")
    assert told["scores"]["length"] == len(exact) == len(data)
    assert base64.b64decode(told["overlay"]["png"]).startswith(b"\x89PNG")
    strongest = told["stretches"][0]
    assert strongest["score"] == pytest.approx(float(exact[strongest["start"] : strongest["stop"]].sum()), abs=1e-4)
    told = ask(url, f"/v1/explain?method=occlusion&overlay=false&label={LABELS[1]}", body_of([("a", data)]), PARTS).json
    assert (told["label"], told["overlay"], told["name"]) == (LABELS[1], None, "a")
    values = np.frombuffer(base64.b64decode(told["scores"]["data"]), np.int8)
    assert int(np.abs(values.astype(int)).max()) == 127
    assert ask(url, "/v1/explain?method=magic", data, RAW).error[:2] == (422, "bad_request")
    assert ask(url, "/v1/explain?label=none", data, RAW).error[:2] == (422, "bad_request")
    assert ask(url, "/v1/explain", body_of([("a", b"x"), ("b", b"y")]), PARTS).error[:2] == (422, "bad_request")
    assert ask(url, "/v1/explain", b"", RAW).error[:2] == (422, "empty")


def test_what_is_explained_has_a_limit_of_its_own(folder: Path) -> None:
    with serve_in_thread({"tiny": folder}, Settings(port=0, explain_bytes=10)) as url:
        assert ask(url, "/v1/explain", b"x" * 11, RAW).error[:2] == (413, "too_large")
        assert post(url, b"x" * 11).status == 200
