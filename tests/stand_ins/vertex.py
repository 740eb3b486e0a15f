"""Vertex AI's text embeddings over gRPC: the real messages, limits and refusals; no real model.

    with VertexStandIn() as vertex:
        settings = Settings(embedder="vertex", vertex_project="p", vertex_endpoint=vertex.endpoint)

A text's vector is the sum of fixed random vectors of its words and their stems, so that a question
finds what shares words with it. The refusals are in the service's own words, as people quote them.
"""

import re
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import grpc
import numpy as np
from google.cloud.aiplatform_v1.types import PredictRequest, PredictResponse
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value
from numpy.typing import NDArray

from tests.stand_ins.stand_in import StandIn

DIMS = 768
MAX_TEXTS = 250
MAX_TOKENS = 20_000
MAX_TOKENS_A_TEXT = 2_048
TASK_TYPES = {"RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "SEMANTIC_SIMILARITY", "CLUSTERING"}

_NAME = re.compile(r"projects/[\w-]+/locations/[\w-]+/publishers/google/models/text-embedding-005")
_PIECE = re.compile(r"\w{1,4}|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came: how many texts, of which task types, and whether they may be cut."""

    texts: int
    task_types: frozenset[str]
    may_cut: bool


@dataclass
class VertexStandIn(StandIn):
    """Serves on a port of its own. What it is told next (`failing`, `slow`) holds until changed."""

    calls: list[Call] = field(default_factory=list)
    delay_s: float = 0.0
    _failures: list[grpc.StatusCode] = field(default_factory=list)
    _server: grpc.Server | None = None
    _port: int = 0

    @property
    def endpoint(self) -> str:
        return f"localhost:{self._port}"

    def start(self) -> None:
        """Serve, on the same port as before if it was stopped."""
        server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        predict = grpc.unary_unary_rpc_method_handler(
            self._predict,
            request_deserializer=PredictRequest.deserialize,
            response_serializer=PredictResponse.serialize,
        )
        service = "google.cloud.aiplatform.v1.PredictionService"
        handler = grpc.method_handlers_generic_handler(service, {"Predict": predict})
        server.add_generic_rpc_handlers((handler,))
        self._port = server.add_insecure_port(f"127.0.0.1:{self._port}")
        server.start()
        self._server = server

    def stop(self) -> None:
        """Die: connections are refused from now on."""
        if self._server is not None:
            self._server.stop(grace=0).wait()
            self._server = None

    def fail(self, code: grpc.StatusCode, *, times: int) -> None:
        """Answer the next `times` requests with that status."""
        self._failures = [code] * times

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Take so long for each answer meanwhile."""
        self.delay_s = delay_s
        try:
            yield
        finally:
            self.delay_s = 0.0

    def _predict(self, request: PredictRequest, context: Any) -> PredictResponse:
        message = PredictRequest.pb(request)
        instances = [MessageToDict(instance) for instance in message.instances]
        parameters = MessageToDict(message.parameters)
        may_cut = bool(parameters.get("autoTruncate", True))
        task_types = frozenset(one.get("task_type", "RETRIEVAL_QUERY") for one in instances)
        self.calls.append(Call(len(instances), task_types, may_cut))
        time.sleep(self.delay_s)
        if self._failures:
            context.abort(self._failures.pop(), "told to fail")
        if not _NAME.fullmatch(message.endpoint):
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Publisher Model `{message.endpoint}` was not found."
            )
        texts = [str(one.get("content", "")) for one in instances]
        if refusal := _refusal(texts, task_types=task_types, may_cut=may_cut):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal)
        predictions = [
            _prediction(text, task_type=str(one.get("task_type", "RETRIEVAL_QUERY")))
            for text, one in zip(texts, instances, strict=True)
        ]
        return PredictResponse.wrap(PredictResponse.pb()(predictions=predictions))


def _refusal(texts: list[str], *, task_types: frozenset[str], may_cut: bool) -> str | None:
    if len(texts) > MAX_TEXTS:
        return f"{MAX_TEXTS} instance(s) is allowed per prediction. Actual: {len(texts)}"
    if not all(text.strip() for text in texts):
        return "The text content is empty."
    if unknown := task_types - TASK_TYPES:
        return f"Unable to submit request because it has an invalid task_type: {min(unknown)}."
    counts = [len(_PIECE.findall(text)) for text in texts]
    too_many = "Unable to submit request because the input token count is {} but the model supports"
    again = "Reduce the input token count and try again."
    if sum(counts) > MAX_TOKENS:
        return f"{too_many.format(sum(counts))} up to {MAX_TOKENS}. {again}"
    if not may_cut and max(counts) > MAX_TOKENS_A_TEXT:
        return f"{too_many.format(max(counts))} up to {MAX_TOKENS_A_TEXT}. {again}"
    return None


def _prediction(text: str, *, task_type: str) -> Value:
    pieces = list(_PIECE.finditer(text))
    truncated = len(pieces) > MAX_TOKENS_A_TEXT
    if truncated:
        text = text[: pieces[MAX_TOKENS_A_TEXT].start()]
    statistics = {
        "token_count": min(len(pieces), MAX_TOKENS_A_TEXT),
        "truncated": truncated,
    }
    prediction = ParseDict({"embeddings": {"statistics": statistics}}, Value())
    # Number by number: ParseDict would take a millisecond a vector.
    values = prediction.struct_value.fields["embeddings"].struct_value.fields["values"].list_value
    values.values.extend(
        Value(number_value=number) for number in embed(text, task_type=task_type).tolist()
    )
    return prediction


def embed(text: str, *, task_type: str) -> NDArray[np.float64]:
    """Return the vector of a text: shape (768,), unit length. Task types differ a little."""
    summed = 0.05 * _drawn(f"task {task_type}")
    for word in re.findall(r"\w+", text.casefold()):
        weight = min(len(word), 8) / 8
        summed = summed + weight**2 * (_drawn(word) + 0.7 * _drawn(word[:5] + "-"))
    return np.asarray(summed / np.linalg.norm(summed))


@cache
def _drawn(feature: str) -> NDArray[np.float64]:
    generator = np.random.default_rng(zlib.crc32(feature.encode()))
    return generator.standard_normal(DIMS)
