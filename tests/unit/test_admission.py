"""Who may ask now: quotas and room."""

import pytest

from graph.admission import MAX_REMEMBERED, Quota, Room
from graph.problems import ProblemError


def taken(quota: Quota, key: str, *, now_s: float) -> ProblemError | None:
    try:
        quota.take(key, now_s=now_s)
    except ProblemError as problem:
        return problem
    return None


def test_a_full_minutes_quota_may_be_asked_at_once_and_not_one_more() -> None:
    quota = Quota(per_minute=120)
    assert all(taken(quota, "a", now_s=0.0) is None for _ in range(120))
    problem = taken(quota, "a", now_s=0.0)
    assert problem is not None
    assert (problem.status, problem.kind) == (429, "quota")
    assert "120" in problem.detail


def test_retry_after_is_the_whole_seconds_until_the_next_token() -> None:
    quota = Quota(per_minute=6)  # one every 10 s
    for _ in range(6):
        quota.take("a", now_s=0.0)
    waits = [taken(quota, "a", now_s=now_s) for now_s in (0.0, 0.5, 9.5, 9.99)]
    assert [problem and problem.retry_after_s for problem in waits] == [10, 10, 1, 1]
    assert taken(quota, "a", now_s=10.0) is None
    assert taken(quota, "a", now_s=10.0) is not None


def test_being_refused_costs_no_token() -> None:
    quota = Quota(per_minute=6)
    for _ in range(6):
        quota.take("a", now_s=0.0)
    for tenth in range(99):
        assert taken(quota, "a", now_s=tenth / 10) is not None
    assert taken(quota, "a", now_s=10.0) is None


def test_tokens_come_back_evenly_and_never_more_than_a_minutes_worth() -> None:
    quota = Quota(per_minute=60)
    for _ in range(60):
        quota.take("a", now_s=0.0)
    assert all(taken(quota, "a", now_s=float(second)) is None for second in range(1, 30))
    assert [taken(quota, "a", now_s=10_000.0) for _ in range(60)] == [None] * 60
    assert taken(quota, "a", now_s=10_000.0) is not None


def test_sessions_do_not_share_a_quota() -> None:
    quota = Quota(per_minute=1)
    assert taken(quota, "a", now_s=0.0) is None
    assert taken(quota, "b", now_s=0.0) is None
    assert taken(quota, "a", now_s=0.0) is not None


def test_zero_means_no_limit() -> None:
    quota = Quota(per_minute=0)
    assert all(taken(quota, "a", now_s=0.0) is None for _ in range(10_000))


def test_the_memory_is_bounded_and_the_latest_sessions_are_remembered() -> None:
    quota = Quota(per_minute=1)
    for number in range(MAX_REMEMBERED + 10):
        quota.take(str(number), now_s=0.0)
    assert len(quota._buckets) == MAX_REMEMBERED
    assert taken(quota, str(MAX_REMEMBERED + 9), now_s=0.0) is not None
    assert taken(quota, "0", now_s=0.0) is None  # forgotten


def test_the_clock_is_read_when_no_time_is_given() -> None:
    quota = Quota(per_minute=1)
    quota.take("a")
    with pytest.raises(ProblemError):
        quota.take("a")


def test_room_refuses_at_its_limit_and_takes_again_when_one_has_left() -> None:
    room = Room(limit=2)
    room.enter()
    room.enter()
    with pytest.raises(ProblemError) as caught:
        room.enter()
    assert (caught.value.status, caught.value.kind) == (503, "overload")
    assert caught.value.retry_after_s == 1
    assert room.inside == 2
    room.leave()
    room.enter()
    assert room.inside == 2
