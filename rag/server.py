"""The HTTP face of an assistant: OpenAI's chat API, a page to talk on, health, metrics and feedback.

    GET  /                      the chat page, with its scripts and style
    POST /v1/chat/completions   replies.py
    GET  /v1/models             the one model there is
    POST /v1/feedback           {id, rating: up | down | null, comment}
    GET  /health, /metrics

FastAPI's own /docs is off: it loads scripts from elsewhere, and would be readable without a key.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.bodies import Departed, read_json
from rag.entrance import Entrance
from rag.feedback import Vote, read_vote
from rag.health import health_of
from rag.metrics import CONTENT_TYPE
from rag.openai_errors import ApiError, fault
from rag.openai_protocol import model_entry
from rag.pages import PAGES, page_response
from rag.replies import Completions
from rag.service import SERVER_FAULT, Service

MAX_VOTE_BYTES = 16_384
ROUTES = ("/v1/chat/completions", "/v1/models", "/v1/feedback", "/health", "/metrics")


def build_app(service: Service) -> ASGIApp:
    """The application, behind its entrance."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(ApiError, _problem)
    app.add_exception_handler(Departed, _nobody)
    app.add_exception_handler(Exception, _fault)  # and it goes on to the entrance, which logs it
    app.router.routes.append(Route("/v1/chat/completions", Completions(service), methods=["POST"]))
    app.router.routes.append(Route("/v1/feedback", _Votes(service), methods=["POST"]))
    for path in PAGES:
        app.add_api_route(path, page_response, methods=["GET", "HEAD"])
    _add_reads(app, service)
    return Entrance(app, service, frozenset(PAGES), (*PAGES, *ROUTES, f"/v1/models/{service.model}"))


def _add_reads(app: FastAPI, service: Service) -> None:
    """What is only looked at."""
    entry = model_entry(service.model, service.created, service.settings.name, service.examples)

    @app.get("/v1/models")
    async def models() -> Response:
        return _json({"object": "list", "data": [entry]})

    @app.get("/v1/models/{model}")
    async def model(model: str) -> Response:
        if model != service.model:
            message = f"The model `{model[:80]}` does not exist; this server has `{service.model}`"
            raise ApiError(404, message, code="model_not_found", param="model")
        return _json(entry)

    @app.get("/health")
    async def health() -> Response:
        content, status = health_of(service.assistant, service.slots)
        return _json(content, status)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type=CONTENT_TYPE)


class _Votes:
    """POST /v1/feedback."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._service
        vote = read_vote(await read_json(scope, receive, MAX_VOTE_BYTES, service.patience.body_seconds))
        try:
            await asyncio.to_thread(service.feedback.rate, vote)
        except OSError as error:
            service.log(f"a rating could not be kept: {error}")
            raise fault(500, "the rating could not be kept", "not_kept") from None
        service.metrics.ratings.labels(vote.rating or "taken back").inc()
        await _json(_receipt(vote))(scope, receive, send)


def _receipt(vote: Vote) -> dict[str, Any]:
    return {"object": "feedback", "id": vote.id, "rating": vote.rating}


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return Response(error.body(), error.status, error.headers, "application/json")


async def _no_route(request: Request, error: Exception) -> Response:
    """404 and 405 in OpenAI's form."""
    assert isinstance(error, HTTPException)
    what = {404: "there is nothing at this address", 405: "this address does not take that method"}
    message = what.get(error.status_code, str(error.detail))
    return await _problem(request, ApiError(error.status_code, message, code="unknown_url", headers=error.headers))


async def _nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # sent to a connection that is closed


async def _fault(request: Request, error: Exception) -> Response:
    return await _problem(request, SERVER_FAULT)
