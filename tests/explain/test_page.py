from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from anybyte.explain import Explanation
from anybyte.explain.page import write_page
from anybyte.files.media import encode_image

VOID = ("meta", "img", "br")


class Checker(HTMLParser):
    """Tags that are closed in their order; all attributes, all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def picture_explained() -> Explanation:
    data = encode_image(np.zeros((4, 4, 3), dtype=np.uint8), "tiff")
    scores = np.zeros(len(data), dtype=np.float32)
    scores[-3:], scores[0] = 1, -2
    return Explanation(scores, "<cat>", 1.0, 0.7, "gradient", "<b>&.tiff", data)


def test_it_is_whole_and_needs_nothing_else() -> None:
    page = write_page([picture_explained(), picture_explained()])
    checker = Checker(page)
    assert checker.all("html") == [{"lang": "en"}]
    assert len(checker.all("section")) == 2
    assert not checker.all("script")
    assert not checker.all("link")
    assert not re.search(r"(https?:)?//\w", page.replace("<!doctype html>", "").split("base64,")[0])
    for image in checker.all("img"):
        source = str(image["src"])
        assert source.startswith("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as drawing:
            assert drawing.size == (int(str(image["width"])), int(str(image["height"])))


def test_it_can_be_read_without_seeing_it() -> None:
    checker = Checker(write_page([picture_explained()]))
    assert "4 x 4 pixels" in str(checker.all("img")[0]["alt"])
    assert all(head.get("scope") == "col" for head in checker.all("th"))
    assert checker.all("section")[0]["aria-labelledby"] in [head.get("id") for head in checker.all("h2")]
    assert checker.all("pre")[0]["tabindex"] == "0"
    assert len(checker.all("caption")) == 1


def test_names_and_labels_are_text() -> None:
    checker = Checker(write_page([picture_explained()]))
    assert "<b>&.tiff: <cat>" in checker.text
    assert not checker.all("cat")
    assert not checker.all("b")


def test_bytes_have_their_shade() -> None:
    page = write_page([picture_explained()])
    assert '<span class="n8">49</span> 49 2a' in page  # the first byte of a TIFF
    assert re.search(r'<span class="p\d">00 00 00</span>', page)
    assert "&minus;2" in page
    assert "All bytes." in page


def test_of_a_long_file_the_strongest_lines_are_shown() -> None:
    scores = np.zeros(100_000, dtype=np.float32)
    scores[50_000] = 1
    page = write_page([Explanation(scores, "cat", 1.0, 0.7, "gradient", "a", bytes(100_000))])
    Checker(page)
    assert "The strongest 256 of 6,250 lines; 5,994 are left out." in page
    assert "0000c350" in page
    assert len(page) < 200_000
