"""The Django admin over the hub's own Postgres: what is shown, found, and asked of the database."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import DATA
from store.database import connect
from store.knowledge_file import read_knowledge
from tests.django_log import INTERACTIONS, NODES, NOON, ODD, ROWS, SESSION, listed, shown


def test_interactions_are_listed_by_pages_newest_first(staff: Any) -> None:
    page = shown(staff, INTERACTIONS)
    assert listed(page) == 50
    assert page.index("question 0<") < page.index("question 2<") < page.index("question 4<")
    assert f"{ROWS + 1} interactions" in page
    second = shown(staff, INTERACTIONS + "?p=2")
    assert listed(second) == ROWS + 1 - 50
    assert "Add interaction" not in page
    assert "delete_selected" not in page


def test_one_interaction_shows_all_that_was_answered_and_not_whose_it_was(staff: Any) -> None:
    page = shown(staff, f"{INTERACTIONS}{ODD.interaction_id}/change/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; write to [email]" in page
    assert "<script>alert" not in page
    assert '<a href="/admin/django_hub/knowledgenode/library-hours/change/">' in page
    assert "knowledgenode/a_2Fb%20c/change/" in page
    assert "down" in page
    assert "classify 4.1 ms, total 11 ms" in page
    assert SESSION[:6] in page
    assert SESSION[:7] not in page
    assert 'name="_save"' not in page
    assert "Delete" not in page


def test_the_row_is_looked_for_in_its_own_partition_only(staff: Any) -> None:
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    hub = connections["hub"]
    with CaptureQueriesContext(hub) as captured:
        shown(staff, f"{INTERACTIONS}{ODD.interaction_id}/change/")
    (query,) = [one["sql"] for one in captured if "query_text" in one["sql"]]
    with hub.cursor() as cursor:
        cursor.execute("EXPLAIN " + query)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert set(re.findall(r"interaction_log_\w+", plan)) >= {f"interaction_log_{NOON:%Y%m%d}_pkey"}
    assert "default" not in plan
    assert f"{NOON - timedelta(days=1):%Y%m%d}" not in plan


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "0" * 44, "f" * 44, "-1", pytest.param(ODD.interaction_id[:-1], id="cut")],
)
def test_an_id_that_is_none_is_not_found(staff: Any, wrong: str) -> None:
    assert staff.get(f"{INTERACTIONS}{wrong}/change/").status_code == 302
    assert listed(shown(staff, f"{INTERACTIONS}?q={wrong}")) == 0


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        pytest.param(f"q={ODD.interaction_id}", 1, id="id"),
        ("outcome__exact=confused", 1),
        ("feedback_score__exact=-1", 1),
        ("is_crisis__exact=1", 1),
        ("answer=degraded", 1),
        ("answer=whole", 50),
        ("intent=exams_and_grades", 50),
        ("intent=dining", 0),
        pytest.param(
            f"asked_at__year={NOON:%Y}&asked_at__month={NOON.month}&asked_at__day={NOON.day}",
            31,
            id="day",
        ),
        ("outcome__exact=rephrase", 0),
    ],
)
def test_interactions_are_found_by_id_date_and_filters(staff: Any, asked: str, rows: int) -> None:
    assert listed(shown(staff, f"{INTERACTIONS}?{asked}")) == rows


def test_a_page_asks_the_same_queries_for_any_number_of_rows_and_never_counts_the_table(
    staff: Any,
) -> None:
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    asked = []
    for address in (INTERACTIONS, INTERACTIONS + "?outcome__exact=confused"):
        with CaptureQueriesContext(connections["hub"]) as captured:
            shown(staff, address)
        asked.append([one["sql"] for one in captured])
    many, one = asked
    assert len(many) == len(one) <= 5
    assert not [query for query in many if "DISTINCT" in query]
    counts = [query for query in many if "COUNT(*)" in query]
    assert counts
    assert all("LIMIT 10001" in query for query in counts)


def test_the_date_hierarchy_goes_down_to_the_days_of_the_log_whatever_else_is_filtered(
    staff: Any,
) -> None:
    day = f"asked_at__year={NOON.year}&asked_at__month={NOON.month}"
    days = {f"{one:%B} {one.day}" for one in (NOON, NOON - timedelta(days=1))}
    for filtered in ("", "&is_crisis__exact=1", "&outcome__exact=rephrase"):
        page = shown(staff, f"{INTERACTIONS}?{day}{filtered}")
        found = set(re.findall(rf"asked_at__day=\d+[^>]*>\s*({NOON:%B} \d+)<", page))
        assert found == {one for one in days if one.startswith(f"{NOON:%B}")}


def test_what_takes_too_long_is_said_and_leads_back_to_the_list(staff: Any) -> None:
    from django.db import connections

    hub = connections["hub"]
    with hub.cursor() as cursor:
        cursor.execute("SET statement_timeout = '1ms'")

    def slowly(execute: Any, query: str, parameters: Any, many: bool, context: Any) -> Any:
        return execute(
            query.replace("SELECT ", "SELECT pg_sleep(0.1), ", 1), parameters, many, context
        )

    try:
        with hub.execute_wrapper(slowly):
            response = staff.get(f"{INTERACTIONS}?is_crisis__exact=1")
        assert (response.status_code, response.headers["Location"]) == (302, INTERACTIONS)
    finally:
        with hub.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
    assert "Choose a day first" in shown(staff, INTERACTIONS)


def test_a_large_log_is_estimated_and_paged_only_so_far(
    staff: Any, monkeypatch: pytest.MonkeyPatch, django_database: str
) -> None:
    from contrib.django_hub import paginator

    with connect(django_database) as owner:
        owner.execute("ANALYZE interaction_log")
    monkeypatch.setattr(paginator, "COUNTED", 20)
    monkeypatch.setattr(paginator, "MOST_PAGES", 1)
    page = shown(staff, INTERACTIONS)
    (said,) = set(re.findall(r"(\d+) interactions", page))
    assert 21 <= int(said) <= 2 * ROWS
    assert "?p=2" not in page
    assert staff.get(INTERACTIONS + "?p=2").status_code == 302


def test_knowledge_is_found_by_words_as_the_hub_does(staff: Any, knowledge_encoder: Path) -> None:
    node = read_knowledge(DATA / "knowledge_nodes.json").nodes[0]
    assert listed(shown(staff, NODES)) == 50
    words = " ".join(node.title.split())
    page = shown(staff, f"{NODES}?q={words}")
    assert f"{NODES}{node.id}/change/" in page.replace("_2D", "-")
    assert 1 <= listed(page) < 50
    assert listed(shown(staff, f"{NODES}?q={node.id}")) >= 1
    assert listed(shown(staff, f"{NODES}?q={words}+xylophone")) == 0
    assert listed(shown(staff, f"{NODES}?q=the")) == 0
    assert 1 <= listed(shown(staff, f"{NODES}?intent={node.intent}")) < 50
    shown_node = shown(staff, f"{NODES}{node.id}/change/")
    assert node.url in shown_node
    assert 'name="_save"' not in shown_node
