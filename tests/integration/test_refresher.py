"""The queue is filled before a reviewer has to wait, and what goes wrong there is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.refresher import LOW, PAUSE_S, EncoderMissing, Refresher
from store.database import BlockingPool, Connection, open_blocking_pool
from tests.tiny_encoder import make_tiny_encoder


@pytest.fixture
def blocking_pool(database_url: str) -> Iterator[BlockingPool]:
    with open_blocking_pool(database_url, size=2) as pool:
        yield pool


@pytest.fixture
def doubtful(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO interaction_log (interaction_id, asked_at, session_id, query_text, outcome,"
        " intent, confidence) VALUES"
        " ('i1', now(), 's1', 'where do i park my bike', 'confused', 'housing', 0.45)"
    )


@pytest.fixture
def encoder_dir(tmp_path: Path) -> Path:
    return make_tiny_encoder(tmp_path / "encoder", texts=["where do i park my bike"])


def items(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT item_id FROM review_items").fetchall()]


@pytest.mark.usefixtures("doubtful")
def test_new_queries_become_items(
    blocking_pool: BlockingPool, encoder_dir: Path, connection: Connection
) -> None:
    seen: list[tuple[int, int]] = []
    report = Refresher(blocking_pool, encoder_dir=encoder_dir).refresh(
        advance=lambda done, of: seen.append((done, of))
    )
    assert report is not None
    assert items(connection) == ["i1"]
    assert seen[-1] == (1, 1)


@pytest.mark.usefixtures("doubtful")
def test_it_fills_in_the_background_when_little_is_left_and_not_all_the_time(
    blocking_pool: BlockingPool, encoder_dir: Path, connection: Connection
) -> None:
    now_s = [0.0]
    refresher = Refresher(blocking_pool, encoder_dir=encoder_dir, clock=lambda: now_s[0])
    assert refresher.refresh_when_low(LOW) is None, "enough is left"
    started = refresher.refresh_when_low(LOW - 1)
    assert started is not None
    started.join(timeout=60)
    assert items(connection) == ["i1"]
    assert refresher.refresh_when_low(0) is None, "it was looked at just now"
    now_s[0] += PAUSE_S
    again = refresher.refresh_when_low(0)
    assert again is not None
    again.join(timeout=60)


def test_without_an_encoder_it_says_what_to_do(blocking_pool: BlockingPool, tmp_path: Path) -> None:
    refresher = Refresher(blocking_pool, encoder_dir=tmp_path / "none")
    assert refresher.refresh() is None
    assert refresher.trouble is not None
    assert "start `make run` once" in refresher.trouble
    with pytest.raises(EncoderMissing):
        refresher.encoder()


def test_trouble_is_forgotten_when_it_is_over(
    blocking_pool: BlockingPool, encoder_dir: Path, owner: Connection
) -> None:
    refresher = Refresher(blocking_pool, encoder_dir=encoder_dir)
    owner.execute("ALTER TABLE review_items RENAME TO hidden")
    assert refresher.refresh() is None
    assert refresher.trouble is not None
    owner.execute("ALTER TABLE hidden RENAME TO review_items")
    assert refresher.refresh() is not None
    assert refresher.trouble is None
