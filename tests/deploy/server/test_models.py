from __future__ import annotations

from pathlib import Path

import pytest

from anybyte import create_model
from anybyte.config import PixelsConfig, PrivacyConfig, ReadingConfig
from anybyte.deploy.server import load_models, names_of
from anybyte.deploy.server.explaining import methods_of
from anybyte.deploy.server.models import about
from anybyte.models.rekey import rekey
from anybyte.privacy.permutation import Permutation
from anybyte.privacy.seal import READING_SIZE
from tests.tiny_model import LABELS, SHAPE


def test_names_are_those_of_folders_unless_they_are_given() -> None:
    named = names_of(["runs/digits", "runs/clothes/model", "other=runs/digits/", "org/name"])
    assert list(named) == ["digits", "clothes", "other", "name"]
    assert list(named.values()) == ["runs/digits", "runs/clothes/model", "runs/digits/", "org/name"]
    assert names_of(["runs/a=b"]) == {"a=b": "runs/a=b"}


def test_a_name_is_needed_and_belongs_to_one_model() -> None:
    with pytest.raises(ValueError, match="two models are named 'a'"):
        names_of(["x/a", "y/a"])
    for wrong in ("=path", "name="):
        with pytest.raises(ValueError, match="names no model"):
            names_of([wrong])


def test_nothing_to_serve() -> None:
    with pytest.raises(ValueError, match="no model to serve"):
        load_models({})


@pytest.mark.parametrize(("format", "only"), [(None, True), ("tiff", False)])
def test_a_rekeyed_model_tells_what_callers_need_to_seal(tmp_path: Path, format: str | None, only: bool) -> None:
    key = Permutation.random(1)
    privacy = PrivacyConfig(permutation=True, fingerprint=key.fingerprint)
    model = rekey(create_model("byteformer_nano", **SHAPE), key)
    model.save_pretrained(tmp_path / "m", labels=LABELS, reading=ReadingConfig(format=format, privacy=privacy))
    told = about(load_models({"m": tmp_path / "m"})["m"])["reading"]
    assert told["key"] == key.fingerprint
    assert len(bytes.fromhex(told["digest"])) == READING_SIZE
    assert told["permutes_only"] is only


def test_a_model_of_pixels_is_served_and_not_explained(tmp_path: Path) -> None:
    model = create_model("perceiver_io_pixels_nano", num_classes=3)
    model.save_pretrained(tmp_path / "m", labels=LABELS[:3], reading=PixelsConfig(image_size=32))
    served = load_models({"m": tmp_path / "m"})["m"]
    assert about(served)["reading"]["digest"] is None
    assert methods_of(served.predictor) is None
