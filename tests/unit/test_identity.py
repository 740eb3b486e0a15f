"""Ids that only the hub can issue, and digests that only the hub can make."""

import time
import uuid
from datetime import UTC, datetime

import pytest

from contracts.text import digest
from store.identity import (
    asked_at,
    is_interaction_of,
    issue_interaction_id,
    issue_session,
    session_of,
    text_digest,
)

SECRET = b"0123456789abcdef"
ANOTHER = b"fedcba9876543210"
SESSION = "5e55" * 8


def test_an_interaction_id_is_a_uuid_of_version_7_and_a_tag() -> None:
    issued = issue_interaction_id(session_id=SESSION, secret=SECRET)
    assert len(issued) == 44
    assert issued.isascii()
    inner = uuid.UUID(issued[:32])
    assert (inner.version, inner.variant) == (7, uuid.RFC_4122)


def test_the_time_inside_is_the_time_of_issue_to_the_millisecond() -> None:
    before_ms = time.time_ns() // 1_000_000
    moment = asked_at(issue_interaction_id(session_id=SESSION, secret=SECRET))
    after_ms = time.time_ns() // 1_000_000
    assert moment.tzinfo is UTC
    assert moment.microsecond % 1000 == 0
    assert before_ms <= round(moment.timestamp() * 1000) <= after_ms


def test_the_time_is_read_exactly_and_never_through_a_fraction() -> None:
    for milliseconds in (0, 1, 999, 1_000, 1_700_000_000_123, 1_735_689_599_999):
        seconds, rest = divmod(milliseconds, 1000)
        expected = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
        assert asked_at(f"{milliseconds:012x}" + "0" * 32) == expected


def test_ids_are_never_issued_twice_and_sort_by_time() -> None:
    issued = [issue_interaction_id(session_id=SESSION, secret=SECRET) for _ in range(2_000)]
    assert len(set(issued)) == len(issued)
    times = [asked_at(one) for one in issued]
    assert times == sorted(times)


def test_the_hub_knows_its_own_ids() -> None:
    assert is_interaction_of(
        issue_interaction_id(session_id=SESSION, secret=SECRET), session_id=SESSION, secret=SECRET
    )


def test_an_id_belongs_to_the_session_that_asked_and_to_no_other() -> None:
    issued = issue_interaction_id(session_id=SESSION, secret=SECRET)
    for other in ("", "0" * 32, SESSION[:-1], f"{SESSION}5", SESSION.upper()):
        assert not is_interaction_of(issued, session_id=other, secret=SECRET), other


def test_an_id_of_another_hub_is_not_ours() -> None:
    assert not is_interaction_of(
        issue_interaction_id(session_id=SESSION, secret=ANOTHER), session_id=SESSION, secret=SECRET
    )


def test_changing_any_one_character_of_an_id_breaks_it() -> None:
    issued = issue_interaction_id(session_id=SESSION, secret=SECRET)
    for place, character in enumerate(issued):
        forged = issued[:place] + ("0" if character != "0" else "1") + issued[place + 1 :]
        assert not is_interaction_of(forged, session_id=SESSION, secret=SECRET), place


STRANGE = ["", "x", "x" * 44, "é" * 44, "\ud800" * 44, "\x00" * 44, "0" * 32, "0" * 10_000]


@pytest.mark.parametrize("forged", STRANGE)
def test_anything_else_is_not_ours_and_raises_nothing(forged: str) -> None:
    assert not is_interaction_of(forged, session_id=SESSION, secret=SECRET)
    assert session_of(forged, secret=SECRET) is None


def test_an_id_with_something_after_it_is_not_ours() -> None:
    assert not is_interaction_of(
        issue_interaction_id(session_id=SESSION, secret=SECRET) + "A",
        session_id=SESSION,
        secret=SECRET,
    )
    assert session_of(issue_session(secret=SECRET)[1] + "A", secret=SECRET) is None


def test_a_session_is_proved_by_its_token_only() -> None:
    session_id, token = issue_session(secret=SECRET)
    assert session_of(token, secret=SECRET) == session_id
    assert session_of(session_id, secret=SECRET) is None
    assert session_of(token, secret=ANOTHER) is None


def test_changing_any_one_character_of_a_token_breaks_it() -> None:
    _, token = issue_session(secret=SECRET)
    for place, character in enumerate(token):
        forged = token[:place] + ("0" if character != "0" else "1") + token[place + 1 :]
        assert session_of(forged, secret=SECRET) is None, place


def test_a_session_holds_nothing_but_randomness() -> None:
    sessions = [issue_session(secret=SECRET)[0] for _ in range(1_000)]
    assert len(set(sessions)) == len(sessions)
    assert all(len(one) == 32 for one in sessions)
    # Nothing counts up: no first half comes twice.
    assert len({one[:16] for one in sessions}) == len(sessions)


def test_an_interaction_id_is_no_session_and_a_session_no_interaction_id() -> None:
    assert (
        session_of(issue_interaction_id(session_id=SESSION, secret=SECRET), secret=SECRET) is None
    )
    assert not is_interaction_of(issue_session(secret=SECRET)[1], session_id=SESSION, secret=SECRET)


def test_a_text_digest_tells_equal_queries_and_cannot_be_guessed_without_the_secret() -> None:
    made = text_digest("How do I appeal?", secret=SECRET)
    assert made == text_digest("how do  i appeal?", secret=SECRET)
    assert made != text_digest("how do i appeal a grade?", secret=SECRET)
    assert made != text_digest("How do I appeal?", secret=ANOTHER)
    assert made != digest("How do I appeal?")
