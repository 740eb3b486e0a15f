"""Leases, labels and undo in Postgres: nobody's work is done twice, and none is lost."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from contracts.errors import LabelRefused
from contracts.records import IntentProbability, ReviewItem
from store.database import Connection, connect
from store.labels import (
    claim_next,
    give_label,
    read_labels,
    read_progress,
    read_verified,
    release_items,
    renew_leases,
    retract_label,
)
from store.reviewers import disable_reviewer, set_role
from tests.review_samples import add_item, add_people


@pytest.fixture(autouse=True)
def people(connection: Connection) -> None:
    add_people(connection, ana="reviewer", ben="reviewer", cleo="reviewer", lea="lead")


def claim(connection: Connection, reviewer: str, *holding: str) -> str | None:
    item = claim_next(connection, reviewer=reviewer, lease_s=300, holding=holding)
    return item.item_id if item else None


def say(connection: Connection, reviewer: str, intent: str, item_id: str) -> int:
    return give_label(connection, item_id=item_id, reviewer=reviewer, intent=intent).label_id


def let_leases_expire(connection: Connection) -> None:
    connection.execute("UPDATE review_items SET leased_until = now() WHERE leased_by IS NOT NULL")


def test_an_item_comes_with_all_that_the_hub_answered(connection: Connection) -> None:
    add_item(connection, "a", members=12, reason="thumbs_down", source="simulated")
    item = claim_next(connection, reviewer="ana", lease_s=300)
    assert isinstance(item, ReviewItem)
    assert (item.item_id, item.members, item.reason, item.source) == (
        "a",
        12,
        "thumbs_down",
        "simulated",
    )
    assert item.alternatives[0] == IntentProbability("exams_and_grades", 0.52)
    assert item.result_ids == ("exams-1", "exams-2")


def test_the_highest_priority_comes_first_and_equals_by_their_id(connection: Connection) -> None:
    for item_id, priority in (("c", 1.0), ("b", 1.0), ("a", 0.5), ("d", 2.0)):
        add_item(connection, item_id, priority=priority)
    order = [claim(connection, "ana", *"dbca"[:done]) for done in range(4)]
    assert order == ["d", "b", "c", "a"]


def test_what_somebody_else_has_labelled_comes_before_everything(connection: Connection) -> None:
    add_item(connection, "a", priority=9)
    add_item(connection, "b", priority=1)
    say(connection, "ben", "housing", "b")
    assert claim(connection, "ana") == "b"


def test_nobody_gets_what_another_holds_until_the_lease_expires(connection: Connection) -> None:
    add_item(connection, "a")
    assert claim(connection, "ana") == "a"
    assert claim(connection, "ben") is None
    let_leases_expire(connection)
    assert claim(connection, "ben") == "a"


def test_nobody_gets_what_they_have_labelled_themselves(connection: Connection) -> None:
    add_item(connection, "a")
    say(connection, "ana", "housing", claim(connection, "ana") or "")
    assert claim(connection, "ana") is None
    assert claim(connection, "ben") == "a"


def test_nobody_gets_what_is_verified_or_unclear_to_two(connection: Connection) -> None:
    for item_id in ("agreed", "decided", "unclear"):
        add_item(connection, item_id)
    for reviewer in ("ana", "ben"):
        say(connection, reviewer, "housing", "agreed")
        say(connection, reviewer, "unclear", "unclear")
    say(connection, "ana", "housing", "decided")
    say(connection, "lea", "dining", "decided")
    assert claim(connection, "cleo") is None


def test_what_two_disagree_about_goes_to_a_third(connection: Connection) -> None:
    add_item(connection, "a")
    say(connection, "ana", "housing", "a")
    say(connection, "ben", "dining", "a")
    assert claim(connection, "cleo") == "a"


def test_two_windows_of_one_person_get_different_items_while_there_are_enough(
    connection: Connection,
) -> None:
    add_item(connection, "a", priority=2)
    add_item(connection, "b", priority=1)
    assert claim(connection, "ana") == "a"
    assert claim(connection, "ana") == "b"
    # A page that was loaded anew holds nothing: its items are not lost for five minutes.
    assert claim(connection, "ana") == "a"
    assert claim(connection, "ana", "a", "b") is None


def test_reviewers_who_ask_at_the_same_moment_never_get_the_same_item(database_url: str) -> None:
    people, each = 8, 6
    with connect(database_url, vectors=False) as connection:
        for number in range(people * each):
            add_item(connection, f"item {number:02}")
        add_people(connection, **{f"person{number}": "reviewer" for number in range(people)})
    together = Barrier(people)

    def review(number: int) -> list[str]:
        with connect(database_url, vectors=False) as own:
            got: list[str] = []
            for _ in range(each):
                together.wait(timeout=30)
                got.append(claim(own, f"person{number}", *got) or "nothing")
            return got

    with ThreadPoolExecutor(people) as threads:
        got = [item for items in threads.map(review, range(people)) for item in items]
    assert sorted(got) == [f"item {number:02}" for number in range(people * each)]


def test_of_many_who_ask_for_the_last_item_one_gets_it(database_url: str) -> None:
    with connect(database_url, vectors=False) as connection:
        add_item(connection, "a")
        add_people(connection, **{f"person{number}": "reviewer" for number in range(6)})
    together = Barrier(6)

    def review(number: int) -> str | None:
        with connect(database_url, vectors=False) as own:
            together.wait(timeout=30)
            return claim(own, f"person{number}")

    with ThreadPoolExecutor(6) as threads:
        got = list(threads.map(review, range(6)))
    assert (got.count("a"), got.count(None)) == (1, 5)


def test_a_lease_is_extended_and_given_back_by_its_holder_only(connection: Connection) -> None:
    add_item(connection, "a")
    claim(connection, "ana")
    assert renew_leases(connection, reviewer="ben", item_ids=["a"], lease_s=300) == set()
    assert renew_leases(connection, reviewer="ana", item_ids=["a"], lease_s=300) == {"a"}
    release_items(connection, reviewer="ben", item_ids=["a"])
    assert claim(connection, "ben") is None
    release_items(connection, reviewer="ana", item_ids=["a"])
    assert claim(connection, "ben") == "a"


def test_a_label_keeps_who_when_what_the_model_said_and_its_source(connection: Connection) -> None:
    add_item(connection, "a", source="simulated")
    given = give_label(connection, item_id="a", reviewer="lea", intent="housing")
    assert (given.reviewer, given.role, given.intent) == ("lea", "lead", "housing")
    assert (given.model_version, given.model_intent, given.model_confidence, given.source) == (
        "v3",
        "exams_and_grades",
        0.52,
        "simulated",
    )
    assert given.labelled_at.tzinfo is not None
    assert read_labels(connection) == [given]


def test_a_label_is_kept_although_its_lease_went_to_somebody_else(connection: Connection) -> None:
    add_item(connection, "a")
    claim(connection, "ana")
    let_leases_expire(connection)
    claim(connection, "ben")
    say(connection, "ana", "housing", "a")
    assert claim(connection, "cleo") is None, "ben's lease stands"


@pytest.mark.parametrize("trick", ["again", "as a lead"])
def test_a_second_label_of_the_same_person_is_refused(connection: Connection, trick: str) -> None:
    add_item(connection, "a")
    say(connection, "ana", "housing", "a")
    if trick == "as a lead":
        set_role(connection, name="ana", role="lead")
    with pytest.raises(LabelRefused, match="in another window"):
        say(connection, "ana", "housing", "a")
    assert read_verified(connection) == []


def test_two_windows_that_label_at_the_same_moment_leave_one_label(database_url: str) -> None:
    with connect(database_url, vectors=False) as connection:
        add_item(connection, "a")
    together = Barrier(4)

    def label(_: int) -> str:
        with connect(database_url, vectors=False) as own:
            together.wait(timeout=30)
            try:
                say(own, "ana", "housing", "a")
            except LabelRefused:
                return "refused"
            return "kept"

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(label, range(4))) == ["kept", "refused", "refused", "refused"]


def test_a_disabled_account_cannot_label_even_in_an_open_window(connection: Connection) -> None:
    add_item(connection, "a")
    claim(connection, "ana")
    disable_reviewer(connection, name="ana")
    with pytest.raises(LabelRefused, match="account is disabled"):
        say(connection, "ana", "housing", "a")
    assert claim(connection, "ben") == "a"


def test_a_label_on_an_item_that_was_erased_is_refused_with_a_sentence(
    connection: Connection,
) -> None:
    with pytest.raises(LabelRefused, match="erased"):
        say(connection, "ana", "housing", "gone")


def test_undo_takes_the_label_back_and_brings_the_item_again(connection: Connection) -> None:
    add_item(connection, "a")
    label_id = say(connection, "ana", "housing", "a")
    item = retract_label(connection, label_id=label_id, reviewer="ana", lease_s=300)
    assert item is not None
    assert item.item_id == "a"
    assert read_labels(connection) == []
    assert claim(connection, "ben") is None, "it is ana's again"
    say(connection, "ana", "dining", "a")
    assert [one.intent for one in read_labels(connection)] == ["dining"]


def test_undo_keeps_what_was_taken_back_on_record(connection: Connection) -> None:
    add_item(connection, "a")
    label_id = say(connection, "ana", "housing", "a")
    retract_label(connection, label_id=label_id, reviewer="ana", lease_s=300)
    rows = connection.execute("SELECT intent, retracted_at IS NOT NULL FROM labels").fetchall()
    assert rows == [("housing", True)]


def test_undo_works_also_when_somebody_else_has_the_item_now(connection: Connection) -> None:
    add_item(connection, "a")
    label_id = say(connection, "ana", "housing", "a")
    assert claim(connection, "ben") == "a"
    assert retract_label(connection, label_id=label_id, reviewer="ana", lease_s=300) is None
    assert read_labels(connection) == []


def test_nobody_can_take_back_twice_or_for_others(connection: Connection) -> None:
    add_item(connection, "a")
    label_id = say(connection, "ana", "housing", "a")
    with pytest.raises(LabelRefused, match="nothing to take back"):
        retract_label(connection, label_id=label_id, reviewer="ben", lease_s=300)
    retract_label(connection, label_id=label_id, reviewer="ana", lease_s=300)
    with pytest.raises(LabelRefused, match="nothing to take back"):
        retract_label(connection, label_id=label_id, reviewer="ana", lease_s=300)


def test_progress_counts_items_and_labels_that_stand(connection: Connection) -> None:
    for item_id, source in (("a", "real"), ("b", "simulated"), ("c", "real"), ("d", "real")):
        add_item(connection, item_id, source=source)
    for item_id in ("a", "b"):
        say(connection, "ana", "housing", item_id)
        say(connection, "ben", "housing", item_id)
    say(connection, "ana", "dining", "c")
    taken_back = say(connection, "ana", "dining", "d")
    retract_label(connection, label_id=taken_back, reviewer="ana", lease_s=300)
    progress = read_progress(connection, reviewer="ana")
    assert (progress.verified, progress.verified_real) == (2, 1)
    assert (progress.labelled, progress.items, progress.mine) == (3, 4, 3)


def test_the_newest_labels_of_one_person_can_be_read(connection: Connection) -> None:
    for item_id in "abc":
        add_item(connection, item_id)
        say(connection, "ana", "housing", item_id)
        say(connection, "ben", "housing", item_id)
    mine = read_labels(connection, reviewer="ana", newest=2)
    assert [(one.item_id, one.reviewer) for one in mine] == [("c", "ana"), ("b", "ana")]


def test_verified_labels_are_read_with_what_they_stand_for(connection: Connection) -> None:
    add_item(connection, "a", members=12)
    say(connection, "ana", "housing", "a")
    say(connection, "ben", "housing", "a")
    (verified,) = read_verified(connection)
    assert (verified.intent, verified.verified_by, verified.members) == ("housing", "agreement", 12)
    assert verified.verified_at == max(one.labelled_at for one in read_labels(connection))
