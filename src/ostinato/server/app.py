"""The routes: who asks what, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ostinato import __version__
from ostinato.errors import near
from ostinato.server import schemas
from ostinato.server.folder import Upload
from ostinato.server.jobs import About, Job
from ostinato.server.keys import Keys
from ostinato.server.limits import Limits
from ostinato.server.monitor import CONTENT_TYPE, Monitor
from ostinato.server.problems import MEDIA_TYPE, Problem
from ostinato.server.served import Served
from ostinato.server.uploads import Spool
from ostinato.server.workers import Workers
from ostinato.storage import printable

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_CLOSED = ("/v1/", "/metrics")
"""What a key is needed for, if the server has keys: paths that begin so."""

_NO_TELEMETRY: dict[str, Any] = {
    "telemetry": {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
}
"""Newer versions of FastAPI would report to where variables of the environment say."""

_ABOUT = """Name the genre of music, or say why there is none. Send a file of any format as a form
(`multipart/form-data`) or as the body itself. Refusals are `application/problem+json` (RFC 9457)
with a sentence in `detail` and a word for programs in `code`.
"""

_REFUSALS = schemas.problems(400, 401, 408, 413, 415, 422, 429, 503, 507)


class Service:
    """What the routes share: workers, spool, models and the count of what is done."""

    def __init__(
        self,
        workers: Workers,
        spool: Spool,
        models: Sequence[Served],
        *,
        limits: Limits,
        monitor: Monitor,
    ) -> None:
        self.workers = workers
        self.spool = spool
        self.models = {model.name: model for model in models}
        self.limits = limits
        self.monitor = monitor

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Stop the workers behind the app's life."""
        try:
            yield
        finally:
            await self.workers.stop()

    def chosen(self, name: str | None) -> Served:
        """The model of a name, by default the first."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise Problem(
                422,
                "unknown-model",
                f"Expected a model of {', '.join(self.models)}, got '{printable(name[:100])}'"
                + near(name[:100], self.models),
            )
        return self.models[name]

    @asynccontextmanager
    async def received(self, request: Request, most_files: int = 1) -> AsyncIterator[list[Upload]]:
        """Receive the files of a request, at least one; they are deleted behind the context."""
        self.workers.check_place()  # before anybody sends megabytes for nothing
        uploads: list[Upload] = []
        try:
            coming = self.spool.receive(request, most_files=most_files)
            async with aclosing(coming):
                async for upload in coming:
                    self.monitor.received(upload.n_bytes)
                    uploads.append(upload)
            yield uploads
        finally:
            for upload in uploads:
                upload.delete()

    def job(self, upload: Upload, model: Served, **asked: Any) -> Job:
        """What a worker is asked about a file."""
        return Job(
            path=str(upload.path),
            name=upload.name,
            model=model.source,
            most_s=self.limits.sound_s,
            **asked,
        )

    async def verdict(
        self, upload: Upload, model: Served, asked: schemas.HowToHear
    ) -> dict[str, Any]:
        """Have a file heard by a worker."""
        how = asked.model_dump(exclude={"model"})
        values = await self.workers.run(self.job(upload, model, **how))
        self.monitor.gave(model.name, values)
        return values

    async def result(
        self, upload: Upload, model: Served, asked: schemas.HowToHear
    ) -> dict[str, Any]:
        """Have a file heard, one of many: a verdict, or a problem."""
        try:
            return {"verdict": await self.verdict(upload, model, asked), "problem": None}
        except Problem as problem:
            return {"verdict": None, "problem": problem.to_dict()}


def build(
    service: Service,
    *,
    keys: Keys | None = None,
    allowed_origins: Sequence[str] = (),
    page: bool = True,
) -> FastAPI:
    """Make the app. FastAPI's own pages are off, for they load scripts from elsewhere."""
    app = FastAPI(
        title="Ostinato",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
        **_NO_TELEMETRY,
    )
    app.add_exception_handler(Problem, _told)
    app.add_exception_handler(HTTPException, _told_http)
    app.add_exception_handler(RequestValidationError, _told_invalid)
    app.add_exception_handler(Exception, _told_fault)
    _add_own_routes(app, service)
    _add_routes(app, service)
    if page:
        from ostinato.server.page import add_page

        add_page(app, service.limits)
    if keys:
        app.add_middleware(_Door, keys=keys)
    if allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(service.monitor.watching)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    """Add what clients come for."""

    def hearing(
        path: str, summary: str, answer: type[BaseModel], *, many: bool = False
    ) -> _Decorator:
        return app.post(
            path,
            summary=summary,
            response_model=answer,
            responses=_REFUSALS,
            openapi_extra=schemas.body(many=many),
        )

    @hearing("/v1/classify", "Name the genre of a file", schemas.Verdict)
    async def classify(request: Request, asked: schemas.AskedOfOne) -> Response:
        model = service.chosen(asked.model)
        async with service.received(request) as [upload]:
            with service.workers.place():
                return JSONResponse(await service.verdict(upload, model, asked))

    @hearing("/v1/classify/batch", "Name the genres of several files", schemas.Batch, many=True)
    async def batch(request: Request, asked: schemas.AskedOfOne) -> Response:
        model = service.chosen(asked.model)
        async with service.received(request, service.limits.batch_files) as uploads:
            with ExitStack() as places:
                places.enter_context(service.workers.place())
                n_places = 1
                with suppress(Problem):  # others take the rest
                    while n_places < min(len(uploads), service.workers.n):
                        places.enter_context(service.workers.place())
                        n_places += 1
                gate = asyncio.Semaphore(n_places)

                async def one(upload: Upload) -> dict[str, Any]:
                    async with gate:
                        return {"name": upload.name, **await service.result(upload, model, asked)}

                results = await asyncio.gather(*map(one, uploads))
        return JSONResponse({"results": results})

    @hearing("/v1/compare", "Hear a file by several models", schemas.Comparison)
    async def compare(request: Request, asked: schemas.AskedOfMany) -> Response:
        models = [service.chosen(name) for name in dict.fromkeys(asked.model or service.models)]
        async with service.received(request) as [upload]:
            with service.workers.place():
                heard = [service.result(upload, model, asked) for model in models]
                results = await asyncio.gather(*heard)
        named = zip(models, results, strict=True)
        return JSONResponse({"results": [{"model": m.name, **result} for m, result in named]})

    @hearing("/v1/explain", "See what spoke for a verdict", schemas.Explanation)
    async def explain(request: Request, asked: schemas.AskedToExplain) -> Response:
        model = service.chosen(asked.model)
        async with service.received(request) as [upload]:
            with service.workers.place():
                job = service.job(upload, model, explain_at_s=asked.start_s)
                return JSONResponse(await service.workers.run(job))

    @app.get(
        "/v1/models",
        summary="The models",
        response_model=schemas.Models,
        responses=schemas.problems(401, 503),
    )
    async def models() -> Response:
        with service.workers.place():
            return JSONResponse(await service.workers.run(About(tuple(service.models.values()))))


def _add_own_routes(app: FastAPI, service: Service) -> None:
    """Add what whoever runs the server asks."""

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", summary="Is the server there?", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.head("/readyz", include_in_schema=False)
    @app.get(
        "/readyz",
        summary="Does the server take work?",
        response_class=PlainTextResponse,
        responses=schemas.problems(503),
    )
    async def readyz() -> str:
        if not service.workers.is_ready:
            raise Problem(503, "not-ready", "The server is starting or stopping.")
        return "ready\n"

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(service.monitor.metrics(), media_type=CONTENT_TYPE)


class _Door:
    """Asks for a key before anything of a request is read."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_CLOSED):
            headers = dict(scope["headers"])
            shown = headers.get(b"authorization", b"").decode("latin-1")
            if not self._keys.open(shown):
                problem = Problem(
                    401,
                    "key",
                    "Expected a key of this server in the header Authorization: Bearer KEY, got "
                    + ("another one." if shown else "none."),
                )
                await _respond(problem, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _respond(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.to_dict(),
        status_code=problem.status,
        headers={**problem.headers, **(headers or {})},
        media_type=MEDIA_TYPE,
    )


async def _told(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return _respond(problem)


async def _told_http(request: Request, error: Exception) -> Response:
    """Tell of a path or method that there is not."""
    assert isinstance(error, HTTPException)
    said = {
        404: "Expected a path of /openapi.json, got another.",
        405: "Expected another method for this path: see Allow, and /openapi.json.",
    }
    detail = said.get(error.status_code, f"{error.detail}.")
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    return _respond(Problem(error.status_code, code, detail), dict(error.headers or {}))


async def _told_invalid(request: Request, error: Exception) -> Response:
    """Tell of a wrong parameter."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = printable(str(first["loc"][-1])[:100])
    got = printable(repr(first.get("input"))[:100])
    if first["type"] == "extra_forbidden":
        detail = f"Expected parameters that /openapi.json lists, got '{name}'."
    else:
        detail = f"Parameter '{name}': {first['msg']}, got {got}."
    return _respond(Problem(422, "parameter", detail))


async def _told_fault(request: Request, error: Exception) -> Response:
    """Tell of a fault of the server itself; what it was is logged, not told."""
    return _respond(Problem(500, "internal", "The server made a mistake; its log says which."))
