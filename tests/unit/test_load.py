"""The load generator: what it asks, what it hears, and what it reports."""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from benchmarks.http_reply import ReplyReader
from benchmarks.load import Load, LoadProcess, apply_load, percentile
from benchmarks.questions import read_questions, repeated_questions, unique_questions
from contracts.text import normalise

ANSWER = b'{"interaction_id":"%05d","results":[],"degraded":[]}'


class Answers:
    """A server that answers each request, or refuses those whose number is in `refused`."""

    def __init__(self) -> None:
        self.heard: list[dict[str, object]] = []
        self.sessions: set[str] = set()
        self.refused: set[int] = set()
        self.port = 0
        self.has_heard_some = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            body = json.loads(await reader.readexactly(int(fields["Content-Length"])))
            self.heard.append(body)
            self.sessions.add(fields.get("X-Hub-Session", ""))
            number = len(self.heard)
            if number == 20:
                self.has_heard_some.set()
            if number in self.refused:
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}")
                continue
            answer = ANSWER % number
            writer.write(
                b"HTTP/1.1 200 OK\r\nX-Hub-Session: s%d\r\ncontent-length: %d\r\n\r\n"
                % (number, len(answer))
            )
            await asyncio.sleep(0.002)
            writer.write(answer)


@pytest_asyncio.fixture
async def answers() -> AsyncIterator[Answers]:
    answers = Answers()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answers.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the load is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    answers.port = server.sockets[0].getsockname()[1]
    yield answers
    server.close()


def a_load(answers: Answers, **options: object) -> Load:
    given = {"clients": 3, "duration_s": 0.4, "warmup_s": 0.1, **options}
    return Load(url=f"http://127.0.0.1:{answers.port}", **given)  # type: ignore[arg-type]


async def test_every_answer_that_was_received_is_reported_with_its_id(answers: Answers) -> None:
    report = await asyncio.to_thread(apply_load, a_load(answers, keep_ids=True))
    assert report.errors == {}
    assert report.degraded == 0
    assert 0 < report.answered <= len(report.interaction_ids) <= report.asked
    assert len(set(report.interaction_ids)) == len(report.interaction_ids)
    assert report.asked - len(report.interaction_ids) <= report.clients
    assert 2 <= report.p50_ms <= report.p95_ms <= report.p99_ms


async def test_no_question_is_asked_twice_and_options_are_sent_along(answers: Answers) -> None:
    report = await asyncio.to_thread(apply_load, a_load(answers, options={"top_k": 3}))
    texts = [body["text"] for body in answers.heard]
    assert len(set(texts)) == len(texts) == report.asked
    assert {body["top_k"] for body in answers.heard} == {3}


async def test_each_client_keeps_the_session_it_was_given(answers: Answers) -> None:
    await asyncio.to_thread(apply_load, a_load(answers))
    assert len(answers.sessions - {""}) == 3


async def test_a_refusal_is_counted_by_its_status_and_asking_goes_on(answers: Answers) -> None:
    answers.refused = {2, 7}
    report = await asyncio.to_thread(apply_load, a_load(answers))
    assert report.errors == {"503": 2}
    assert report.answered > 10


async def test_a_server_that_is_not_there_is_an_error_and_not_a_crash() -> None:
    load = Load(url="http://127.0.0.1:9", clients=1, duration_s=0.2, warmup_s=0)
    report = await asyncio.to_thread(apply_load, load)
    assert report.answered == 0
    assert set(report.errors) == {"refused"}


async def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes the connection
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        load = Load(url=url, clients=1, duration_s=0.6, warmup_s=0, timeout_s=0.2)
        report = await asyncio.to_thread(apply_load, load)
    assert report.errors.get("timeout", 0) >= 1


async def test_a_load_that_is_stopped_reports_what_it_measured(answers: Answers) -> None:
    with LoadProcess(a_load(answers, duration_s=60, warmup_s=0)) as process:
        await answers.has_heard_some.wait()
        report = await asyncio.to_thread(process.stop)
    assert report.answered >= 10
    assert report.duration_s < 30


def test_unique_questions_never_repeat_also_as_the_caches_compare_them() -> None:
    questions = read_questions()
    asked = [normalise(one) for one in itertools.islice(unique_questions(questions), 40_000)]
    assert len(set(asked)) == len(asked)


def test_runs_that_begin_where_the_last_ended_go_on_with_new_questions() -> None:
    questions = ["a", "b", "c"]
    first = list(itertools.islice(unique_questions(questions), 5))
    assert list(itertools.islice(unique_questions(questions, first=5), 3)) == [
        *itertools.islice(unique_questions(questions), 5, 8)
    ]
    assert first[:3] == questions


def test_repeated_questions_are_the_same_for_the_same_seed_and_few_make_most() -> None:
    def asked(seed: int) -> list[str]:
        endless: Iterator[str] = repeated_questions([str(n) for n in range(2_000)], seed=seed)
        return list(itertools.islice(endless, 4_000))

    assert asked(1) == asked(1) != asked(2)
    commonest = sum(int(one) < 100 for one in asked(1))
    assert commonest > 2_000


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_reply_is_heard_whatever_pieces_it_comes_in(size: int) -> None:
    said = b"HTTP/1.1 200 OK\r\nX-Hub-Session: abc\r\nContent-Length: 5\r\n\r\nhello"
    reader = ReplyReader()
    for _ in range(2):
        pieces = [said[start : start + size] for start in range(0, len(said), size)]
        heard = [reader.feed(piece) for piece in pieces]
        assert heard[:-1] == [None] * (len(pieces) - 1)
        reply = heard[-1]
        assert reply is not None
        assert (reply.status, reply.body, reply.session) == (200, b"hello", b"abc")
        assert not reply.closes


def test_a_reply_that_closes_the_connection_says_so() -> None:
    reply = ReplyReader().feed(b"HTTP/1.1 503 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert reply is not None
    assert (reply.status, reply.closes) == (503, True)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1.0], 0.99, 1.0), ([1.0, 2.0], 0.5, 1.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_percentiles_are_of_the_nearest_rank(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected
