"""The page without a server: static files, an ONNX model beside them, and onnxruntime-web to compute it in the browser.

The page itself lies in `web/`; the server shows the same files. What differs is `page.json`: it says who computes.
The runtime is no part of the package: 14 MB that few need. It comes from npm, once, with the hashes named here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from anybyte.batch import PADDING
from anybyte.config import PrivacyConfig, ReadingConfig
from anybyte.models.pretrained import parse_config
from anybyte.privacy.permutation import Permutation
from anybyte.reading import describe, reading_digest

WEB = Path(__file__).with_name("web")
"""The page's files, as the server shows them."""

RUNTIME = "onnxruntime-web@1.30.0"
RUNTIME_FILES = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What of the npm package the page needs, and the SHA-256 of each."""

_NOTICE = f"""\
These files are of ONNX Runtime Web ({RUNTIME}), Copyright (c) Microsoft Corporation, under the MIT licence:
https://github.com/microsoft/onnxruntime/blob/main/LICENSE
"""

MAX_BYTES = 2**22
"""Of a file in the browser: one thread of WebAssembly computes it."""
MAX_EXPLAINED = 2**19
"""Of a file that is explained there, which computes it dozens of times."""


def build_page(
    folder: str | os.PathLike[str],
    onnx: str | os.PathLike[str],
    runtime: str | os.PathLike[str] | None = None,
    name: str = "model",
    card: str | None = None,
) -> list[Path]:
    """Writes the page with a model in it, and gives the files. Any server of static files can show the folder.

    Args:
        folder: where to write. What an earlier call wrote is replaced.
        onnx: the model as `anybyte.deploy.onnx.export_onnx` wrote it, with its JSON file beside it.
        runtime: a folder that holds onnxruntime-web, or the archive that `npm pack` makes of it. None: it is fetched
            with npm and kept in the user's cache.
        name: what the page calls the model.
        card: of the model, Markdown, to be read on the page.

    Raises:
        ValueError: the model reads something else than stored or permuted bytes, the folder holds something else, or
            the runtime is not the one the page was made for.
        OSError: something cannot be read or written, or npm is needed and not there.
    """
    folder, onnx = Path(folder), Path(onnx)
    about = onnx.with_suffix(".json")
    fields = _read_about(about)
    settings = page_settings(fields, str(about)) | {"name": name, "card": card}
    _check_folder(folder)
    with _runtime(runtime) as source:
        (folder / "runtime").mkdir(parents=True, exist_ok=True)
        for part in RUNTIME_FILES:
            shutil.copyfile(source / part, folder / "runtime" / part)
    (folder / "runtime/NOTICE.txt").write_text(_NOTICE, encoding="utf-8")
    for source_file in _page_files():
        target = folder / source_file.relative_to(WEB)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source_file, target)
    for file, target_name in ((onnx, "model.onnx"), (about, "model.json")):
        target = folder / target_name
        if not (target.exists() and target.samefile(file)):
            shutil.copyfile(file, target)
    (folder / "page.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def page_settings(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What the page has to know of a model, for `page.json`.

    Args:
        fields: the metadata of the ONNX file.
        where: what to call it in an error.

    Raises:
        ValueError: the browser cannot read files as the model does.
    """
    values = {name: value for name, value in fields["reading"].items() if name != "kind"}  # bytes, or there is no ONNX
    reading: ReadingConfig = parse_config(ReadingConfig, values, where)
    privacy = reading.privacy
    plain = replace(privacy, permutation=False, fingerprint=None, seed=PrivacyConfig().seed)
    if replace(reading, privacy=plain) != ReadingConfig():
        raise ValueError(
            f"the model reads {describe(reading)}: a browser has the stored bytes only. `anybyte serve` shows the same "
            "page with a server that reads files as the model does"
        )
    drawn = privacy.permutation and privacy.fingerprint is None  # by a seed, which is no secret
    return {
        "engine": "browser",
        "model": "model.onnx",
        "about": "model.json",
        "reading": describe(reading),
        "key": privacy.fingerprint,
        "digest": reading_digest(reading).hex(),
        "permutation": Permutation.random(privacy.seed).table.hex() if drawn else None,
        "padding": PADDING,
        "max_bytes": MAX_BYTES,
        "explain_bytes": MAX_EXPLAINED,
    }


def _read_about(path: Path) -> dict[str, Any]:
    """The metadata beside an ONNX file."""
    try:
        fields: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: `anybyte export MODEL --onnx` writes it beside the ONNX file") from error
    if not isinstance(fields, dict) or not {"labels", "reading"} <= fields.keys():
        raise ValueError(f"{path} does not tell labels and reading: `anybyte export MODEL --onnx` writes it")
    return fields


def _page_files() -> list[Path]:
    return [path for path in sorted(WEB.rglob("*")) if path.is_file() and path.suffix in (".html", ".css", ".js")]


def _check_folder(folder: Path) -> None:
    """Raises ValueError if a folder holds anything that is not of a page: it would be lost among its files."""
    if not folder.exists():
        return
    known = {path.relative_to(WEB).parts[0] for path in _page_files()}
    known |= {"page.json", "model.onnx", "model.json", "runtime"}
    if other := sorted(path.name for path in folder.iterdir() if path.name not in known):
        raise ValueError(f"{folder} holds something else than a page ({other[0]}): name a folder of its own")


@contextmanager
def _runtime(given: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A folder with the files of the runtime, each looked at."""
    if given is None:
        yield fetch_runtime()
    elif Path(given).is_dir():
        folder = Path(given)
        inside = [folder, folder / "dist", folder / "package/dist", folder / "node_modules/onnxruntime-web/dist"]
        found = next((place for place in inside if (place / "ort.wasm.min.mjs").is_file()), folder)
        _check_runtime(found)
        yield found
    else:
        with tempfile.TemporaryDirectory() as folder_name:
            _unpack(Path(given), Path(folder_name))
            _check_runtime(Path(folder_name))
            yield Path(folder_name)


def runtime_cache() -> Path:
    """The folder in the user's cache that holds the runtime, once it has been fetched."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anybyte" / RUNTIME


def fetch_runtime() -> Path:
    """`runtime_cache()` with the runtime in it: fetched with npm, if it is not there yet.

    Raises:
        ValueError: its files are not those that the page was made for.
        OSError: there is no npm, or it has no success.
    """
    cache = runtime_cache()
    if not all((cache / file).is_file() for file in RUNTIME_FILES):
        _fetch(cache)
    _check_runtime(cache)
    return cache


def _fetch(cache: Path) -> None:
    """Puts the runtime into the cache, by npm."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError(
            f"the page needs {RUNTIME}, and npm, which would fetch it, is not installed: install npm, or name a copy "
            f"with --runtime (`npm pack {RUNTIME}` on another machine makes one)"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", RUNTIME, "--pack-destination", folder, "--silent"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            why = (done.stderr.strip().splitlines() or ["no archive came"])[-1]
            raise OSError(f"`npm pack {RUNTIME}` failed: {why}")
        cache.mkdir(parents=True, exist_ok=True)
        _unpack(archives[0], cache)


def _unpack(archive: Path, folder: Path) -> None:
    """Takes the runtime's files, and nothing else, out of an npm archive."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for file in RUNTIME_FILES:
                member = tar.extractfile(f"package/dist/{file}")
                if member is None:
                    raise KeyError(file)
                partial = folder / f"{file}.partial"
                with partial.open("wb") as target:
                    shutil.copyfileobj(member, target)
                partial.replace(folder / file)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise ValueError(f"{archive} is not the archive of {RUNTIME} that `npm pack` makes") from error


def _check_runtime(folder: Path) -> None:
    """Raises ValueError if a file of the runtime is not the one that the page was made for."""
    for file, digest in RUNTIME_FILES.items():
        path = folder / file
        if not path.is_file():
            raise ValueError(f"{folder} does not hold {file} of {RUNTIME}")
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != digest:
                raise ValueError(f"{path} is not the file of {RUNTIME}: its SHA-256 is another")


if __name__ == "__main__":
    print(fetch_runtime())
