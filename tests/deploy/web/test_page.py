"""The page in a browser, with a real server and a real model behind it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.cli import main
from anybyte.config import ReadingConfig
from anybyte.deploy.server import Settings, serve_in_thread
from anybyte.files.media import decode
from anybyte.models.zoo import load_pretrained
from anybyte.privacy.keys import create_key, read_key
from anybyte.privacy.seal import unseal
from tests.deploy.web.conftest import drop
from tests.deploy.web.made_files import LABELS, made_file

Visit = Callable[..., Any]

HEAT = "#overlay canvas, #overlay img"


def bars(page: Any) -> dict[str, float]:
    """The scores on the page, in percent."""
    rows = page.eval_on_selector_all(
        "#scores li",
        "rows => rows.map(row => [row.querySelector('.name').innerText, row.querySelector('.value').innerText])",
    )
    return {name: float(value.removesuffix(" %")) for name, value in rows}


def hex_bytes(page: Any, count: int) -> bytes:
    """The first bytes of the hex view."""
    return bytes.fromhex(
        "".join(page.eval_on_selector_all("#hex b[data-at]", "all => all.map(b => b.innerText)")[:count])
    )


def ask(url: str, path: str, data: bytes) -> Any:
    """What the server answers about a file."""
    head = {"Content-Type": "application/octet-stream"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/{path}", data, head)) as answer:
        return json.load(answer)


@pytest.mark.parametrize("label", LABELS)
def test_a_dropped_file_is_answered_and_explained(visit: Visit, server: str, label: str) -> None:
    page, data = visit(server), made_file(label, 999)
    drop(page, "dropped", data)
    page.wait_for_selector(HEAT)
    assert page.inner_text("#label") == label
    assert page.inner_text("#status").startswith(f"dropped: {label}, ")
    expected = {part["label"]: 100 * part["score"] for part in ask(server, "classify?top=4", data)["results"][0]["top"]}
    assert bars(page) == pytest.approx(expected, abs=0.06)
    assert list(bars(page)) == list(expected)
    is_sound = label.endswith("tone")
    assert page.inner_text("#heat-caption").startswith("The sound" if is_sound else "The picture")
    assert page.locator("#plain audio" if is_sound else "#plain img").count() == 1
    assert hex_bytes(page, 64) == data[:64]
    assert page.locator("#hex b[class]").count() > 20
    assert page.locator("#stretches li").count() == 8


@pytest.mark.parametrize(("format", "kind"), [("tiff", "The picture"), ("ppm", "The picture"), ("png", "The bytes")])
def test_the_heat_lies_over_what_the_file_shows(visit: Visit, server: str, format: str, kind: str) -> None:
    page = visit(server)
    drop(page, f"a.{format}", made_file("bars", 5, format))
    page.wait_for_selector(HEAT)
    assert page.inner_text("#heat-caption").startswith(kind)


def test_the_heat_is_where_the_scores_are(visit: Visit, server: str) -> None:
    page, data = visit(server), made_file("box", 3, "ppm")
    drop(page, "a.pgm", data)
    page.wait_for_selector("#overlay canvas")
    seen = page.eval_on_selector(
        "#overlay canvas",
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data)",
    )
    colours = np.reshape(seen, (-1, 4))
    warmth = colours[:, 0] - colours[:, 2]  # orange speaks for it, blue against it
    scores = np.frombuffer(base64.b64decode(ask(server, "explain?scores=float32", data)["scores"]["data"]), "<f4")[
        -len(warmth) :
    ]
    strong = np.abs(scores) > 0.3 * np.abs(scores).max()
    assert (np.sign(warmth[strong]) == np.sign(scores[strong])).all()
    assert np.abs(warmth[np.abs(scores) < 0.01 * np.abs(scores).max()]).max() < 10


def test_another_label_and_method_are_explained(visit: Visit, server: str) -> None:
    page = visit(server)
    drop(page, "a.png", made_file("box", 1))
    page.wait_for_selector(HEAT)
    before = page.inner_text("#stretches")
    page.select_option("#explained", "bars")
    page.wait_for_function("before => document.querySelector('#stretches').innerText !== before", arg=before)
    page.select_option("#method", "occlusion")
    page.wait_for_function("() => document.querySelector('#heat-note').innerText.startsWith('By occlusion')")
    assert page.inner_text("#label") == "box"


def test_the_keyboard_does_everything(visit: Visit, server: str, tmp_path: Path) -> None:
    page, data = visit(server), made_file("low tone", 2)
    (tmp_path / "a.wav").write_bytes(data)
    assert tab_to(page, "file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(tmp_path / "a.wav")
    page.wait_for_selector(HEAT)
    assert page.inner_text("#label") == "low tone"
    assert tab_to(page, "explained")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("() => document.querySelector('#explained').selectedIndex === 1")
    assert tab_to(page, "hex")
    for key, at in (("ArrowRight", 1), ("ArrowDown", 17), ("ArrowLeft", 16), ("End", len(data) - 1), ("Home", 0)):
        page.keyboard.press(key)
        words = page.inner_text("#hex-cursor")
        assert words.startswith(f"Byte {at} (0x{at:x}): 0x{data[at]:02x} = {data[at]}"), key


def tab_to(page: Any, name: str, most: int = 40) -> bool:
    """Whether pressing the tabulator reaches an element."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            return True
    return False


def test_a_drawing_is_read_as_png(visit: Visit, server: str) -> None:
    page = visit(server)
    page.click("#draw")
    page.uncheck("#fit")
    box = page.locator("#sheet").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=5)
    page.mouse.move(box["x"] + 100, box["y"] + 240, steps=5)
    page.mouse.up()
    page.click("#read-drawing")
    page.wait_for_selector(HEAT)
    assert page.inner_text("#status").startswith("drawing.png: ")
    pixels = decode(sent_file(page)).pixels
    assert pixels.shape[:2] == (28, 28)
    grey = pixels.reshape(28, 28, -1)[..., 0]
    assert grey[6, 6:20].min() > 100
    assert grey[26, 24] == 0


@pytest.mark.parametrize(("side", "high"), [(8, 8), (28, 20)])
def test_a_drawing_is_fitted_to_the_picture(visit: Visit, server: str, side: int, high: int) -> None:
    page = visit(server)
    page.click("#draw")
    page.select_option("#side", str(side))
    box = page.locator("#sheet").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 150, steps=5)  # a small one in a corner
    page.mouse.up()
    page.click("#read-drawing")
    page.wait_for_selector(HEAT)
    grey = decode(sent_file(page)).pixels.reshape(side, side, -1)[..., 0]
    rows, columns = (np.flatnonzero((grey > 60).any(axis=axis)) for axis in (1, 0))
    assert len(rows) in (high, high - 1)
    assert rows[0] + rows[-1] == pytest.approx(side - 1, abs=1)
    assert columns[0] + columns[-1] == pytest.approx(side - 1, abs=1)


def test_a_drawing_is_made_by_keys(visit: Visit, server: str) -> None:
    page = visit(server)
    page.click("#draw")
    page.select_option("#side", "8")
    page.uncheck("#fit")
    page.focus("#sheet")
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert "Pen down, column 5, row 8" in page.get_attribute("#sheet", "aria-label")
    page.click("#read-drawing")
    page.wait_for_selector(HEAT)
    grey = decode(sent_file(page)).pixels.reshape(8, 8, -1)[..., 0]
    assert grey[5:, 4].min() > 100
    assert grey[:3].max() == 0
    page.click("#clear")
    page.click("#read-drawing")
    assert "The sheet is empty" in page.inner_text("#error")


def sent_file(page: Any) -> bytes:
    """The whole of a short file, from the hex view."""
    page.set_viewport_size({"width": 1000, "height": 1000})
    page.eval_on_selector("#hex", "box => { box.style.height = box.style.maxHeight = '2000px'; }")
    page.wait_for_function("() => document.querySelector('#hex').clientHeight > 1900")
    page.wait_for_timeout(100)  # the observer of its size comes after the layout
    return bytes.fromhex("".join(page.eval_on_selector_all("#hex b[data-at]", "all => all.map(b => b.innerText)")))


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_recording_is_sent_as_wav(visit: Visit, server: str, rate: int) -> None:
    page = visit(server, permissions=["microphone"])
    page.click("#record-options summary")
    page.select_option("#rate", str(rate))
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(1200)  # Chromium's microphone for tests beeps every second
    with page.expect_request("**/v1/classify*") as request:
        page.click("#record")
    page.wait_for_selector("#answer")
    sound = decode(request.value.post_data_buffer)
    assert (sound.rate, sound.format, sound.samples.ndim) == (rate, "wav:s16", 1)
    assert np.abs(sound.samples).max() > 0.05
    assert len(sound.samples) > 0.05 * rate
    assert page.inner_text("#status").startswith("recording.wav: ")


@pytest.fixture(scope="module")
def keyed(made_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my.key and the re-keyed model."""
    folder = tmp_path_factory.mktemp("keyed")
    create_key(folder / "my.key")
    assert main(["privacy", "rekey", str(made_model), str(folder / "model"), "--key", str(folder / "my.key")]) == 0
    return folder


@pytest.mark.parametrize("label", ["bars", "high tone"])
def test_permuted_bytes_leave_and_are_answered(
    visit: Visit, server: str, keyed: Path, label: str, tmp_path: Path
) -> None:
    data, key = made_file(label, 77), read_key(keyed / "my.key")
    with serve_in_thread({"secret": keyed / "model"}) as url:
        page = visit(url)
        bodies: list[bytes] = []
        page.on("request", lambda request: request.method == "POST" and bodies.append(request.post_data_buffer))
        assert page.is_checked("#permute")
        drop(page, "a", data)
        page.wait_for_function(
            "() => document.querySelector('#error').innerText.startsWith('Choose the key file first')"
        )
        assert bodies == []  # a plain file does not leave
        page.set_input_files("#key", keyed / "my.key")
        page.wait_for_function("() => document.querySelector('#key-state').innerText.endsWith('is loaded.')")
        drop(page, "a", data)
        page.wait_for_selector(HEAT)
        assert page.inner_text("#label") == label
        assert {unseal(body, "sent").payload for body in bodies} == {key.apply(data)}
        assert hex_bytes(page, 64) == key.apply(data)[:64]
        scores = bars(page)
        kind = page.inner_text("#heat-caption")
    expected = ask(server, "classify?top=4", data)["results"][0]["top"]
    assert scores == pytest.approx({part["label"]: 100 * part["score"] for part in expected}, abs=0.06)
    assert kind.startswith("The sound" if label == "high tone" else "The picture")  # drawn in the browser


def test_another_key_is_refused(visit: Visit, keyed: Path, tmp_path: Path) -> None:
    create_key(tmp_path / "other.key")
    with serve_in_thread({"secret": keyed / "model"}) as url:
        page = visit(url)
        page.set_input_files("#key", tmp_path / "other.key")
        page.wait_for_function("() => document.querySelector('#key-state').innerText.includes('for another')")
        drop(page, "a.png", made_file("box", 0))
        page.wait_for_selector("#error")
        assert "the model is for another" in page.inner_text("#error")
        (tmp_path / "no.key").write_text("{}")
        page.set_input_files("#key", tmp_path / "no.key")
        page.wait_for_function("() => document.querySelector('#key-state').innerText.includes('is not a key file')")


def test_a_file_that_is_sealed_already_needs_no_key(visit: Visit, keyed: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(made_file("low tone", 5))
    command = ["privacy", "apply", str(tmp_path / "a.wav"), "--key", str(keyed / "my.key")]
    assert main([*command, "--model", str(keyed / "model"), "-o", str(tmp_path / "sealed")]) == 0
    (sealed,) = (path for path in (tmp_path / "sealed").rglob("*") if path.is_file())
    with serve_in_thread({"secret": keyed / "model"}) as url:
        page = visit(url)
        drop(page, sealed.name, sealed.read_bytes())
        page.wait_for_selector(HEAT)
        assert page.inner_text("#label") == "low tone"
        assert "The model read another form of the file" in page.inner_text("#heat-note")


def test_a_file_that_is_read_in_another_format_is_shown_by_the_server(
    visit: Visit, made_model: Path, tmp_path: Path
) -> None:
    model, labels = load_pretrained(made_model)
    model.save_pretrained(tmp_path / "tiff", labels=labels, reading=ReadingConfig(format="tiff"))
    data = made_file("box", 5, "png")
    with serve_in_thread({"tiff": tmp_path / "tiff"}) as url:
        page = visit(url)
        drop(page, "a.png", data)
        page.wait_for_selector("#overlay img")
        assert page.inner_text("#heat-caption").startswith("The picture")
        assert "The model read another form of the file" in page.inner_text("#heat-note")
        assert page.locator("#hex b[class^=f], #hex b[class^=a]").count() == 0  # these are not the bytes that it read
        assert hex_bytes(page, 16) == data[:16]
        assert bars(page) == pytest.approx(
            {part["label"]: 100 * part["score"] for part in ask(url, "classify?top=4", data)["results"][0]["top"]},
            abs=0.06,
        )


def test_an_answer_below_the_threshold_is_unknown(visit: Visit, made_model: Path) -> None:
    with serve_in_thread({"made": made_model}, Settings(port=0, threshold=1.0)) as url:
        page = visit(url)
        drop(page, "a.png", made_file("box", 5))
        page.wait_for_selector(HEAT)
        assert page.inner_text("#label") == "unknown (nearest: box)"
        assert page.inner_text("#status").startswith("a.png: unknown, ")


def test_a_model_of_plain_files_has_no_switch(visit: Visit, server: str) -> None:
    page = visit(server)
    assert page.is_disabled("#permute")
    assert "reads plain files" in page.inner_text("#permute-hint")


def test_the_token_is_asked_for(visit: Visit, made_model: Path) -> None:
    with serve_in_thread({"made": made_model}, Settings(port=0, tokens=("open sesame",))) as url:
        page = visit(url, wait=False)
        page.wait_for_selector("#token")
        page.fill("#token", "open sesame")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-ready]")
        drop(page, "a.png", made_file("box", 0))
        page.wait_for_selector(HEAT)
        assert page.inner_text("#label") == "box"
        assert not page.is_visible("#token")


def test_models_are_chosen_by_name(visit: Visit, made_model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(made_model, tmp_path / "other")
    (other / "labels.json").write_text(json.dumps(["a", "b", "c", "d"]))
    with serve_in_thread({"made": made_model, "other": other}) as url:
        page = visit(url)
        page.select_option("#model", "other")
        page.wait_for_function("() => document.querySelector('#where').innerText.startsWith('other ')")
        drop(page, "a.png", made_file("bars", 0))
        page.wait_for_selector(HEAT)
        assert page.inner_text("#label") == "a"


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "a.bin is empty"), (bytes(2**24 + 1), "holds 16,777,217 bytes, the limit is 16,777,216")],
    ids=["empty", "too long"],
)
def test_files_that_cannot_be_read_are_told(visit: Visit, server: str, data: bytes, message: str) -> None:
    page = visit(server)
    bodies: list[str] = []
    page.on("request", lambda request: request.method == "POST" and bodies.append(request.url))
    page.evaluate(
        """([size]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(size)], "a.bin"));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
        }""",
        [len(data)],
    )
    page.wait_for_selector("#error")
    assert message in page.inner_text("#error")
    assert bodies == []


def test_a_new_file_takes_the_place_of_the_last(visit: Visit, server: str) -> None:
    page = visit(server)
    for label in LABELS:
        drop(page, label, made_file(label, 4))
    page.wait_for_selector(HEAT)
    page.wait_for_function("label => document.querySelector('#label').innerText === label", arg=LABELS[-1])
    assert page.inner_text("#status").startswith(LABELS[-1])
    assert hex_bytes(page, 16) == made_file(LABELS[-1], 4)[:16]


@pytest.mark.parametrize("size", [300_000, 20_000_000])
def test_only_the_lines_in_sight_exist(visit: Visit, server: str, size: int) -> None:
    page = visit(server)
    page.eval_on_selector("#bytes", "part => { part.hidden = false; }")
    page.evaluate(
        """async (size) => {
            const { HexView } = await import("/js/hexview.js");
            const data = new Uint8Array(size);
            for (let i = 0; i < size; i++) data[i] = i % 251;
            window.view = new HexView(document.querySelector("#hex"), document.querySelector("#hex-cursor"));
            view.show(data);
        }""",
        size,
    )
    for at in (size - 1, size // 2, 12_345, 0):
        page.evaluate("at => view.go(at)", at)
        page.wait_for_function("at => document.querySelector(`#hex b[data-at='${at}']`)", arg=at)
        inside = page.evaluate(
            """at => {
                const cell = document.querySelector(`#hex b[data-at='${at}']`).getBoundingClientRect();
                const box = document.querySelector("#hex").getBoundingClientRect();
                return cell.top >= box.top - 1 && cell.bottom <= box.bottom + 20;
            }""",
            at,
        )
        assert inside, at
        assert page.inner_text(f"#hex b[data-at='{at}']") == f"{at % 251:02x}"
        assert page.locator("#hex .row").count() < 60


def test_nothing_comes_from_elsewhere(visit: Visit, server: str) -> None:
    page = visit("about:blank", wait=False)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server)
    page.wait_for_selector("body[data-ready]")
    drop(page, "a.wav", made_file("high tone", 0))
    page.wait_for_selector(HEAT)
    assert asked
    assert all(url.startswith((server, "data:", f"blob:{server}")) for url in asked)


def test_it_fits_on_a_phone(visit: Visit, server: str) -> None:
    page = visit(server, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.click("#draw")
    drop(page, "a.wav", made_file("high tone", 0))
    page.wait_for_selector(HEAT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#hex .row").first.locator("b").count() == 8


def test_everything_has_a_name(visit: Visit, server: str) -> None:
    page = visit(server)
    page.click("#draw")
    drop(page, "a.wav", made_file("high tone", 0))
    page.wait_for_selector(HEAT)
    nameless = page.evaluate(
        """() => Array.from(document.querySelectorAll(
                "input, select, button, canvas, img, audio, progress, [tabindex='0']"))
            .filter((element) => !(element.labels?.length || element.getAttribute("aria-label") || element.alt
                || element.innerText?.trim()))
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    levels = page.evaluate("Array.from(document.querySelectorAll('h1, h2, h3'), (heading) => heading.tagName)")
    assert levels[0] == "H1"
    assert levels.count("H1") == 1
    assert page.get_attribute("#status", "aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit: Visit, server: str, scheme: str) -> None:
    page = visit(server, color_scheme=scheme, reduced_motion="reduce")
    drop(page, "a.png", made_file("bars", 0))
    page.wait_for_selector(HEAT)
    page.evaluate(
        """() => {
            document.querySelector("#error").hidden = false;
            const cells = [1, 2, 3, 4, 5, 6].flatMap((step) => [`f${step}`, `a${step}`]).map((kind) =>
                Object.assign(document.createElement("b"), { className: kind, textContent: "00" }));
            document.querySelector("#hex .row").append(...cells);
        }"""
    )
    for selector in (
        "body",
        ".hint",
        "#error",
        "#label",
        "#scores .value",
        "button",
        "select",
        "#hex .offset",
        "#hex b",
    ):
        for colours in page.eval_on_selector_all(selector, COLOURS):
            assert contrast(*colours) >= 4.5, (selector, colours)
    assert page.eval_on_selector(".bar span", "bar => getComputedStyle(bar).transitionDuration") == "0s"


COLOURS = """(elements) => elements.filter((element) => !element.disabled).map((element) => {
    const rgba = (text) => {
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        context.fillStyle = text;
        context.fillRect(0, 0, 1, 1);
        return Array.from(context.getImageData(0, 0, 1, 1).data);
    };
    let behind = element;
    while (behind && rgba(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    return [rgba(getComputedStyle(element).color), rgba(getComputedStyle(behind ?? document.body).backgroundColor)];
})"""


def contrast(first: list[int], second: list[int]) -> float:
    """The contrast of two colours as WCAG 2 measures it."""

    def lightness(colour: list[int]) -> float:
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.array(colour[:3]) / 255
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((lightness(first), lightness(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_names_of_files_are_no_markup(visit: Visit, server: str) -> None:
    page = visit(server)
    drop(page, "<img src=x onerror=alert(1)>.png", made_file("box", 0))
    page.wait_for_selector(HEAT)
    assert re.match(r"<img src=x onerror=alert\(1\)>\.png: box", page.inner_text("#status"))
