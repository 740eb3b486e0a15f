"""Review items and reviewers for tests of the feedback loop."""

import json
from datetime import UTC, datetime
from typing import Any

from store.database import Connection

ALTERNATIVES = (("exams_and_grades", 0.52), ("transcripts_and_records", 0.21), ("housing", 0.04))


def add_people(connection: Connection, **roles: str) -> None:
    """Add accounts without a password, by name and role."""
    for name, role in roles.items():
        connection.execute("INSERT INTO reviewers (name, role) VALUES (%s, %s)", (name, role))


def add_item(connection: Connection, item_id: str, *, members: int = 1, **changes: Any) -> str:
    """Add an item that the hub was unsure of, with so many interactions folded in."""
    row = {
        "item_id": item_id,
        "query_text": f"where do i see my grade {item_id}",
        "reason": "doubtful",
        "priority": 1.0,
        "asked_at": datetime.now(UTC),
        "model_version": "v3",
        "intent": "exams_and_grades",
        "confidence": 0.52,
        "alternatives": json.dumps(
            [{"intent": intent, "confidence": confidence} for intent, confidence in ALTERNATIVES]
        ),
        "outcome": "confused",
        "result_ids": ["exams-1", "exams-2"],
        "source": "real",
        **changes,
    }
    names = ", ".join(row)
    places = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO review_items ({names}) VALUES ({places})", row)
    for number in range(members):
        member = item_id if number == 0 else f"{item_id}-{number}"
        connection.execute(
            "INSERT INTO review_members VALUES (%s, %s, %s)", (member, item_id, f"session {number}")
        )
    return item_id
