"""The way of a text to its vector: each is encoded once, and the caches never cost an answer."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contracts.errors import EmbedderAway
from contracts.records import Vector, Vectors
from deployments.embedding_cache import CachedEncoder, SharedCache, Tier
from models.text_encoder import Task
from tests.redis_server import RedisServer

DIMS = 4
SECRET = b"0123456789abcdef"


@dataclass
class Encoder:
    """Encodes a text as its characters' sum and its length, when it is let; counts what it did."""

    fingerprint: str = "space-a"
    dims: int = DIMS
    calls: list[list[str]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def encode(self, texts: list[str], *, task: Task) -> Vectors:
        self.calls.append(texts)
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        return np.array([vector_of(text) for text in texts], dtype=np.float32)


def vector_of(text: str) -> list[float]:
    return [float(sum(map(ord, text))), float(len(text)), 1.0, 2.0]


def listed(vectors: list[Vector | None]) -> list[list[float]]:
    return [vector.tolist() for vector in vectors if vector is not None]


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def cached(encoder: Encoder) -> CachedEncoder:
    return CachedEncoder(encoder, entries=100)


async def test_vectors_come_in_the_order_of_the_texts(cached: CachedEncoder) -> None:
    vectors = await cached.embed(["b", "a", "b", "c"], task="query")
    assert {vector.dtype for vector in vectors if vector is not None} == {np.dtype(np.float32)}
    assert listed(vectors) == [vector_of(text) for text in "babc"]


async def test_no_text_is_no_vector(cached: CachedEncoder, encoder: Encoder) -> None:
    assert await cached.embed([], task="query") == []
    assert encoder.calls == []


async def test_a_text_is_encoded_once_however_it_is_typed(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    for text in ("Wifi  Password", "wifi password", " WIFI\tPASSWORD ", "ｗｉｆｉ password"):
        vectors = await cached.embed([text, text], task="query")
        assert listed(vectors) == [vector_of("wifi password")] * 2
    assert encoder.calls == [["wifi password"]]


async def test_the_task_and_the_space_are_part_of_the_key(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    await cached.embed(["x"], task="query")
    await cached.embed(["x"], task="document")
    encoder.fingerprint = "space-b"
    await cached.embed(["x"], task="query")
    assert encoder.calls == [["x"], ["x"], ["x"]]


async def test_the_memory_holds_so_many_texts_and_forgets_the_longest_unused(
    encoder: Encoder,
) -> None:
    cached = CachedEncoder(encoder, entries=2)
    for text in ("a", "b", "a", "c"):  # b is the longest unused
        await cached.embed([text], task="query")
    encoder.calls.clear()
    await cached.embed(["a"], task="query")
    await cached.embed(["c"], task="query")
    assert encoder.calls == []
    await cached.embed(["b"], task="query")
    assert encoder.calls == [["b"]]
    assert len(cached._memory) == 2


async def test_a_batch_larger_than_the_memory_is_answered_all_the_same(encoder: Encoder) -> None:
    cached = CachedEncoder(encoder, entries=2)
    texts = [str(number) for number in range(10)]
    vectors = await cached.embed(texts, task="query")
    assert listed(vectors) == [vector_of(text) for text in texts]
    assert len(cached._memory) == 2


async def test_changing_an_answer_does_not_change_the_cache(cached: CachedEncoder) -> None:
    (vector,) = await cached.embed(["a"], task="query")
    assert vector is not None
    with pytest.raises(ValueError, match="read-only"):
        vector[:] = 0
    assert listed(await cached.embed(["a"], task="query")) == [vector_of("a")]


async def test_identical_texts_in_flight_are_encoded_once(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    encoder.open.clear()
    tasks = [asyncio.create_task(cached.embed(["a", text], task="query")) for text in "abc"]
    await asyncio.sleep(0.01)
    encoder.open.set()
    answers = await asyncio.gather(*tasks)
    assert [listed(answer) for answer in answers] == [
        [vector_of("a"), vector_of(text)] for text in "abc"
    ]
    assert encoder.calls == [["a"], ["b"], ["c"]]


async def test_the_first_caller_may_leave_while_others_wait(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    encoder.open.clear()
    first, second = (asyncio.create_task(cached.embed(["a"], task="query")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    assert first.cancelled()
    encoder.open.set()
    assert listed(await second) == [vector_of("a")]
    assert encoder.calls == [["a"]]


async def test_a_waiting_caller_may_leave_while_the_first_stays(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    encoder.open.clear()
    first, second = (asyncio.create_task(cached.embed(["a"], task="query")) for _ in range(2))
    await asyncio.sleep(0.01)
    second.cancel()
    encoder.open.set()
    assert listed(await first) == [vector_of("a")]


async def test_what_all_callers_left_is_in_the_cache_all_the_same(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    encoder.open.clear()
    only = asyncio.create_task(cached.embed(["a"], task="query"))
    await asyncio.sleep(0.01)
    only.cancel()
    encoder.open.set()
    await asyncio.sleep(0.01)
    encoder.open.clear()  # from the cache, or never
    assert listed(await cached.embed(["a"], task="query")) == [vector_of("a")]


async def test_an_error_reaches_everyone_who_waits_and_is_not_remembered(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    encoder.errors = [RuntimeError("out of memory")]
    encoder.open.clear()
    tasks = [asyncio.create_task(cached.embed(["a"], task="query")) for _ in range(3)]
    await asyncio.sleep(0.01)
    encoder.open.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in errors] == ["out of memory"] * 3
    assert listed(await cached.embed(["a"], task="query")) == [vector_of("a")]
    assert len(encoder.calls) == 2


async def test_known_texts_are_answered_while_the_encoder_is_away(
    cached: CachedEncoder, encoder: Encoder
) -> None:
    await cached.embed(["a", "b"], task="query")
    encoder.errors = [EmbedderAway("no route")]
    known, new, same, other = await cached.embed(["a", "new", "new", "b"], task="query")
    assert (new, same) == (None, None)
    assert listed([known, other]) == [vector_of("a"), vector_of("b")]
    # It is asked again the next time: nothing remembers that there was no vector.
    assert listed(await cached.embed(["new"], task="query")) == [vector_of("new")]
    assert encoder.calls == [["a", "b"], ["new"], ["new"]]


async def test_who_answered_is_counted() -> None:
    counts: Counter[str] = Counter()

    def count(tier: Tier, texts: int) -> None:
        counts[tier] += texts

    cached = CachedEncoder(Encoder(), entries=100, count=count)
    await cached.embed(["a", "b"], task="query")
    assert counts == {"memory": 0, "shared": 0, "model": 2}
    await cached.embed(["A", "b", "c", "c"], task="query")
    assert counts == {"memory": 3, "shared": 0, "model": 3}


# ---- the shared cache, in a real Redis --------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def client(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis(unix_socket_path=str(server.socket), socket_connect_timeout=0.2) as opened:
        yield opened


def shared(client: Redis, *, secret: bytes = SECRET, rest_s: float = 60.0) -> SharedCache:
    # Generous, for a busy machine; the tests of a slow Redis are slower than this.
    return SharedCache(client, secret=secret, timeout_s=0.5, rest_s=rest_s)


async def written(cached: CachedEncoder) -> None:
    """Wait for what goes to the shared cache behind the answer's back."""
    await asyncio.gather(*cached._tasks)


async def test_another_replica_finds_the_vector_in_redis(client: Redis) -> None:
    first, second = Encoder(), Encoder()
    one = CachedEncoder(first, entries=10, shared=shared(client))
    two = CachedEncoder(second, entries=10, shared=shared(client))
    await one.embed(["Wifi", "parking"], task="query")
    await written(one)
    vectors = await two.embed(["wifi", "dining", "PARKING"], task="query")
    assert listed(vectors) == [vector_of(text) for text in ("wifi", "dining", "parking")]
    assert second.calls == [["dining"]]


async def test_tiers_are_counted_apart(client: Redis) -> None:
    counts: Counter[str] = Counter()

    def count(tier: Tier, texts: int) -> None:
        counts[tier] += texts

    one = CachedEncoder(Encoder(), entries=10, shared=shared(client))
    await one.embed(["a", "b"], task="query")
    await written(one)
    two = CachedEncoder(Encoder(), entries=10, shared=shared(client), count=count)
    await two.embed(["a", "b", "c"], task="query")
    await two.embed(["a"], task="query")
    assert counts == {"memory": 1, "shared": 2, "model": 1}


async def test_who_reads_redis_learns_no_query_and_no_vector_stays_for_ever(client: Redis) -> None:
    cached = CachedEncoder(Encoder(), entries=10, shared=shared(client))
    await cached.embed(["am i pregnant", "am i failing"], task="query")
    await written(cached)
    keys: list[Any] = await client.keys("*")
    assert len(keys) == 2
    dump = b" ".join(keys + [await client.dump(key) for key in keys])
    assert not any(word in dump for word in (b"pregnant", b"failing", b"space-a", b"query"))
    assert all(re.fullmatch(b"hub:vector:[0-9a-f]{64}", key) for key in keys)
    assert all([0 < await client.ttl(key) <= 7 * 24 * 3600 for key in keys])


async def test_keys_are_useless_to_a_hub_with_another_secret(client: Redis) -> None:
    one = CachedEncoder(Encoder(), entries=10, shared=shared(client))
    await one.embed(["a"], task="query")
    await written(one)
    other = Encoder()
    two = CachedEncoder(other, entries=10, shared=shared(client, secret=b"fedcba9876543210"))
    await two.embed(["a"], task="query")
    assert other.calls == [["a"]]


async def test_vectors_of_another_space_or_task_are_not_taken(client: Redis) -> None:
    one = CachedEncoder(Encoder(), entries=10, shared=shared(client))
    await one.embed(["a"], task="query")
    await written(one)
    other = Encoder(fingerprint="space-b")
    await CachedEncoder(other, entries=10, shared=shared(client)).embed(["a"], task="query")
    assert other.calls == [["a"]]
    same = Encoder()
    await CachedEncoder(same, entries=10, shared=shared(client)).embed(["a"], task="document")
    assert same.calls == [["a"]]


async def test_a_damaged_value_is_encoded_anew(client: Redis) -> None:
    cached = CachedEncoder(Encoder(), entries=10, shared=shared(client))
    await cached.embed(["a"], task="query")
    await written(cached)
    (key,) = await client.keys("*")
    for damaged in (b"", b"x", b"x" * (4 * DIMS + 4)):
        await client.set(key, damaged)
        encoder = Encoder()
        again = CachedEncoder(encoder, entries=10, shared=shared(client))
        assert listed(await again.embed(["a"], task="query")) == [vector_of("a")]
        assert encoder.calls == [["a"]]
        await written(again)


async def test_redis_killed_midway_costs_no_answer_and_is_asked_again_after_a_rest(
    client: Redis, server: RedisServer
) -> None:
    encoder = Encoder()
    cached = CachedEncoder(encoder, entries=1, shared=shared(client, rest_s=0.3))
    await cached.embed(["a"], task="query")
    await written(cached)
    server.kill()
    for text in ("b", "c", "a"):
        assert listed(await cached.embed([text], task="query")) == [vector_of(text)]
    await written(cached)
    server.start()
    await asyncio.sleep(0.3)
    await cached.embed(["d"], task="query")
    await written(cached)
    assert len(await client.keys("*")) == 1
    encoder.calls.clear()
    await cached.embed(["e"], task="query")  # pushes d out of the memory
    await cached.embed(["d"], task="query")
    assert encoder.calls == [["e"]]


async def test_redis_that_was_never_there_costs_no_answer(tmp_path: Path) -> None:
    async with Redis(
        unix_socket_path=str(tmp_path / "nothing"), socket_connect_timeout=0.2
    ) as away:
        cached = CachedEncoder(Encoder(), entries=10, shared=shared(away))
        for text in ("a", "b"):
            assert listed(await cached.embed([text], task="query")) == [vector_of(text)]
        await written(cached)


async def test_a_slow_redis_is_waited_for_once_and_then_passed_by(
    client: Redis, server: RedisServer
) -> None:
    slow = SharedCache(client, secret=SECRET, timeout_s=0.05, rest_s=60)
    cached = CachedEncoder(Encoder(), entries=10, shared=slow)
    await client.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        for number in range(20):
            await cached.embed([str(number)], task="query")
        assert 0.04 < time.monotonic() - began_s < 0.3
        await written(cached)
    finally:
        server.process.send_signal(signal.SIGCONT)


async def test_an_answer_that_comes_too_late_is_never_taken_for_another_texts(
    client: Redis, server: RedisServer
) -> None:
    """A reply left over in a connection would be read as the reply to the next question."""
    one = CachedEncoder(Encoder(), entries=100, shared=shared(client))
    texts = [f"text {number}" for number in range(20)]
    await one.embed(texts, task="query")
    await written(one)
    hasty = SharedCache(client, secret=SECRET, timeout_s=0.01, rest_s=0.0)
    for text in texts:
        server.process.send_signal(signal.SIGSTOP)
        late = CachedEncoder(Encoder(), entries=100, shared=hasty)
        assert listed(await late.embed(["another text"], task="query")) == [
            vector_of("another text")
        ]
        os.kill(server.process.pid, signal.SIGCONT)
        found = await shared(client).get([f"space-a:query:{text}"], dims=DIMS)
        assert found[0] is not None
        assert found[0].tolist() == vector_of(text)
        await written(late)
