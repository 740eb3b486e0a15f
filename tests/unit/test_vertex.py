"""The Vertex encoder over a service of the test's own: limits, refusals, retries and deadlines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from google.api_core import exceptions

from contracts.errors import EmbedderAway, SettingsError, TextTooLong
from contracts.settings import Settings
from models.chosen_encoder import open_text_encoder
from models.request_limits import MAX_TEXTS, MAX_TOKENS, estimate_tokens, into_requests
from models.vertex import DIMS, Refused, VertexEncoder, vertex_space
from models.vertex_service import Patience, VertexService, call_until

OVER = "Unable to submit request because the input token count is {} but the model supports up to"


@dataclass
class Service:
    """Counts a token a word. A text's vector points where its first word's number says."""

    requests: list[list[str]] = field(default_factory=list)
    parameters: list[Mapping[str, Any]] = field(default_factory=list)
    tasks: set[str] = field(default_factory=set)

    def predict(
        self, instances: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]
    ) -> tuple[list[list[float]], int]:
        texts = [one["content"] for one in instances]
        self.requests.append(texts)
        self.parameters.append(parameters)
        self.tasks |= {one["task_type"] for one in instances}
        counts = [len(text.split()) for text in texts]
        if sum(counts) > MAX_TOKENS:
            raise Refused(f"{OVER.format(sum(counts))} 20000. Reduce it.")
        if not parameters["autoTruncate"] and max(counts) > 2_048:
            raise Refused(f"{OVER.format(max(counts))} 2048. Reduce it.")
        rows = np.zeros((len(texts), DIMS))
        for row, text in enumerate(texts):
            rows[row, int(text.split()[0]) % DIMS] = 3.0
        return rows.tolist(), sum(count > 2_048 for count in counts)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def encoder(service: Service) -> VertexEncoder:
    return VertexEncoder(service, model="text-embedding-005")


def places(vectors: np.ndarray) -> list[int]:
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    return [int(place) for place in vectors.argmax(axis=1)]


def test_requests_hold_no_more_than_the_service_takes_and_keep_the_order() -> None:
    assert into_requests([]) == []
    assert [len(rows) for rows in into_requests(["hi"] * 600)] == [250, 250, 100]
    texts = ["x" * length for length in (10_000, 49_000, 2_000, 60_000, 60_000, 3)]
    requests = into_requests(texts)
    assert [row for rows in requests for row in rows] == list(range(len(texts)))
    for rows in requests:
        tokens = sum(estimate_tokens(texts[row]) for row in rows)
        assert len(rows) <= MAX_TEXTS
        assert tokens <= MAX_TOKENS or len(rows) == 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    # Of dense technical English 2.85 characters a token were measured; of Chinese about one.
    [
        ("a plain question about grades", 7),
        ("/var/lib/x86_64-linux", 8),
        ("我想知道怎么申诉成绩", 10),
    ],
)
def test_tokens_are_rather_overestimated(text: str, tokens: int) -> None:
    assert estimate_tokens(text) >= tokens


def test_each_text_gets_its_own_vector_of_unit_length(
    encoder: VertexEncoder, service: Service
) -> None:
    texts = [f"{number} words" for number in range(700)]
    assert places(encoder.encode(texts, task="document")) == list(range(700))
    assert sorted(map(len, service.requests)) == [200, 250, 250]
    assert service.tasks == {"RETRIEVAL_DOCUMENT"}
    assert encoder.encode([], task="query").shape == (0, DIMS)


def test_a_request_with_more_tokens_than_estimated_is_split_until_it_is_taken(
    encoder: VertexEncoder, service: Service
) -> None:
    texts = [f"{number} " + "a " * 999 for number in range(24)]
    assert [len(rows) for rows in into_requests(texts)] == [24]
    assert places(encoder.encode(texts, task="document")) == list(range(24))
    assert [len(texts) for texts in service.requests] == [24, 12, 12]


def test_documents_that_are_too_long_are_named_after_the_others_were_tried(
    encoder: VertexEncoder, service: Service
) -> None:
    texts = [f"{number} words" for number in range(8)]
    texts[3] = "3 " + "a " * 2_999
    texts[6] = "6 " + "a " * 2_048
    with pytest.raises(TextTooLong, match=r"text 4: it has 3,000 tokens.*text 7") as caught:
        encoder.encode(texts, task="document")
    assert caught.value.because == {
        3: "it has 3,000 tokens, the model takes 2,048",
        6: "it has 2,049 tokens, the model takes 2,048",
    }
    taken = {text for request in service.requests for text in request if len(request) < 8}
    assert taken >= {text for row, text in enumerate(texts) if row not in (3, 6)}
    assert all(parameters["autoTruncate"] is False for parameters in service.parameters)


def test_a_long_query_is_cut_rather_than_left_without_a_vector(
    encoder: VertexEncoder, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="models.vertex"):
        assert places(encoder.encode(["5 " + "a " * 3_000], task="query")) == [5]
    assert service.tasks == {"RETRIEVAL_QUERY"}
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 1 queries were cut to what the model takes"
    ]


def test_a_refusal_for_another_reason_is_not_tried_text_by_text(service: Service) -> None:
    @dataclass
    class Wrong(Service):
        def predict(self, instances: Any, parameters: Any) -> Any:
            self.requests.append([])
            raise Refused("invalid outputDimensionality")

    wrong = Wrong()
    with pytest.raises(EmbedderAway, match="refused the request: invalid outputDim"):
        VertexEncoder(wrong, model="text-embedding-005").encode(["1", "2", "3"], task="document")
    assert len(wrong.requests) == 1


@pytest.mark.parametrize(
    "made", [[[0.0] * DIMS], [[float("nan")] * DIMS], [[1.0] * 5], [], [[1.0] * DIMS] * 2]
)
def test_numbers_that_are_no_vector_are_never_passed_on(made: list[list[float]]) -> None:
    class Odd:
        def predict(self, instances: Any, parameters: Any) -> Any:
            return made, 0

    with pytest.raises(EmbedderAway):
        VertexEncoder(Odd(), model="text-embedding-005").encode(["1"], task="query")


def test_the_fingerprint_names_the_model_and_its_version() -> None:
    space = vertex_space("text-embedding-005")
    assert (space.model, space.revision) == ("vertex/text-embedding", "005")
    assert (space.dims, space.normalised) == (768, True)
    others = ("text-embedding-004", "text-multilingual-embedding-002", "textembedding-gecko@003")
    assert len({space.fingerprint, *(vertex_space(one).fingerprint for one in others)}) == 4
    assert space == vertex_space("text-embedding-005")


@dataclass
class Time:
    """A clock that only sleeping and calling move."""

    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def call(self, *outcomes: Any, takes_s: float = 0.01) -> tuple[Callable[[float], Any], list]:
        """Return a call with these outcomes, one a try, and the seconds that each try had left."""
        left, waiting = [], list(outcomes)

        def call(left_s: float) -> Any:
            left.append(left_s)
            self.now_s += min(takes_s, left_s)
            outcome = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return call, left


AWAY = exceptions.ServiceUnavailable("no route")


def run(call: Callable[[float], Any], time: Time, **patience: float) -> Any:
    held = Patience(**{"deadline_s": 1.1, **patience})
    return call_until(call, patience=held, clock=lambda: time.now_s, sleep=time.sleep)


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        exceptions.ResourceExhausted("quota"),
        exceptions.DeadlineExceeded("late"),
        exceptions.InternalServerError("sorry"),
        exceptions.Aborted("again"),
    ],
)
def test_what_passes_is_tried_again_after_growing_pauses(error: Exception) -> None:
    time = Time()
    call, left = time.call(error, error, error, "vectors")
    assert run(call, time) == "vectors"
    assert len(left) == 4
    assert all(s / 2 <= p <= s for p, s in zip(time.slept, (0.05, 0.1, 0.2), strict=True))


def test_no_try_gets_more_time_than_is_left_and_the_last_pause_is_not_slept() -> None:
    time = Time()
    call, left = time.call(AWAY)
    with pytest.raises(EmbedderAway, match=r"no answer in 1.1 s: ServiceUnavailable: no route"):
        run(call, time)
    assert left == sorted(left, reverse=True)
    assert 0 < left[-1] < left[0] == 1.1
    assert time.now_s <= 1.1
    # Google's own retry gives each try the whole time anew once less than a second is left.
    time = Time()
    call, left = time.call(AWAY, exceptions.DeadlineExceeded("late"), takes_s=5)
    with pytest.raises(EmbedderAway):
        run(call, time)
    assert (len(left), time.now_s) == (1, 1.1)


def test_pauses_of_a_load_have_a_longest() -> None:
    time = Time()
    call, _ = time.call(AWAY)
    with pytest.raises(EmbedderAway):
        run(call, time, deadline_s=60, longest_pause_s=2)
    assert 1 < max(time.slept) <= 2
    assert 55 < time.now_s <= 60


@pytest.mark.parametrize(
    "error", [exceptions.PermissionDenied("no"), exceptions.NotFound("no"), exceptions.Unknown("?")]
)
def test_what_does_not_pass_is_not_tried_again(error: Exception) -> None:
    time = Time()
    call, left = time.call(error)
    with pytest.raises(EmbedderAway, match=type(error).__name__):
        run(call, time)
    assert len(left) == 1


def test_what_is_not_set_up_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="HUB_VERTEX_PROJECT"):
        open_text_encoder(Settings(embedder="vertex", vertex_project=None))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(SettingsError, match=r"No credentials for Vertex AI: .*key.json"):
        VertexService(project="p", location="us-central1", model="text-embedding-005")
    monkeypatch.setitem(__import__("sys").modules, "google.cloud.aiplatform_v1", None)
    with pytest.raises(SettingsError, match=r"student-resource-hub\[gcp\]"):
        VertexService(project="p", location="us-central1", model="text-embedding-005")
