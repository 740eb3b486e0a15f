"""Firestore over gRPC, as far as reading a collection goes: the real messages, documents in memory.

    with FirestoreStandIn({"knowledge_nodes": {"gown": {"heading": "Cap and gown"}}}) as firestore:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore.host)

It answers RunQuery (one collection, by document id, behind a cursor, so many, these fields) and
BatchGetDocuments, and refuses all else. It can break a stream after some documents.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.firestore_v1._helpers import encode_value
from google.cloud.firestore_v1.types import (
    BatchGetDocumentsRequest,
    BatchGetDocumentsResponse,
    Document,
    RunQueryRequest,
    RunQueryResponse,
    StructuredQuery,
    Value,
)
from google.protobuf.timestamp_pb2 import Timestamp

from tests.stand_ins.stand_in import StandIn

Fields = Mapping[str, Any]
"""A document's fields as Python has them; a `Value` stands for itself."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ends: after so many documents, with this status and these words."""

    after: int = 0
    status: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    words: str = "the stand-in is told to be away"


@dataclass
class FirestoreStandIn(StandIn):
    """Collections of one project's default database, served on a port of its own."""

    collections: dict[str, dict[str, Fields]]
    project: str = "legacy"
    failures: list[Failure] = field(default_factory=list)
    """What happens to the next calls, in order, one each."""
    always: Failure | None = None
    """What happens to every call."""
    calls: Counter[str] = field(default_factory=Counter)
    documents_read: int = 0
    _server: grpc.Server | None = None
    _port: int = 0

    @property
    def host(self) -> str:
        """What FIRESTORE_EMULATOR_HOST takes."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen: on a free port of this machine, and after a stop on the same one."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers = {
            "RunQuery": grpc.unary_stream_rpc_method_handler(
                self._run_query,
                request_deserializer=RunQueryRequest.deserialize,
                response_serializer=RunQueryResponse.serialize,
            ),
            "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(
                self._batch_get,
                request_deserializer=BatchGetDocumentsRequest.deserialize,
                response_serializer=BatchGetDocumentsResponse.serialize,
            ),
        }
        service = grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", handlers)
        self._server.add_generic_rpc_handlers((service,))
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        self._server.start()

    def stop(self) -> None:
        """Stop listening; the documents stay."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    @property
    def _root(self) -> str:
        return f"projects/{self.project}/databases/(default)/documents"

    def _run_query(
        self, request: RunQueryRequest, context: grpc.ServicerContext
    ) -> Iterator[RunQueryResponse]:
        query = request.structured_query
        names = [order.field.field_path for order in query.order_by]
        if len(query.from_) != 1 or names != ["__name__"] or "where" in query:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "one collection by document id only")
        path = "/".join(
            [*request.parent.removeprefix(self._root).split("/")[1:], query.from_[0].collection_id]
        )
        if not request.parent.startswith(self._root):
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"The database {request.parent} does not exist."
            )
        documents = self.collections.get(path, {})
        ids = sorted(documents, key=str.encode)
        if "start_at" in query:
            cursor, before = query.start_at.values[0].reference_value, query.start_at.before
            at = cursor.rsplit("/", 1)[1].encode()
            ids = [one for one in ids if one.encode() > at or (before and one.encode() == at)]
        if "limit" in query:
            ids = ids[: query.limit]
        keep = _projection(query)
        found = ((f"{self._root}/{path}/{one}", documents[one]) for one in ids)
        responses = (
            RunQueryResponse(document=_document(name, fields, keep=keep), read_time=_NOW)
            for name, fields in found
        )
        yield from self._counted("RunQuery", responses, context)
        yield RunQueryResponse(read_time=_NOW)

    def _batch_get(
        self, request: BatchGetDocumentsRequest, context: grpc.ServicerContext
    ) -> Iterator[BatchGetDocumentsResponse]:
        keep = set(request.mask.field_paths) if "mask" in request else None

        def response(name: str) -> BatchGetDocumentsResponse:
            path, _, document_id = name.removeprefix(f"{self._root}/").rpartition("/")
            fields = self.collections.get(path, {}).get(document_id)
            if fields is None:
                return BatchGetDocumentsResponse(missing=name, read_time=_NOW)
            return BatchGetDocumentsResponse(
                found=_document(name, fields, keep=keep), read_time=_NOW
            )

        yield from self._counted("BatchGetDocuments", map(response, request.documents), context)

    def _counted(
        self, method: str, responses: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Yield the responses, count them, and fail where this call is to fail."""
        self.calls[method] += 1
        failure = self.failures.pop(0) if self.failures else self.always
        for number, response in enumerate(responses):
            if failure is not None and number == failure.after:
                context.abort(failure.status, failure.words)
            self.documents_read += 1
            yield response
        if failure is not None:
            context.abort(failure.status, failure.words)


_NOW = Timestamp(seconds=1_767_225_600)


def _projection(query: StructuredQuery) -> set[str] | None:
    if "select" not in query:
        return None
    return {chosen.field_path for chosen in query.select.fields}


def _document(name: str, fields: Fields, *, keep: set[str] | None) -> Document:
    return Document(
        name=name,
        fields={
            key: one if isinstance(one, Value) else encode_value(one)
            for key, one in fields.items()
            if keep is None or key in keep
        },
        create_time=_NOW,
        update_time=_NOW,
    )
