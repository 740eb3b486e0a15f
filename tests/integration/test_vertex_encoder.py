"""The Vertex encoder through Google's own client, against a local server of the same protocol."""

import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from contracts.errors import EmbedderAway, TextTooLong
from contracts.settings import Settings
from models.breaker import Breaker
from models.chosen_encoder import open_text_encoder
from models.text_encoder import TextEncoder
from models.vertex import DIMS, VertexEncoder, vertex_space
from models.vertex_service import Patience, VertexService
from tests.stand_ins.vertex import VertexStandIn

MODEL = "text-embedding-005"
REST_S = 0.3


@pytest.fixture
def vertex() -> Iterator[VertexStandIn]:
    with VertexStandIn() as stand_in:
        yield stand_in


def settings_of(vertex: VertexStandIn) -> Settings:
    return Settings(embedder="vertex", vertex_project="campus", vertex_endpoint=vertex.endpoint)


@pytest.fixture
def encoder(vertex: VertexStandIn) -> TextEncoder:
    """The encoder that the settings name, with the patience of a query."""
    return open_text_encoder(settings_of(vertex))


def impatient(vertex: VertexStandIn, **service: str) -> VertexEncoder:
    """An encoder that waits little, so that its breaker is soon seen at work."""
    named = {"project": "campus", "location": "us-central1", "model": MODEL, **service}
    breaker = Breaker("Vertex AI", failure=EmbedderAway, rest_s=REST_S)
    patience = Patience(deadline_s=0.2)
    service_ = VertexService(**named, endpoint=vertex.endpoint, patience=patience, breaker=breaker)
    return VertexEncoder(service_, model=MODEL)


def seconds_to_fail(encoder: TextEncoder, text: str = "where do i park") -> float:
    since_s = time.monotonic()
    with pytest.raises(EmbedderAway):
        encoder.encode([text], task="query")
    return time.monotonic() - since_s


def test_a_question_is_nearest_to_the_document_that_answers_it(
    encoder: TextEncoder, vertex: VertexStandIn
) -> None:
    documents = encoder.encode(
        [
            "parking permits are sold by the transport office",
            "appeal a grade with the form of the registrar",
            "the dining hall opens at seven",
        ],
        task="document",
    )
    asked = encoder.encode(
        ["how do i appeal a grade", "where to buy a parking permit"], task="query"
    )
    assert (asked.shape, asked.dtype) == ((2, DIMS), np.float32)
    assert np.allclose(np.linalg.norm(asked, axis=1), 1, atol=1e-6)
    assert (asked @ documents.T).argmax(axis=1).tolist() == [1, 0]
    assert encoder.space == vertex_space(MODEL)
    assert [(call.task_types, call.may_cut) for call in vertex.calls] == [
        ({"RETRIEVAL_DOCUMENT"}, False),
        ({"RETRIEVAL_QUERY"}, True),
    ]


def test_a_vector_depends_on_the_text_and_its_task_alone(encoder: TextEncoder) -> None:
    texts = ["grade", "parking permit", "gown"]
    together = encoder.encode(texts, task="document")
    alone = np.concatenate([encoder.encode([text], task="document") for text in texts])
    assert np.array_equal(together, alone)
    assert not np.allclose(encoder.encode(["grade"], task="query"), alone[0])


def test_a_load_stays_within_the_limits_of_the_service(vertex: VertexStandIn) -> None:
    encoder = open_text_encoder(settings_of(vertex), is_load=True)
    # Tokens of one character: more of them than any estimate by length expects.
    texts = [f"{number} " + "? " * 400 for number in range(60)] + ["short"] * 300
    vectors = encoder.encode(texts, task="document")
    assert vectors.shape == (len(texts), DIMS)
    taken = [call for call in vertex.calls if call.texts <= 250]
    assert taken == vertex.calls
    assert sum(call.texts for call in vertex.calls) > len(texts)  # some were refused, and split
    assert np.array_equal(vectors[7], encoder.encode([texts[7]], task="document")[0])


def test_the_text_that_is_too_long_is_named_with_its_tokens(encoder: TextEncoder) -> None:
    texts = ["short", "grade " * 1_500, "short too"]
    with pytest.raises(TextTooLong, match="text 2: it has 3,000 tokens, the model takes 2,048"):
        encoder.encode(texts, task="document")
    assert encoder.encode(texts, task="query").shape == (3, DIMS)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_what_passes_within_the_deadline_is_not_noticed(
    encoder: TextEncoder, vertex: VertexStandIn, code: grpc.StatusCode
) -> None:
    vertex.fail(code, times=2)
    assert encoder.encode(["grade"], task="query").shape == (1, DIMS)
    assert len(vertex.calls) == 3


def test_nothing_waits_longer_than_the_deadline_and_then_nothing_waits_at_all(
    vertex: VertexStandIn,
) -> None:
    encoder = impatient(vertex)
    encoder.encode(["warm"], task="query")
    with vertex.slow(0.6):
        for _ in range(3):
            assert 0.15 < seconds_to_fail(encoder) < 0.5
        asked = len(vertex.calls)
        assert max(seconds_to_fail(encoder) for _ in range(20)) < 0.02
        assert len(vertex.calls) == asked
    time.sleep(REST_S)
    assert encoder.encode(["grade"], task="query").shape == (1, DIMS)


def test_a_service_that_died_is_found_again_when_it_is_back(vertex: VertexStandIn) -> None:
    encoder = impatient(vertex)
    encoder.encode(["warm"], task="query")
    vertex.stop()
    for _ in range(4):
        assert seconds_to_fail(encoder) < 0.5
    vertex.start()
    deadline_s = time.monotonic() + 10
    while True:
        try:
            assert encoder.encode(["grade"], task="query").shape == (1, DIMS)
            break
        except EmbedderAway:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "text-embedding-999"}, "NotFound.*was not found"),
        ({"project": "a b"}, "NotFound"),
    ],
)
def test_a_wrong_name_is_said_in_the_services_words_and_not_tried_again(
    vertex: VertexStandIn, wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(EmbedderAway, match=said):
        impatient(vertex, **wrong).encode(["grade"], task="query")
    assert len(vertex.calls) == 1


def test_a_service_that_is_away_at_the_start_is_no_reason_not_to_start() -> None:
    with VertexStandIn() as gone:
        endpoint = gone.endpoint
    encoder = open_text_encoder(
        Settings(embedder="vertex", vertex_project="campus", vertex_endpoint=f"http://{endpoint}")
    )
    assert encoder.space.dims == DIMS
    assert seconds_to_fail(encoder) < 1.3
