"""What the page computes by itself, against the library: equal files, equal permutations, equal places."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anybyte.deploy.page import WEB
from anybyte.files.media import encode_audio, encode_image
from anybyte.privacy.keys import create_key
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import seal, unseal

ROUND = np.random.default_rng(5)


class Modules:
    """Calls functions of the page's modules; bytes go there and come back as they are."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def __call__(self, module: str, code: str, *args: Any) -> Any:
        """What `code`, a function of the module `m` and the arguments, gives."""
        packed = [{"bytes": base64.b64encode(arg).decode()} if isinstance(arg, bytes) else arg for arg in args]
        found = self.page.evaluate(
            """async ([module, code, args]) => {
                const m = await import(`/js/${module}.js`);
                const unpack = (arg) => arg?.bytes === undefined ? arg : Uint8Array.fromBase64(arg.bytes);
                const found = await eval(code)(m, ...args.map(unpack));
                return found instanceof Uint8Array ? { bytes: found.toBase64() } : found;
            }""",
            [module, code, packed],
        )
        return base64.b64decode(found["bytes"]) if isinstance(found, dict) and "bytes" in found else found


@pytest.fixture(scope="module")
def modules(browser: Any, static_site: Callable[[Path], Any]) -> Iterator[Modules]:
    page = browser.new_page()
    page.goto(f"{static_site(WEB).url}js/wav.js")  # no page of its own, so no policy forbids the tests' eval
    yield Modules(page)
    page.close()


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 1000])
def test_sha256(modules: Modules, size: int) -> None:
    data = ROUND.bytes(size)
    assert modules("sha256", "(m, data) => m.sha256(data)", data) == hashlib.sha256(data).hexdigest()


def test_a_key_file_gives_the_permutation_of_the_library(modules: Modules, tmp_path: Path) -> None:
    key = create_key(tmp_path / "my.key")
    data = ROUND.bytes(5000)
    text = (tmp_path / "my.key").read_text()
    assert modules("permutation", "(m, text, data) => m.readKey(text, 'my.key').apply(data)", text, data) == key.apply(
        data
    )
    fingerprint = modules("permutation", "(m, text) => m.readKey(text, 'my.key').fingerprint", text)
    assert fingerprint == key.fingerprint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not a key file"),
        ('{"kind": "anybyte byte permutation"}', "is not a key file"),
        ('{"kind": "anybyte byte permutation", "permutation": "00ff"}', "is a damaged key"),
        ('{"kind": "anybyte byte permutation", "permutation": "%s"}' % ("07" * 256), "255 of the 256"),
    ],
)
def test_a_bad_key_is_told(modules: Modules, text: str, message: str) -> None:
    told = modules(
        "permutation",
        "(m, text) => { try { m.readKey(text, 'k'); } catch (error) { return error.message; } }",
        text,
    )
    assert message in told


def test_sealed_files_are_those_of_the_library(modules: Modules) -> None:
    key, digest, payload = Permutation.random(3), ROUND.bytes(8), ROUND.bytes(300)
    sealed = modules("permutation", "(m, p, f, d) => m.seal(p, f, d)", payload, key.fingerprint, digest.hex())
    assert sealed == seal(payload, key.fingerprint, digest)
    opened = unseal(sealed, "sealed")
    assert (opened.fingerprint, opened.reading, opened.payload) == (key.fingerprint, digest, payload)
    assert modules("permutation", "(m, s) => m.isSealed(s) && m.unseal(s).payload", sealed) == payload


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_recording_is_the_wav_that_the_library_writes(modules: Modules, rate: int) -> None:
    samples = np.concatenate([ROUND.uniform(-1.2, 1.2, 500), [0.5 / 32767, 1.5 / 32767, -0.5 / 32767, 1, -1]])
    samples = samples.astype(np.float32)
    written = modules("wav", "(m, s, rate) => m.writeWav(Float32Array.from(s), rate)", samples.tolist(), rate)
    assert written == encode_audio(samples, rate, "wav:s16")


@pytest.mark.parametrize("side", [8, 28])
def test_a_drawing_is_the_png_that_the_library_writes(modules: Modules, side: int) -> None:
    smooth = np.clip(np.cumsum(ROUND.normal(0, 30, (side, side)), axis=1) + 100, 0, 255).astype(np.uint8)
    noise = ROUND.integers(0, 256, (side, side), dtype=np.uint8)
    blank = np.zeros((side, side), dtype=np.uint8)
    for pixels in (smooth, smooth.T.copy(), noise, blank):
        written = modules("png", "(m, p, side) => m.writePng(p, side, side)", pixels.tobytes(), side)
        assert written == encode_image(pixels, "png:0")


@pytest.mark.parametrize("format", ["png:0", "bmp", "ppm", "tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_found_in_the_file(modules: Modules, format: str, channels: int) -> None:
    shape = (9, 13) if channels == 1 else (9, 13, 3)
    pixels = np.clip(np.cumsum(ROUND.normal(0, 20, shape), axis=1) + 128, 0, 255).astype(np.uint8)
    found = modules(
        "layout",
        """(m, data) => {
            const { width, height, channels, offsets, values } = m.pictureLayout(data);
            return [width, height, channels, Array.from(values), Array.from(offsets)];
        }""",
        encode_image(pixels, format),
    )
    assert found[:3] == [13, 9, channels]
    assert found[3] == pixels.ravel().tolist()
    assert len(set(found[4])) == pixels.size


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "gif", "tiff:lzw"])
def test_compressed_pictures_have_no_layout(modules: Modules, format: str) -> None:
    pixels = np.full((20, 20, 3), 90, dtype=np.uint8)  # noise cannot be compressed, and zlib would store it
    data = encode_image(pixels, format)
    assert modules("layout", "(m, data) => m.pictureLayout(data)", data) is None


def test_cut_files_have_no_layout(modules: Modules) -> None:
    pixels = ROUND.integers(0, 255, (6, 6), dtype=np.uint8)
    for format in ("png:0", "bmp", "ppm", "tiff"):
        data = encode_image(pixels, format)
        cuts = [data[:end] for end in range(0, len(data), 7)]
        found = [modules("layout", "(m, data) => m.pictureLayout(data)?.values.length ?? 0", cut) for cut in cuts]
        assert set(found) <= {0, pixels.size}


@pytest.mark.parametrize("format", ["wav:s16", "wav:u8"])
def test_samples_are_found_in_the_file(modules: Modules, format: str) -> None:
    samples = ROUND.uniform(-1, 1, 100).astype(np.float32)
    found = modules(
        "wav",
        "(m, data) => { const { rate, values } = m.readWav(data); return [rate, Array.from(values)]; }",
        encode_audio(samples, 8000, format),
    )
    assert found[0] == 8000
    np.testing.assert_allclose(found[1], samples, atol=0.005)


def test_recorded_sound_is_resampled_and_trimmed(modules: Modules) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(24000) / 48000) * 0.5
    silence = np.zeros(24000)
    samples = np.concatenate([silence, tone, silence]).tolist()
    code = """async (m, samples) => {
        const found = await m.resample(Float32Array.from(samples), 48000, 8000);
        return [found.length, m.trim(found, 8000).length, Math.max(...found)];
    }"""
    length, trimmed, loudest = modules("record", code, samples)
    assert length == 12000
    assert 4000 <= trimmed <= 4000 + 2 * 0.06 * 8000
    assert loudest == pytest.approx(0.5, abs=0.05)
