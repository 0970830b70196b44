from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybyte.deploy.server.multipart import BadMultipart, FileParser, TooManyFiles, read_content_type

BOUNDARY = b"b0undary"


def body_of(files: list[tuple[str, bytes]], boundary: bytes = BOUNDARY) -> bytes:
    pieces = []
    for name, data in files:
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        pieces.append(b"--" + boundary + b"\r\n" + head.encode() + data + b"\r\n")
    return b"".join(pieces) + b"--" + boundary + b"--\r\n"


def parse(body: bytes, *cuts: int, max_files: int = 10, max_bytes: int = 1000) -> FileParser:
    parser = FileParser(BOUNDARY, max_files, max_bytes)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(places):
        parser.write(body[start:end])
    parser.finish()
    return parser


PIECES = st.sampled_from([b"\r\n", b"--", BOUNDARY, b"\r\n--" + BOUNDARY[:4], b"\r", b"-", b"\n--", b"\0", b"x"])
"""Of which contents are made that look like the borders between parts."""


@given(
    contents=st.lists(st.binary(max_size=40) | st.lists(PIECES, max_size=6).map(b"".join), max_size=4),
    cuts=st.lists(st.integers(0, 10_000), max_size=5),
)
def test_files_are_what_was_sent_however_the_body_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    contents = [content.replace(b"\r\n--" + BOUNDARY, b"") for content in contents]
    sent = [(f"name {number}.png", content) for number, content in enumerate(contents)]
    found = parse(body_of(sent), *cuts).files
    assert [(file.name, bytes(file.data)) for file in found] == sent
    assert [file.digest.hexdigest() for file in found] == [hashlib.sha256(data).hexdigest() for data in contents]


def test_names_may_be_of_any_language() -> None:
    assert parse(body_of([("Übung 1 ü.wav", b"x")])).files[0].name == "Übung 1 ü.wav"


@given(st.integers(0, 100))
def test_a_body_that_ends_early_is_malformed(length: int) -> None:
    body = body_of([("a", b"content")])
    with pytest.raises(BadMultipart):
        parse(body[: min(length, len(body) - 3)])


@given(st.binary(max_size=200))
def test_anything_else_is_malformed_and_no_crash(body: bytes) -> None:
    with pytest.raises(BadMultipart):
        parse(body)


def test_a_field_that_is_no_file_is_named() -> None:
    body = b'--b0undary\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n--b0undary--\r\n'
    with pytest.raises(BadMultipart, match="'top' has no filename"):
        parse(body)


def test_limits_hold_while_it_is_read() -> None:
    with pytest.raises(TooManyFiles, match="more files than the limit, 2"):
        parse(body_of([("a", b"1"), ("b", b"2"), ("c", b"3")]), max_files=2)
    parser = FileParser(BOUNDARY, 1, max_bytes=5)
    parser.write(body_of([("long.bin", b"")]).partition(b"\r\n--b0undary--")[0] + b"123")
    with pytest.raises(TooManyFiles, match=r"long\.bin has more bytes than the limit, 5"):
        parser.write(b"4" * 50)


@pytest.mark.parametrize("boundary", [b"", b"x" * 71])
def test_a_boundary_has_a_length(boundary: bytes) -> None:
    with pytest.raises(BadMultipart, match="boundary"):
        FileParser(boundary, 1, 1)


def test_content_types_are_read_in_any_case() -> None:
    assert read_content_type('Multipart/Form-Data; Boundary="a b"') == ("multipart/form-data", {"boundary": b"a b"})
    assert read_content_type(None) == ("", {})
