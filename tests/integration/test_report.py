"""The report against Postgres, with numbers that were counted by hand."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from scripts import report as command
from scripts.report import page, parse_since
from store.database import Connection
from store.report import Figures, Unanswered, read_report
from tests.samples import utc

SINCE, UNTIL = utc(2026, 3, 1), utc(2026, 3, 4)
HOSTILE = """<script>alert("x")</script> & 'quoted' </title><img src=x onerror=alert(1)>"""


def ask(connection: Connection, text: str = "where is lunch", **changes: Any) -> None:
    row = {
        "interaction_id": uuid.uuid4().hex,
        "asked_at": utc(2026, 3, 1, 12),
        "session_id": "s1",
        "query_text": text,
        "outcome": "answered",
        "intent": "dining",
        "confidence": 0.9,
        "model_version": "v3",
        **changes,
    }
    if "feedback_score" in row:
        row.setdefault("feedback_at", row["asked_at"])
    columns, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO interaction_log ({columns}) VALUES ({values})", row)


DOUBTFUL = {"outcome": "rephrase", "confused_because": "low_confidence", "confidence": 0.3}


def test_interactions_are_counted_in_all_by_day_intent_and_version(connection: Connection) -> None:
    ask(connection)
    ask(connection, session_id="s2", **DOUBTFUL)
    ask(connection, asked_at=utc(2026, 3, 3, 23, 59), intent="housing", model_version="v4")
    ask(connection, asked_at=utc(2026, 3, 3), outcome="confused", confused_because="out_of_scope",
        intent="out_of_scope")  # fmt: skip
    ask(connection, outcome="confused", confused_because="degraded", intent=None, confidence=None,
        model_version=None)  # fmt: skip
    ask(connection, asked_at=utc(2026, 2, 28, 23, 59), **DOUBTFUL)
    ask(connection, asked_at=UNTIL, **DOUBTFUL)
    report = read_report(connection, since=SINCE, until=UNTIL)
    real = report.sources["real"]
    assert real.total == Figures(queries=5, sessions=2, confused=3, low_confidence=1)
    assert real.total.confusion_rate == 0.6
    assert real.total.low_confidence_share == 0.2
    assert report.step == "day"
    assert real.moments == {
        utc(2026, 3, 1): Figures(queries=3, sessions=2, confused=2, low_confidence=1),
        utc(2026, 3, 2): Figures(),
        utc(2026, 3, 3): Figures(queries=2, sessions=1, confused=1),
    }
    assert list(real.intents) == ["dining", "housing", "out_of_scope", None]
    assert real.intents["dining"] == Figures(queries=2, sessions=2, confused=1, low_confidence=1)
    assert real.model_versions["v3"] == Figures(3, 2, confused=2, low_confidence=1)
    assert real.model_versions["v4"] == Figures(queries=1, sessions=1)
    assert real.model_versions[None] == Figures(queries=1, sessions=1, confused=1)


def test_real_and_simulated_traffic_are_apart(connection: Connection) -> None:
    connection.execute("INSERT INTO simulated_sessions (session_id) VALUES ('robot')")
    ask(connection)
    ask(connection, session_id="robot", feedback_score=-1, **DOUBTFUL)
    report = read_report(connection, since=SINCE, until=UNTIL)
    assert report.sources["real"].total == Figures(queries=1, sessions=1)
    assert report.sources["real"].unanswered == []
    simulated = report.sources["simulated"]
    assert simulated.total == Figures(1, 1, confused=1, low_confidence=1, thumbs_down=1)
    assert [one.text for one in simulated.unanswered] == ["where is lunch"]


def test_a_session_has_one_thumb_a_text_its_last(connection: Connection) -> None:
    for minute, (text, score) in enumerate(
        [("where is lunch", 1), ("Where  is LUNCH ", 1), ("where is lunch", -1), ("my bill", 1)]
    ):
        ask(connection, text, asked_at=utc(2026, 3, 1, 12, minute), feedback_score=score)
    ask(connection, session_id="s2", feedback_score=1)
    ask(connection, session_id="s3")
    total = read_report(connection, since=SINCE, until=UNTIL).sources["real"].total
    assert (total.thumbs_up, total.thumbs_down) == (2, 1)
    assert total.thumbs_up_share == pytest.approx(2 / 3)


def test_unanswered_questions_are_folded_and_ordered_by_how_many_asked(
    connection: Connection,
) -> None:
    for session_id in ("s1", "s2", "s3"):
        ask(connection, "Where do I get  a ＬOCKER", session_id=session_id, **DOUBTFUL)
    ask(connection, "where do i get a locker", intent="library", **DOUBTFUL)
    for _ in range(9):
        ask(connection, "one person, many times", session_id="s9", **DOUBTFUL)
    ask(connection, "answered")
    real = read_report(connection, since=SINCE, until=UNTIL).sources["real"]
    assert real.unanswered == [
        Unanswered("where do i get a locker", 4, 3, "dining", "low_confidence"),
        Unanswered("one person, many times", 9, 1, "dining", "low_confidence"),
    ]


def test_no_more_unanswered_questions_are_listed_than_one_can_read(connection: Connection) -> None:
    for number in range(25):
        ask(connection, f"question {number:02}", **DOUBTFUL)
    real = read_report(connection, since=SINCE, until=UNTIL).sources["real"]
    assert [one.text for one in real.unanswered] == [f"question {n:02}" for n in range(20)]


def test_two_days_and_less_are_shown_by_the_hour(connection: Connection) -> None:
    ask(connection, asked_at=utc(2026, 3, 1, 13, 20))
    since = utc(2026, 3, 1, 11, 30)
    report = read_report(connection, since=since, until=since + timedelta(hours=3))
    hours = {at.hour: one.queries for at, one in report.sources["real"].moments.items()}
    assert (report.step, hours) == ("hour", {11: 0, 12: 0, 13: 1, 14: 0})


class _Seen(HTMLParser):
    """What a browser would see: the elements, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_hostile_texts_as_texts_and_fetches_nothing(connection: Connection) -> None:
    ask(connection, HOSTILE, intent=HOSTILE, model_version=HOSTILE, **DOUBTFUL)
    report = read_report(connection, since=SINCE, until=UNTIL)
    html = page(report, made_at=UNTIL)
    seen = _Seen(html)
    assert HOSTILE.lower() in seen.text.lower()
    assert not {"script", "img", "link", "iframe"} & set(seen.tags)
    assert seen.addresses == []
    assert not re.search(r"url\(|@import|https?:", html)
    assert "default-src 'none'" in html


def test_the_page_draws_every_day_with_its_numbers(connection: Connection) -> None:
    ask(connection)
    ask(connection, asked_at=utc(2026, 3, 3), feedback_score=1, **DOUBTFUL)
    html = page(read_report(connection, since=SINCE, until=UNTIL), made_at=UNTIL)
    assert html.count("<svg") == 3, "of the simulated traffic there is nothing to draw"
    assert "01 Mar 2026: 1 asked, 0 not answered" in html
    assert "03 Mar 2026: 100% not answered" in html
    assert "03 Mar 2026: 1 up, 0 down" in html
    assert "Nothing was asked in this time." in html


def test_the_command_prints_the_figures_and_writes_the_page(
    connection: Connection,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    ask(connection, "[bold]where is lunch[/]", asked_at=datetime.now(UTC), **DOUBTFUL)
    ask(connection, "\x1b[2Jclear the screen", asked_at=datetime.now(UTC), **DOUBTFUL)
    file = tmp_path / "reports" / "week.html"
    assert command.main(["--since", "7d", "--html", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "[bold]where is lunch[/]" in printed
    assert "\x1b[2J" not in printed
    assert "100%" in printed
    assert "[bold]where is lunch[/]" in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == ["week.html"]


def test_a_database_that_is_away_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert command.main(["--html", str(tmp_path / "report.html")]) == 1
    assert "No report was written." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("7d", utc(2026, 2, 25, 12)),
        ("36h", utc(2026, 3, 3)),
        ("2w", utc(2026, 2, 18, 12)),
        ("2026-03-01", utc(2026, 3, 1)),
    ],
)
def test_a_span_is_said_in_days_hours_weeks_or_by_its_date(text: str, since: datetime) -> None:
    assert parse_since(text, now=utc(2026, 3, 4, 12)) == since


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "0d", "7 d", "2026-13-01", "2030-01-01"])
def test_a_span_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([f"--since={text}"])
    assert refused.value.code == 2
    assert "--since" in capsys.readouterr().err
