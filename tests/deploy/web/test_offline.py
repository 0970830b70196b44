"""The page without a server: the ONNX model in the browser, against the server and the library."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.cli import main
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.explain import explain
from anybyte.models.rekey import rekey
from anybyte.models.zoo import load_pretrained
from anybyte.predictor import Predictor, load_as
from anybyte.privacy.keys import create_key, read_key
from anybyte.privacy.permutation import Permutation
from tests.deploy.web.conftest import StaticSite, drop
from tests.deploy.web.made_files import LABELS, made_file
from tests.deploy.web.test_page import HEAT, bars, hex_bytes

pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'anybyte[export]'")

Visit = Callable[..., Any]
Publish = Callable[[Path], StaticSite]


@pytest.fixture(scope="session")
def publish(
    runtime: Path, static_site: Callable[[Path], StaticSite], tmp_path_factory: pytest.TempPathFactory
) -> Publish:
    """Exports a model as a page, and serves its files."""

    def run(model: Path) -> StaticSite:
        folder = tmp_path_factory.mktemp("site") / "page"
        assert main(["export", str(model), "--page", str(folder), "--runtime", str(runtime)]) == 0
        return static_site(folder)

    return run


@pytest.fixture(scope="session")
def site(publish: Publish, made_model: Path) -> StaticSite:
    return publish(made_model)


def test_it_answers_as_the_server(visit: Visit, site: StaticSite, server: str) -> None:
    offline, online = visit(site.url), visit(server)
    assert "no file leaves this machine" in offline.inner_text("#where")
    asked = len(site.requests)
    files = [(label, made_file(label, seed)) for label in LABELS for seed in (3, 4)]
    files += [("bytes", bytes(range(256)) * 9), ("one byte", b"\0")]
    for name, data in files:
        for page in (offline, online):
            drop(page, name, data)
            page.wait_for_function(
                "name => document.querySelector('#status').innerText.startsWith(`${name}: `)", arg=name
            )
        assert bars(offline) == pytest.approx(bars(online), abs=0.11)
        assert offline.inner_text("#label") == online.inner_text("#label")
        if name in LABELS:
            assert offline.inner_text("#label") == name
        offline.wait_for_selector(HEAT)
    assert site.requests[asked:] == []  # nothing is asked for any more, so nothing can leave
    assert {method for method, _ in site.requests} == {"GET"}


def test_its_heat_is_the_librarys_occlusion(visit: Visit, site: StaticSite, made_model: Path) -> None:
    page, data = visit(site.url), made_file("high tone", 11)
    found = page.evaluate(
        """async ([text, label]) => {
            const { Browser } = await import("/js/browser.js");
            const browser = new Browser(await (await fetch("/page.json")).json());
            await browser.open();
            const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            return Array.from((await browser.explain(data, { label, size: 80 })).scores);
        }""",
        [base64.b64encode(data).decode(), "high tone"],
    )
    predictor = load_as(Predictor, made_model, device="cpu")
    expected = explain(predictor, data, method="occlusion", label="high tone", size=80).scores
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max() + 1e-7)


def test_its_heat_says_how_it_was_found(visit: Visit, site: StaticSite) -> None:
    page = visit(site.url)
    drop(page, "a.png", made_file("box", 1))
    page.wait_for_selector(HEAT)
    assert page.inner_text("#heat-note").startswith("By occlusion, in this browser: ")
    assert page.inner_text("#heat-caption").startswith("The picture")
    assert page.locator("#hex b[class]").count() > 20
    assert not page.is_visible("#progress")


def test_permuted_bytes_are_answered(visit: Visit, publish: Publish, made_model: Path, tmp_path: Path) -> None:
    key_file, data = tmp_path / "my.key", made_file("low tone", 8)
    create_key(key_file)
    assert main(["privacy", "rekey", str(made_model), str(tmp_path / "model"), "--key", str(key_file)]) == 0
    page = visit(publish(tmp_path / "model").url)
    drop(page, "a.wav", data)
    page.wait_for_selector("#error")
    assert page.inner_text("#error").startswith("Choose the key file first")
    page.set_input_files("#key", key_file)
    page.wait_for_function("() => document.querySelector('#key-state').innerText.endsWith('is loaded.')")
    drop(page, "a.wav", data)
    page.wait_for_selector(HEAT)
    assert page.inner_text("#label") == "low tone"
    assert hex_bytes(page, 64) == read_key(key_file).apply(data)[:64]


def test_a_permutation_that_a_seed_draws_is_done_by_the_page(
    visit: Visit, publish: Publish, made_model: Path, tmp_path: Path
) -> None:
    model, labels = load_pretrained(made_model)
    reading = ReadingConfig(privacy=PrivacyConfig(permutation=True, seed=5))
    rekey(model, Permutation.random(5)).save_pretrained(tmp_path / "model", labels=labels, reading=reading)
    page = visit(publish(tmp_path / "model").url)
    assert page.is_disabled("#permute")
    drop(page, "a.png", made_file("bars", 8))
    page.wait_for_selector(HEAT)
    assert page.inner_text("#label") == "bars"
