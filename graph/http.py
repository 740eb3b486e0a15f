"""The door: routes, sessions, limits and errors of the contract, as one FastAPI application."""

import logging
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from fastapi import FastAPI, Request
from pydantic import BaseModel, ValidationError
from ray.serve.context import _get_serve_request_context
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from contracts.messages import (
    MAX_BODY_BYTES,
    FeedbackAnswer,
    FeedbackRequest,
    Health,
    Hints,
    Models,
    Problem,
    QueryAnswer,
    QueryRequest,
    Readiness,
    field_problems,
)
from graph.counting import count_refusal
from graph.docs import mount_docs
from graph.hints import read_hints
from graph.page import mount_page
from graph.problems import ProblemError, openapi_problems, problem_response
from graph.security import SecurityHeaders, came_over_https
from graph.service import Caller, Service

SESSION_COOKIE = "hub_session"
SESSION_HEADER = "X-Hub-Session"
REQUEST_HEADER = "X-Request-ID"
SESSION_MAX_AGE_S = 180 * 24 * 3600
JSON = "application/json"
MAX_DRAINED_BYTES = 4 * 1024 * 1024
"""A body that is too large is read to its end up to here: who still sends sees no answer."""
FLOODS = {"quota", "overload"}
"""Problems that come by the thousand: they are counted, and no line is written for each."""
MAX_ERRORS = 20
"""Fields named in one problem."""

Message = TypeVar("Message", bound=BaseModel)

log = logging.getLogger("ray.serve")


def build_http(service_of: Callable[[], Service], *, cors_origins: tuple[str, ...] = ()) -> FastAPI:
    """Return the HTTP application over a service that exists by the time a request comes.

    Pages of `cors_origins` may ask from a browser; without any, only the hub's own pages may.
    Raises OSError and ValueError when a file that it shows (data, page) is missing or damaged.
    """
    app = _Door(cors_origins)
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_bug)

    @app.post(
        "/v1/query",
        response_model=QueryAnswer,
        responses=openapi_problems(409, 413, 422, 429, 503),
        openapi_extra=_body_schema(QueryRequest),
        summary="Ask a question",
    )
    async def query(request: Request) -> Response:
        service = service_of()
        message = await _read(request, QueryRequest)
        caller = _caller(request, service=service)
        answer = await service.ask(message, caller=caller)
        return _reply(answer, request=request, caller=caller)

    @app.post(
        "/v1/feedback",
        response_model=FeedbackAnswer,
        responses={
            202: {"model": FeedbackAnswer, "description": "Kept; its interaction is on its way"},
            **openapi_problems(404, 413, 422, 429),
        },
        openapi_extra=_body_schema(FeedbackRequest),
        summary="Thumb up or down",
    )
    async def feedback(request: Request) -> Response:
        service = service_of()
        message = await _read(request, FeedbackRequest)
        caller = _caller(request, service=service)
        given = await service.take_feedback(message, caller=caller)
        status = 200 if given.status == "stored" else 202
        return _reply(given, request=request, caller=caller, status=status)

    @app.get("/v1/healthz", summary="The process lives")
    async def healthz() -> Health:
        return Health()

    @app.get(
        "/v1/readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "No answer is possible"}},
        summary="Any answer is possible",
    )
    async def readyz() -> Response:
        readiness = await service_of().readiness()
        return Response(
            readiness.model_dump_json(),
            status_code=200 if readiness.ready else 503,
            media_type=JSON,
        )

    @app.get("/v1/models", summary="The champion, and what every replica really holds")
    async def models() -> Models:
        return await service_of().models()

    said = read_hints().model_dump_json()

    @app.get("/v1/hints", response_model=Hints, summary="What to show besides answers")
    async def hints() -> Response:
        return Response(said, media_type=JSON)

    mount_docs(app, models=(QueryRequest, FeedbackRequest, Problem))
    mount_page(app)
    return app


class _Door(FastAPI):
    """FastAPI, with what every response must pass put outside of FastAPI's own error handling.

    What `add_middleware` adds lies inside of it, and would not see a 500.
    """

    def __init__(self, cors_origins: tuple[str, ...]) -> None:
        super().__init__(title="Student Resource Hub", version="1", docs_url=None, redoc_url=None)
        self._cors_origins = cors_origins

    def build_middleware_stack(self) -> ASGIApp:
        stack: ASGIApp = super().build_middleware_stack()
        if self._cors_origins:
            stack = CORSMiddleware(
                stack,
                allow_origins=self._cors_origins,
                allow_credentials=True,
                allow_methods=["GET", "POST"],
                allow_headers=["Content-Type", SESSION_HEADER, REQUEST_HEADER],
                expose_headers=[SESSION_HEADER, REQUEST_HEADER, "Retry-After"],
            )
        return SecurityHeaders(stack, cross_origin=bool(self._cors_origins))


def request_id_of(request: Request) -> str:
    """Return the id that names this request in logs and problems: the caller's, or a new one."""
    given = request.headers.get(REQUEST_HEADER)
    if given and len(given) <= 64 and given.isascii() and given.replace("-", "").isalnum():
        return given
    if "hub_request_id" not in request.scope:
        # Without the caller's, Serve has made one, and writes that into each line of the log.
        known = _get_serve_request_context().request_id if given is None else ""
        request.scope["hub_request_id"] = known or uuid.uuid4().hex
    return str(request.scope["hub_request_id"])


async def _read(request: Request, model: type[Message]) -> Message:
    """Read and validate the body. Raises 413 and 422 problems."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > MAX_DRAINED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise _refused(
            request,
            ProblemError(
                413, f"The request is larger than {MAX_BODY_BYTES} bytes.", kind="too-large"
            ),
        )
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        errors = field_problems(error.errors(include_url=False, include_input=False)[:MAX_ERRORS])
        said = "; ".join(f"{one.field}: {one.message}" for one in errors)
        raise _refused(request, ProblemError(422, said, kind="invalid", errors=errors)) from None


def _refused(request: Request, problem: ProblemError) -> ProblemError:
    """Count a body that cannot be read; what the service refuses, it counts itself."""
    count_refusal(request.url.path, problem)
    return problem


def _caller(request: Request, *, service: Service) -> Caller:
    token = request.headers.get(SESSION_HEADER) or request.cookies.get(SESSION_COOKIE) or ""
    address = request.client.host if request.client else ""
    return service.caller(token, address=address)


def _reply(message: BaseModel, *, request: Request, caller: Caller, status: int = 200) -> Response:
    response = Response(message.model_dump_json(), status_code=status, media_type=JSON)
    response.headers[REQUEST_HEADER] = request_id_of(request)
    if caller.new_token is not None:
        response.headers[SESSION_HEADER] = caller.new_token
        response.set_cookie(
            SESSION_COOKIE,
            caller.new_token,
            max_age=SESSION_MAX_AGE_S,
            httponly=True,
            samesite="lax",
            secure=came_over_https(request.scope),
        )
    return response


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    if error.kind not in FLOODS:
        level = logging.WARNING if error.status >= 500 else logging.INFO
        log.log(level, "refused with %d: %s", error.status, error.kind)
    return problem_response(error, request_id=request_id_of(request))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    problem = ProblemError(error.status_code, str(error.detail or phrase), kind="http")
    response = problem_response(problem, request_id=request_id_of(request))
    response.headers.update(error.headers or {})
    return response


async def _on_bug(request: Request, error: Exception) -> Response:
    log.exception("unexpected error", exc_info=error)
    problem = ProblemError(500, "Something broke on our side; it has been noted.", kind="internal")
    return problem_response(problem, request_id=request_id_of(request))


def _body_schema(model: type[BaseModel]) -> dict[str, object]:
    return {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}},
        }
    }
