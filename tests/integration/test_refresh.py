"""The review queue in Postgres: what was asked becomes items, once, and joins those that exist."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from annotation.questions import lot
from annotation.refresh import SEED, RefreshReport, RememberingEncoder, refresh_queue
from contracts.records import Interaction, Vectors
from contracts.text import normalise
from store.database import Connection, Pool, connect
from store.labels import claim_next, give_label
from store.review_queue import refreshing
from tests.review_samples import add_people
from tests.samples import asked_on, store, thumb, utc

NOW = utc(2026, 9, 10, 12)


class WordEncoder:
    """Texts that begin with the same word are near-duplicates; all others have little in common."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: list[str]) -> Vectors:
        self.seen += texts
        return np.array([self._vector(text) for text in texts]).reshape(-1, 256)

    @staticmethod
    def _vector(text: str) -> np.ndarray:
        made = np.zeros(256, dtype=np.float32)
        for word, weight in zip(text.split(), (1.0, *[0.2] * 20), strict=False):
            made[sum(map(ord, word)) % 256] += weight
        return made / np.linalg.norm(made)


def doubtful(text: str, *, hours_ago: float = 1.0, **changes: Any) -> Interaction:
    """A question of a session of its own that the hub was not sure of."""
    given: dict[str, Any] = {
        "query_text": text,
        "confidence": 0.45,
        "outcome": "confused",
        "confused_because": "low_confidence",
    }
    made = asked_on(NOW - timedelta(hours=hours_ago), **given | changes)
    return made if "session_id" in changes else _with_own_session(made)


def _with_own_session(asked: Interaction) -> Interaction:
    return replace(asked, session_id=f"session of {asked.interaction_id}")


def refresh(connection: Connection, **options: Any) -> RefreshReport:
    given: dict[str, Any] = {"encoder": WordEncoder(), "now": NOW, "audit_share": 0.0}
    return refresh_queue(connection, **given | options)


def queue(connection: Connection) -> dict[str, tuple[Any, ...]]:
    """Each item's text → reason, priority, source, members."""
    return {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT query_text, reason, priority, source, (SELECT count(*) FROM review_members"
            " AS member WHERE member.item_id = item.item_id) FROM review_items AS item"
            " ORDER BY priority DESC, item_id"
        )
    }


def everything(connection: Connection) -> list[Any]:
    return [
        connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("review_items", "review_members")
    ]


async def test_a_doubtful_question_becomes_an_item_with_what_the_hub_answered(
    log_pool: Pool, connection: Connection
) -> None:
    asked = doubtful("parking where")
    await store(log_pool, asked, doubtful("dining when", confidence=0.8, outcome="answered"))
    assert refresh(connection) == RefreshReport(texts=1, items=1, members=1)
    add_people(connection, ana="reviewer")
    item = claim_next(connection, reviewer="ana", lease_s=60)
    assert item is not None
    assert (item.item_id, item.query_text) == (asked.interaction_id, "parking where")
    assert (item.reason, item.source, item.members) == ("doubtful", "real", 1)
    assert (item.intent, item.confidence, item.outcome) == (asked.intent, 0.45, "confused")
    assert (item.model_version, item.result_ids) == ("v3", asked.result_ids)
    assert (item.alternatives, item.asked_at) == (asked.alternatives, asked.asked_at)
    assert item.priority > 0


async def test_an_empty_log_makes_no_items(connection: Connection) -> None:
    assert refresh(connection) == RefreshReport()


async def test_a_thumb_down_is_taken_however_sure_the_hub_was(
    log_pool: Pool, connection: Connection
) -> None:
    asked = doubtful("parking where", confidence=0.98, outcome="answered")
    await store(log_pool, asked, thumb(asked, score=-1))
    refresh(connection)
    assert queue(connection)["parking where"][0] == "thumbs_down"


async def test_a_query_that_no_classifier_answered_is_taken(
    log_pool: Pool, connection: Connection
) -> None:
    await store(
        log_pool,
        doubtful(
            "parking where", confidence=None, intent=None, alternatives=(), model_version=None
        ),
    )
    refresh(connection)
    assert queue(connection)["parking where"][0] == "doubtful"


async def test_near_duplicates_are_one_item_that_stands_for_them_all(
    log_pool: Pool, connection: Connection
) -> None:
    await store(
        log_pool,
        doubtful("parking where"),
        doubtful("Parking  where"),
        doubtful("parking please"),
        doubtful("dining when"),
    )
    refresh(connection)
    assert sorted(members for *_, members in queue(connection).values()) == [1, 3]


async def test_refreshing_again_changes_nothing(log_pool: Pool, connection: Connection) -> None:
    texts = [f"{word} {tail}" for word in ("parking", "dining", "visa") for tail in ("a", "b")]
    await store(log_pool, *(doubtful(text) for text in texts))
    refresh(connection)
    before = everything(connection)
    assert refresh(connection) == RefreshReport()
    assert everything(connection) == before


async def test_what_is_asked_again_joins_the_open_item_and_raises_it(
    log_pool: Pool, connection: Connection
) -> None:
    await store(log_pool, doubtful("parking where"), doubtful("dining when", confidence=0.40))
    refresh(connection)
    before = queue(connection)
    assert list(before) == ["dining when", "parking where"]
    await store(log_pool, *(doubtful("parking where now") for _ in range(6)))
    assert refresh(connection) == RefreshReport(texts=1, items=0, members=6)
    after = queue(connection)
    assert list(after) == ["parking where", "dining when"]
    assert after["parking where"][3] == 7
    raised = after["parking where"][1] / before["parking where"][1]
    assert raised == pytest.approx(np.log2(1 + 7) / np.log2(1 + 1))
    assert after["dining when"] == before["dining when"]


async def test_a_session_that_asks_again_does_not_raise_the_item(
    log_pool: Pool, connection: Connection
) -> None:
    asked = doubtful("parking where")
    await store(log_pool, asked)
    refresh(connection)
    before = queue(connection)["parking where"]
    await store(
        log_pool, *(doubtful("parking where", session_id=asked.session_id) for _ in range(5))
    )
    refresh(connection)
    after = queue(connection)["parking where"]
    assert after[1] == pytest.approx(before[1])
    assert (before[3], after[3]) == (1, 6)


async def test_a_thumb_down_on_a_near_duplicate_shows_on_the_item(
    log_pool: Pool, connection: Connection
) -> None:
    await store(log_pool, doubtful("parking where"))
    refresh(connection)
    again = doubtful("parking where")
    await store(log_pool, again, thumb(again, score=-1))
    refresh(connection)
    assert queue(connection)["parking where"][0] == "thumbs_down"


async def test_what_is_labelled_already_is_not_asked_again(
    log_pool: Pool, connection: Connection
) -> None:
    await store(log_pool, doubtful("parking where"))
    refresh(connection)
    add_people(connection, ana="reviewer", ben="reviewer")
    before = queue(connection)
    for name in ("ana", "ben"):
        item = claim_next(connection, reviewer=name, lease_s=60)
        assert item is not None
        give_label(connection, item_id=item.item_id, reviewer=name, intent="parking_and_transport")
    await store(log_pool, doubtful("parking where"), doubtful("parking how"))
    assert refresh(connection) == RefreshReport(texts=2, items=0, members=2)
    after = queue(connection)
    assert after["parking where"][:3] == before["parking where"][:3]
    assert after["parking where"][3] == 3


async def test_real_and_simulated_questions_never_share_an_item_and_real_ones_come_first(
    log_pool: Pool, connection: Connection
) -> None:
    connection.execute("INSERT INTO simulated_sessions (session_id) VALUES ('robot')")
    await store(
        log_pool,
        doubtful("parking where", session_id="robot"),
        doubtful("dining when", session_id="robot"),
        doubtful("parking where please"),
    )
    refresh(connection, limit=2)
    assert sorted((row[2], row[3]) for row in queue(connection).values()) == [
        ("real", 1),
        ("simulated", 1),
    ]
    await store(log_pool, doubtful("visa how"))
    refresh(connection, limit=2)
    assert queue(connection)["visa how"][2] == "real"


async def test_erased_sessions_are_left_out(log_pool: Pool, connection: Connection) -> None:
    await store(log_pool, doubtful("parking where", session_id="gone"), doubtful("dining when"))
    connection.execute("INSERT INTO erased_sessions (session_id) VALUES ('gone')")
    refresh(connection)
    assert list(queue(connection)) == ["dining when"]


async def test_what_is_erased_while_the_texts_are_embedded_is_left_out(
    log_pool: Pool, connection: Connection, database_url: str
) -> None:
    await store(log_pool, doubtful("parking where", session_id="gone"), doubtful("dining when"))

    def erase(done: int, of: int) -> None:
        with connect(database_url) as other:
            other.execute("INSERT INTO erased_sessions (session_id) VALUES ('gone')")
            other.execute("DELETE FROM interaction_log WHERE session_id = 'gone'")

    assert refresh(connection, advance=erase).items == 1
    assert list(queue(connection)) == ["dining when"]


async def test_only_so_many_items_are_open_and_the_next_come_as_they_are_done(
    log_pool: Pool, connection: Connection
) -> None:
    words = ("parking", "dining", "visa", "tutor", "gym")
    await store(log_pool, *(doubtful(f"{word} question") for word in words))
    assert refresh(connection, limit=3).items == 3
    assert refresh(connection, limit=3).items == 0
    add_people(connection, ana="reviewer", ben="reviewer")
    item = claim_next(connection, reviewer="ana", lease_s=60)
    assert item is not None
    for name in ("ana", "ben"):
        give_label(connection, item_id=item.item_id, reviewer=name, intent="housing")
    assert refresh(connection, limit=3).items == 1


async def test_only_the_last_days_and_the_newest_texts_are_looked_at(
    log_pool: Pool, connection: Connection
) -> None:
    await store(
        log_pool,
        doubtful("parking where", hours_ago=24 * 31),
        doubtful("dining when", hours_ago=3),
        doubtful("visa how", hours_ago=2),
        doubtful("tutor who", hours_ago=1),
        doubtful("visa how", hours_ago=4),
    )
    encoder = WordEncoder()
    assert refresh(connection, max_texts=2, encoder=encoder) == RefreshReport(
        texts=2, items=2, members=3
    )
    assert sorted(encoder.seen) == ["tutor who", "visa how"]
    assert queue(connection)["visa how"][3] == 2


async def test_the_audit_sample_is_drawn_in_the_database_as_in_the_queue(
    log_pool: Pool, connection: Connection
) -> None:
    asked = [
        doubtful(f"text{number} on its own {number}", confidence=0.95, outcome="answered")
        for number in range(200)
    ]
    await store(log_pool, *asked)
    drawn = {one.interaction_id for one in asked if lot(one.interaction_id, seed=SEED) < 0.2}
    encoder = WordEncoder()
    assert refresh(connection, audit_share=0.2, encoder=encoder).texts == len(drawn)
    assert len(encoder.seen) == len(drawn)
    rows = connection.execute("SELECT interaction_id FROM review_members").fetchall()
    assert {name for (name,) in rows} == drawn
    assert {reason for reason, *_ in queue(connection).values()} == {"audit"}
    assert refresh(connection, audit_share=0.2) == RefreshReport()


async def test_while_somebody_refreshes_another_one_does_nothing_and_says_so(
    log_pool: Pool, connection: Connection, database_url: str
) -> None:
    await store(log_pool, doubtful("parking where"))
    with connect(database_url) as other, refreshing(other) as is_mine:
        assert is_mine
        assert refresh(connection) == RefreshReport(is_busy=True)
    assert refresh(connection).items == 1


async def test_many_who_refresh_at_once_make_each_item_once(
    log_pool: Pool, connection: Connection, database_url: str
) -> None:
    words = [f"{chr(letter)}{chr(letter)} question" for letter in range(97, 117)]
    await store(log_pool, *(doubtful(word) for word in words))
    start = Barrier(4)

    def one() -> int:
        with connect(database_url) as own:
            start.wait()
            return refresh(own).items

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: one(), range(4)))
    assert sum(made) == len(queue(connection)) == len(words)


async def test_a_refresh_that_breaks_leaves_the_queue_as_it_was_and_the_way_free(
    log_pool: Pool, connection: Connection, database_url: str
) -> None:
    class Broken(WordEncoder):
        def encode(self, texts: list[str]) -> Vectors:
            raise RuntimeError("the encoder broke")

    await store(log_pool, doubtful("parking where"))
    with pytest.raises(RuntimeError, match="the encoder broke"):
        refresh(connection, encoder=Broken())
    assert queue(connection) == {}
    with connect(database_url) as other:
        assert refresh(other).items == 1


async def test_how_far_it_is_can_be_seen(log_pool: Pool, connection: Connection) -> None:
    await store(log_pool, *(doubtful(f"w{number} question {number}") for number in range(300)))
    told: list[tuple[int, int]] = []
    refresh(connection, advance=lambda done, of: told.append((done, of)))
    assert told == [(256, 300), (300, 300)]


def test_a_text_is_embedded_once_while_the_process_lives() -> None:
    counted = WordEncoder()
    encoder = RememberingEncoder(counted, entries=3)
    first = encoder.encode(["parking where", "dining when", "parking where"])
    assert first.shape == (3, 256)
    assert encoder.encode(["dining when"]) == pytest.approx(first[1:2])
    assert counted.seen == ["parking where", "dining when"]
    encoder.encode(["a", "b", "c", "d"])
    assert encoder.encode([normalise("Parking where")]) == pytest.approx(first[:1])
    assert counted.seen[-1] == "parking where"
    assert encoder.encode([]).shape == (0, 256)
