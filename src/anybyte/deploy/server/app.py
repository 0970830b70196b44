"""The routes: what is asked over HTTP, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from anybyte import __version__
from anybyte.deploy.server import schemas
from anybyte.deploy.server.door import Door, note_files
from anybyte.deploy.server.engine import Answer, Engine
from anybyte.deploy.server.errors import ApiError
from anybyte.deploy.server.explaining import Question, methods_of
from anybyte.deploy.server.failures import handle_failures
from anybyte.deploy.server.metrics import CONTENT_TYPE, Metrics
from anybyte.deploy.server.models import Served, about
from anybyte.deploy.server.settings import Settings
from anybyte.deploy.server.uploads import Memory, Upload, receive_files
from anybyte.deploy.server.waiting import results_of
from anybyte.predictor import UNKNOWN, Failure

PAGE = Path(__file__).parents[1] / "web"
"""The page's files."""

ABOUT = """\
Says what files are, by models that read their bytes as they are stored. Files are kept in memory while they are looked
at, and nowhere else; the log has their length and hash."""

ModelName = Annotated[str | None, Query(description="name of the model; the first one where none is given")]
Top = Annotated[int, Query(ge=1, description="labels to give, at most")]
Threshold = Annotated[
    float | None, Query(ge=0, le=1, description="below this probability the label is `unknown`; 0 is never")
]
Method = Annotated[str | None, Query(description="of those that /v1/model names; the default one where none is given")]
Label = Annotated[str | None, Query(description="to explain; the most probable one where none is given")]
Encoding = Annotated[Literal["int8", "float32"], Query(description="of the scores")]
WithOverlay = Annotated[bool, Query(description="whether to draw the scores over what the file shows")]


def create_app(models: Mapping[str, Served], settings: Settings) -> FastAPI:
    """The application of some models; its worker threads end with its lifespan.

    Args:
        models: by name (`load_models`).
        settings: the limits.
    """
    metrics = Metrics()
    engine = Engine(models, settings, metrics)
    memory = Memory(settings.held_bytes)
    metrics.gauge("queue_files", "Files that wait", lambda: engine.waiting)
    metrics.gauge("held_bytes", "Bytes of all files in memory", lambda: memory.held)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(engine.stop)

    app = FastAPI(
        title="Anybyte", version=__version__, description=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(Door, tokens=settings.tokens, metrics=metrics)
    handle_failures(app)
    _add_classify(app, engine, memory, settings, metrics)
    _add_explain(app, engine, memory, settings, metrics)
    _add_facts(app, engine, settings, metrics)
    if (PAGE / "index.html").is_file():
        # Not mounted: a mount at "/" would take requests that are of a route but for their method.
        app.router.default = StaticFiles(directory=PAGE, html=True)
    return app


def _add_classify(app: FastAPI, engine: Engine, memory: Memory, settings: Settings, metrics: Metrics) -> None:
    @app.post(
        "/v1/classify",
        response_model=schemas.Classified,
        response_model_exclude_none=True,
        responses=schemas.errors(400, 401, 404, 408, 413, 415, 422, 503, 504),
        openapi_extra=schemas.body_of_files(several=True),
        summary="Say what files are",
    )
    async def classify(
        request: Request, model: ModelName = None, top: Top = 1, threshold: Threshold = None
    ) -> JSONResponse:
        served = engine.find(model)
        engine.check_room(served)
        with memory.hold() as holding:
            uploads = await receive_files(request, holding, settings)
            note_files(request.scope, uploads)
            answers = await results_of(engine.classify(served, uploads), request, settings.timeout)
        if threshold is None:
            threshold = settings.threshold
        results = [_result(upload, answer, top, threshold) for upload, answer in zip(uploads, answers, strict=True)]
        for result in results:
            outcome = "error" if "error" in result else "unknown" if result["unknown"] else "label"
            metrics.file(served.name, outcome)
        if uploads[0].name is None and "error" in results[0]:  # the file is all there is in the request
            raise ApiError(422, "bad_file", str(results[0]["error"]))
        return JSONResponse({"model": served.name, "results": results})


def _result(upload: Upload, answer: Answer, top: int, threshold: float | None) -> dict[str, Any]:
    """What is told of one file."""
    result: dict[str, Any] = {"name": upload.name, "size": len(upload.data), "sha256": upload.sha256}
    if isinstance(answer, Failure):
        return result | {"error": str(answer.error)}
    unknown = threshold is not None and answer.score < threshold
    return result | {
        "label": UNKNOWN if unknown else answer.label,
        "score": answer.score,
        "unknown": unknown,
        "top": [{"label": label, "score": score} for label, score in answer.top[:top]],
    }


def _add_explain(app: FastAPI, engine: Engine, memory: Memory, settings: Settings, metrics: Metrics) -> None:
    @app.post(
        "/v1/explain",
        response_model=schemas.Explained,
        responses=schemas.errors(400, 401, 404, 408, 413, 415, 422, 503, 504),
        openapi_extra=schemas.body_of_files(several=False),
        summary="Say which bytes of a file decided",
    )
    async def explain(
        request: Request,
        model: ModelName = None,
        method: Method = None,
        label: Label = None,
        scores: Encoding = "int8",
        overlay: WithOverlay = True,
    ) -> JSONResponse:
        served = engine.find(model)
        engine.check_room(served, explains=True)
        with memory.hold() as holding:
            uploads = await receive_files(request, holding, settings)
            note_files(request.scope, uploads)
            if len(uploads) != 1:
                raise ApiError(422, "bad_request", f"one file is explained at a time, the request has {len(uploads)}")
            upload = uploads[0]
            if len(upload.data) > settings.explain_bytes:
                message = (
                    f"the file has {len(upload.data):,} bytes, the limit of explanations is {settings.explain_bytes:,}"
                )
                raise ApiError(413, "too_large", message)
            question = Question(upload, method, label, scores, overlay)
            with engine.explanation(served, question) as future:
                (explained,) = await results_of([future], request, settings.timeout)
        metrics.file(served.name, "explained")
        named = {"model": served.name, "name": upload.name, "size": len(upload.data), "sha256": upload.sha256}
        return JSONResponse(named | explained)


def _add_facts(app: FastAPI, engine: Engine, settings: Settings, metrics: Metrics) -> None:
    facts = {name: about(served) | {"explain": methods_of(served.predictor)} for name, served in engine.models.items()}
    limits = {
        name: getattr(settings, name) for name in ("max_bytes", "max_request_bytes", "max_files", "explain_bytes")
    } | {"timeout_seconds": settings.timeout}

    @app.get(
        "/v1/model", response_model=schemas.ModelAbout, responses=schemas.errors(401, 404), summary="A model's facts"
    )
    async def model(model: ModelName = None) -> JSONResponse:
        name = engine.find(model).name
        return JSONResponse({"name": name, "models": list(engine.models), **facts[name], "limits": limits})

    @app.get("/healthz", response_model=schemas.Health, responses=schemas.errors(503), summary="Is the server alive")
    async def healthz() -> JSONResponse:
        if not engine.is_alive:
            raise ApiError(503, "dead", "a worker thread has ended: start the server anew")
        return JSONResponse({"status": "alive", "token": settings.tokens is not None, "version": __version__})

    @app.get("/readyz", response_model=schemas.Ready, responses=schemas.errors(503), summary="Are files taken")
    async def readyz() -> JSONResponse:
        if not engine.is_ready:
            raise ApiError(503, "stopping", "the server is about to stop")
        return JSONResponse({"status": "ready", "models": list(engine.models)})

    @app.get(
        "/metrics",
        response_class=Response,
        responses=schemas.errors(401) | {200: {"content": {"text/plain": {}}, "description": "Numbers for Prometheus"}},
        summary="Numbers for Prometheus",
    )
    async def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)
