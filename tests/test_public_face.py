"""What `import anybyte` offers and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import anybyte

IMPORTS = "import {names}; import json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
SECONDS = "import time; start = time.perf_counter(); import {names}; print(time.perf_counter() - start)"


def run_python(code: str) -> str:
    # -P: the folder that pytest runs in is not on the path, as for any user.
    return subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_face_is_small() -> None:
    assert 0 < len(anybyte.__all__) < 30
    assert set(anybyte.__all__) <= set(dir(anybyte))


@pytest.mark.parametrize("name", anybyte.__all__)
def test_each_public_name_resolves(name: str) -> None:
    assert getattr(anybyte, name) is not None


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        anybyte.lod  # noqa: B018


def test_import_brings_only_torch_and_numpy() -> None:
    alone = set(json.loads(run_python(IMPORTS.format(names="torch, numpy"))))
    with_anybyte = set(json.loads(run_python(IMPORTS.format(names="torch, numpy, anybyte"))))
    beyond = with_anybyte - alone - sys.stdlib_module_names
    assert beyond == {"anybyte"}


def test_import_is_as_quick_as_torch() -> None:
    def best(names: str) -> float:
        return min(float(run_python(SECONDS.format(names=names))) for _ in range(3))

    # The least of three runs each: other work on the machine only ever adds.
    assert best("anybyte") <= best("torch, numpy") + 0.3
