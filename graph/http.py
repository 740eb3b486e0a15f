"""The door: routes, sessions, limits and errors of the contract, as one FastAPI application."""

import logging
import uuid
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from contracts.messages import (
    MAX_BODY_BYTES,
    FeedbackAnswer,
    FeedbackRequest,
    Health,
    Models,
    Problem,
    QueryAnswer,
    QueryRequest,
    Readiness,
    field_problems,
)
from graph.problems import ProblemError, openapi_problems, problem_response
from graph.service import Caller, Service

SESSION_COOKIE = "hub_session"
SESSION_HEADER = "X-Hub-Session"
REQUEST_HEADER = "X-Request-ID"
SESSION_MAX_AGE_S = 180 * 24 * 3600
JSON = "application/json"
MAX_DRAINED_BYTES = 4 * 1024 * 1024
"""A body that is too large is read to its end up to here: who still sends sees no answer."""
MAX_ERRORS = 20
"""Fields named in one problem."""

Message = TypeVar("Message", bound=BaseModel)

log = logging.getLogger("ray.serve")


def build_http(service_of: Callable[[], Service], *, cors_origins: tuple[str, ...] = ()) -> FastAPI:
    """Return the HTTP application over a service that exists by the time a request comes.

    Pages of `cors_origins` may ask from a browser; without any, only the hub's own pages may.
    """
    app = FastAPI(title="Student Resource Hub", version="1", docs_url=None, redoc_url=None)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=cors_origins,
            allow_credentials=True,
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", SESSION_HEADER, REQUEST_HEADER],
            expose_headers=[SESSION_HEADER, REQUEST_HEADER, "Retry-After"],
        )
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

    _mount_docs(app)
    return app


def request_id_of(request: Request) -> str:
    """Return the id that names this request in logs and problems: the caller's, or a new one."""
    given = request.headers.get(REQUEST_HEADER, "")
    if given and len(given) <= 64 and given.isascii() and given.replace("-", "").isalnum():
        return given
    if "hub_request_id" not in request.scope:
        request.scope["hub_request_id"] = uuid.uuid4().hex
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
        raise ProblemError(
            413, f"The request is larger than {MAX_BODY_BYTES} bytes.", kind="too-large"
        )
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        errors = field_problems(error.errors(include_url=False, include_input=False)[:MAX_ERRORS])
        raise ProblemError(
            422,
            "; ".join(f"{one.field}: {one.message}" for one in errors),
            kind="invalid",
            errors=errors,
        ) from None


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
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
    return response


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
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


def _mount_docs(app: FastAPI) -> None:
    """Serve /docs with its assets from the pinned package: nothing is fetched from elsewhere."""
    assets = Path(fastapi_offline.__file__).with_name("static")
    app.mount("/docs/assets", StaticFiles(directory=assets), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Student Resource Hub: the API",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},
        )

    @app.get("/", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = schema["components"]["schemas"]
            for model in (QueryRequest, FeedbackRequest, Problem):
                described = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= described.pop("$defs", {})
                schemas[model.__name__] = described
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
