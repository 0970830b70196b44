"""A server of models over HTTP (extra `serve`; docs/serve.md).

settings.py    limits
models.py      what is served
batching.py    many callers' files in one batch: the queue and its worker thread, free of HTTP
engine.py      batches -> answers and explanations; allocator.py: memory back to the system
app.py         the routes, with schemas.py for their documentation
door.py        around every request: token (auth.py), heads, the log's line
uploads.py     files into memory under the limits, with multipart.py
waiting.py     for results, as long as the caller does
errors.py      what a caller is told, with failures.py
metrics.py     numbers for Prometheus
running.py     uvicorn
"""

from __future__ import annotations

import importlib.util

_NEEDS = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")

if _missing := [name for name in _NEEDS if importlib.util.find_spec(name) is None]:
    raise ModuleNotFoundError(f"the server needs {', '.join(_missing)}: pip install 'anybyte[serve]'")

from anybyte.deploy.server.app import create_app  # noqa: E402
from anybyte.deploy.server.auth import read_tokens  # noqa: E402
from anybyte.deploy.server.models import Served, load_models, names_of  # noqa: E402
from anybyte.deploy.server.running import run, serve_in_thread  # noqa: E402
from anybyte.deploy.server.settings import Settings  # noqa: E402

__all__ = ["Served", "Settings", "create_app", "load_models", "names_of", "read_tokens", "run", "serve_in_thread"]
