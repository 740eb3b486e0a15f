"""One request to Vertex AI: Google's client, tried again until a deadline, left alone when away."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import EmbedderAway, SettingsError
from models.breaker import Breaker
from models.vertex import Refused

_CHANNEL: Final = (
    ("grpc.max_receive_message_length", -1),
    # A service that came back is found soon: by default a channel rests for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A peer that vanished without a word is noticed, and not waited for by each call anew.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take with all its tries, and the pauses between them."""

    deadline_s: float
    first_pause_s: float = 0.05
    longest_pause_s: float = 10.0


FOR_QUERIES: Final = Patience(deadline_s=1.1)
"""A query of the default deadline waits 1.2 s for its vector. One with less leaves earlier; one
with more would only wait longer for a service that is away, and is searched for by words then."""

FOR_LOADS: Final = Patience(deadline_s=90.0, first_pause_s=0.5)
"""A quota is a minute's, and a load outlasts it."""

_TELL_FROM_S: Final = 1.0
"""Somebody waits for a load: pauses from here on are said."""

log = logging.getLogger(__name__)


class VertexService:
    """The prediction API for one model. Threads may share it."""

    def __init__(
        self,
        *,
        project: str,
        location: str,
        model: str,
        endpoint: str | None = None,
        patience: Patience = FOR_QUERIES,
        breaker: Breaker | None = None,
    ) -> None:
        """Open a channel; nothing is asked yet.

        `endpoint` is a private one, as host or host:port; with `http://`, or on localhost, it is
        spoken to without TLS and credentials. Without a `breaker` each request waits its time out:
        a load has nothing better to do. Raises SettingsError when Google's client is not
        installed, or there are no credentials.
        """
        try:
            from google.cloud.aiplatform_v1 import PredictionServiceClient
        except ImportError as error:
            raise SettingsError(
                "HUB_EMBEDDER=vertex needs Google's clients:"
                " pip install 'student-resource-hub[gcp]'."
            ) from error
        self._client = PredictionServiceClient(transport=_transport(location, endpoint))
        self._name = f"projects/{project}/locations/{location}/publishers/google/models/{model}"
        self._patience = patience
        self._breaker = breaker

    def predict(
        self, instances: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]
    ) -> tuple[list[list[float]], int]:
        """Return the vectors as they came, and how many of the texts the service cut.

        Raises Refused when the request itself is at fault, and EmbedderAway when the service gives
        no vectors within its patience, or has not lately: then at once.
        """
        from google.cloud.aiplatform_v1.types import PredictRequest, PredictResponse
        from google.protobuf.json_format import ParseDict
        from google.protobuf.struct_pb2 import Value

        # The plain messages: proto-plus would wrap each number of an answer.
        request = PredictRequest.pb()(
            endpoint=self._name,
            instances=[ParseDict(instance, Value()) for instance in instances],
            parameters=ParseDict(parameters, Value()),
        )
        wrapped = PredictRequest.wrap(request)
        with self._breaker.guard() if self._breaker else nullcontext():
            response = call_until(
                lambda left_s: self._client.predict(wrapped, retry=None, timeout=left_s),
                patience=self._patience,
            )
        answers = [
            answer.struct_value.fields for answer in PredictResponse.pb(response).predictions
        ]
        embeddings = [answer["embeddings"].struct_value.fields for answer in answers]
        cut = sum(
            one["statistics"].struct_value.fields["truncated"].bool_value for one in embeddings
        )
        return [
            [number.number_value for number in one["values"].list_value.values]
            for one in embeddings
        ], cut


def call_until(
    call: Callable[[float], Any],
    *,
    patience: Patience,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """Return what `call(seconds left)` returns, tried again while the service may recover.

    Pauses double, and each is drawn at random up to its length. Raises Refused and EmbedderAway.
    """
    from google.api_core import exceptions

    passing = (
        exceptions.ServiceUnavailable,
        exceptions.TooManyRequests,
        exceptions.InternalServerError,
        exceptions.GatewayTimeout,
        exceptions.Aborted,
    )
    ends_s = clock() + patience.deadline_s
    pause_s = patience.first_pause_s
    left_s = patience.deadline_s
    while True:
        try:
            return call(left_s)
        except exceptions.InvalidArgument as error:
            raise Refused(error.message) from error
        except passing as error:
            resting_s = random.uniform(0.5, 1.0) * pause_s
            left_s = ends_s - clock() - resting_s
            if left_s <= 0:
                raise EmbedderAway(
                    f"Vertex AI gave no answer in {patience.deadline_s:g} s:"
                    f" {type(error).__name__}: {error.message}"
                ) from error
            if resting_s >= _TELL_FROM_S:
                log.warning(
                    "Vertex AI gives no vectors (%s: %s), asking again for up to %.0f s",
                    type(error).__name__,
                    error.message,
                    left_s,
                )
            sleep(resting_s)
            pause_s = min(2 * pause_s, patience.longest_pause_s)
        except exceptions.GoogleAPICallError as error:
            raise EmbedderAway(f"Vertex AI: {type(error).__name__}: {error.message}") from error


def _transport(location: str, endpoint: str | None) -> Any:
    import grpc
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.aiplatform_v1.services.prediction_service.transports.grpc import (
        PredictionServiceGrpcTransport,
    )

    host = endpoint or (
        "aiplatform.googleapis.com"
        if location == "global"
        else f"{location}-aiplatform.googleapis.com"
    )
    plain = host.removeprefix("http://")
    if plain != host or plain.split(":")[0] in {"localhost", "127.0.0.1"}:
        options = [*_CHANNEL, ("grpc.enable_http_proxy", 0)]
        return PredictionServiceGrpcTransport(channel=grpc.insecure_channel(plain, options))
    try:
        channel = PredictionServiceGrpcTransport.create_channel(
            host.removeprefix("https://"), options=list(_CHANNEL)
        )
    except GoogleAuthError as error:
        raise SettingsError(
            f"No credentials for Vertex AI: {error} On a machine of Google Cloud give it a service"
            " account with roles/aiplatform.user; elsewhere run"
            " `gcloud auth application-default login`."
        ) from error
    return PredictionServiceGrpcTransport(channel=channel)
