from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from anybyte.config import ReadingConfig
from anybyte.evaluate.audit import Embeddings, Findings, Row, attack_camera, attack_permutation
from anybyte.evaluate.audit_material import Part, collect, draw
from anybyte.evaluate.audit_report import Audit, Section, tabulate, write_audit
from anybyte.evaluate.audit_report import draw as draw_pictures
from anybyte.files.media import encode_audio, encode_image
from anybyte.privacy.attacks.guesses import KeyScore
from anybyte.privacy.camera import PixelMask
from anybyte.privacy.permutation import Permutation
from tests.evaluate.sources import Files
from tests.privacy.pictures import smooth_pictures

KEY = Permutation.random(5)
TIFFS = [encode_image(picture, "tiff") for picture in smooth_pictures(120, 16)]
SOURCE = Files.of(("a",), *((0, data) for data in TIFFS))
VICTIMS = collect(Part(SOURCE, tuple(range(20))), ReadingConfig())
PUBLIC = collect(Part(SOURCE, tuple(range(20, 120))), ReadingConfig())


def rows_by_name(findings: Findings) -> dict[tuple[str, int], Row]:
    return {(row.attack, row.files): row for row in findings.rows}


def test_material_is_the_pictures_and_their_bytes() -> None:
    assert len(VICTIMS) == 20
    assert VICTIMS.pictures is not None
    assert np.array_equal(VICTIMS.pictures, np.stack(VICTIMS.bodies()))
    assert VICTIMS.plain[3].tobytes() == TIFFS[3]
    written = collect(Part(SOURCE, (0,)), ReadingConfig(format="fhwc", image_size=8))
    assert written.plain[0].size == 8 * 8 * 3


def test_a_draw_is_without_repetition_and_follows_its_seed() -> None:
    part = draw(SOURCE, 30, seed=1)
    assert len(set(part.indices)) == 30
    assert part.indices == draw(SOURCE, 30, seed=1).indices != draw(SOURCE, 30, seed=2).indices
    assert part.read(4) == SOURCE.read(part.indices[4])
    assert len(draw(SOURCE, 500, seed=1).entries) == 120


def test_bad_files_are_named_or_left_out() -> None:
    files = Files.of(("a",), (0, TIFFS[0]), (0, b"no picture"), (0, b"broken"))
    with pytest.raises(ValueError, match=r"1\.bin"):
        collect(files, ReadingConfig())
    material = collect(files, ReadingConfig(), on_error="skip")
    assert len(material) == 1
    assert len(material.left_out) == 2
    with pytest.raises(ValueError, match="no picture or sound"):
        collect(Files.of(("a",), (0, b"broken")), ReadingConfig(), on_error="skip")


def test_attacks_on_a_permutation() -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(256, 8)).astype(np.float32)
    secret = plain[np.frombuffer(KEY.inverse.table, np.uint8)]
    names = ("ranks", "headers", "combined", "embedding")
    findings = attack_permutation(KEY, 0, VICTIMS, PUBLIC, (1, 20, 50), names, Embeddings(secret, plain))
    rows = rows_by_name(findings)
    assert set(rows) == {(name, count) for name in names[:3] for count in (1, 20)} | {("embedding", 0)}
    assert rows["embedding", 0].psnr == 99
    assert rows["embedding", 0].key == KeyScore(1, 1, 1, 0)
    key, psnr = rows["combined", 20].key, rows["combined", 20].psnr
    assert key is not None
    assert key.error < 10
    assert psnr is not None
    assert psnr > (rows["ranks", 20].psnr or 0) + 5
    assert [name for name, _ in findings.pictures] == ["original", "what is sent", *names]
    assert not np.array_equal(findings.pictures[0][1], findings.pictures[1][1])


def test_compressed_files_leave_headers_and_ranks() -> None:
    config = ReadingConfig(format="jpeg:q60")
    victims, public = (collect(Part(SOURCE, range_), config) for range_ in (tuple(range(5)), tuple(range(5, 30))))
    findings = attack_permutation(KEY, 0, victims, public, (5,))
    rows = rows_by_name(findings)
    assert {name for name, _ in rows} == {"ranks", "headers", "combined"}
    headers = rows["headers", 5].key
    assert headers is not None
    assert headers.values > 0.5  # a JPEG's tables hold most byte values
    assert rows["headers", 5].psnr is None
    assert any("smoothness" in reason for reason in findings.left_out)


def test_sounds_are_attacked_too() -> None:
    rng = np.random.default_rng(0)
    sounds = []
    for _ in range(12):
        pitch = rng.uniform(0.02, 0.1)
        wave = 0.6 * np.sin(pitch * np.arange(rng.integers(900, 1100))).astype(np.float32)
        sounds.append(encode_audio(wave, 8000, "wav:s16"))
    source = Files.of(("a",), *((0, data) for data in sounds))
    victims, public = (collect(Part(source, indices), ReadingConfig()) for indices in ((0, 1, 2), tuple(range(3, 12))))
    rows = rows_by_name(attack_permutation(KEY, 0, victims, public, (3,), ("ranks", "headers", "smoothness")))
    headers = rows["headers", 3].key
    assert headers is not None
    assert headers.values > 0.05
    assert rows["smoothness", 3].psnr is None


def test_attacks_on_a_camera() -> None:
    mask = PixelMask(0.3, seed=1)
    findings = attack_camera(mask, VICTIMS, PUBLIC, (20,), ("nearest", "smooth", "linear", "secret mask"))
    rows = rows_by_name(findings)
    assert (rows["nearest", 0].psnr or 0) < (rows["smooth", 0].psnr or 0)
    score = rows["secret mask", 20].mask
    assert score is not None
    assert 0 <= score.exact <= score.near <= 1
    assert [name for name, _ in findings.pictures][:2] == ["original", "what is sent"]


def test_the_decoder_runs_on_a_camera() -> None:
    findings = attack_camera(PixelMask(0.3), VICTIMS, PUBLIC, (20,), ("decoder",), decoder_seconds=0.3)
    assert (findings.rows[0].psnr or 0) > 15


def test_a_camera_wants_pictures_of_one_size() -> None:
    other = collect(Files.of(("a",), (0, encode_image(smooth_pictures(1, 20)[0], "tiff"))), ReadingConfig())
    with pytest.raises(ValueError, match="one size"):
        attack_camera(PixelMask(0.3), VICTIMS, other, (1,))


def test_the_report(tmp_path: Path) -> None:
    pictures = smooth_pictures(3, 16)
    findings = Findings(
        [Row("headers", "permuted | files", 10, KeyScore(0.5, 0.25, 0.125, 3.0), None, 99.0, None, 0.1)],
        [("original", pictures), ("headers", pictures)],
        ["smoothness: there is a reason"],
    )
    written = write_audit(Audit({"model": "m"}, (Section("permutation", "A title", findings),)), tmp_path / "out")
    assert [path.name for path in written] == ["audit.json", "audit.md", "permutation.png"]
    content = json.loads(written[0].read_text())
    assert content["sections"][0]["rows"][0]["key"]["occurring"] == 0.25
    text = written[1].read_text()
    assert "| headers | permuted \\| files | 10 | 50.0% | 25.0% | 12.5% | 3.00 | equal | 0.1 |" in text
    assert "Not done: smoothness: there is a reason." in text
    assert Pillow.open(io.BytesIO(written[2].read_bytes())).format == "PNG"


def test_empty_columns_are_left_out() -> None:
    heads, lines = tabulate([Row("nearest", "x", 0, None, None, 20.0, 0.5, 1.0)])
    assert heads == ("attack", "what the attacker has", "files", "PSNR, dB", "SSIM", "seconds")
    assert lines == [("nearest", "x", "-", "20.0", "0.500", "1.0")]


def test_grey_pictures_can_be_drawn_small() -> None:
    grey = np.zeros((2, 100, 80, 1), np.uint8)
    drawn = Pillow.open(io.BytesIO(draw_pictures([("grey", grey)], side=50)))
    assert drawn.height < 60
