"""Rows of the dated datasets for tests."""

from typing import Any

import pyarrow as pa

from store.dataset_kinds import INTERACTIONS, DatasetKind
from tests.samples import utc


def asked(number: int, *, session_id: str = "s1", **changes: Any) -> dict[str, Any]:
    return {
        "interaction_id": f"i{number}",
        "asked_at": utc(2026, 3, 1, 12),
        "ingested_at": utc(2026, 3, 1, 12),
        "session_id": session_id,
        "query_text": f"question {number}",
        "outcome": "answered",
        "alternatives": [{"intent": "dining", "confidence": 0.9}],
        "timings_ms": [("total", 11.0)],
        "is_crisis": False,
        "source": "real",
        **changes,
    }


def labelled(number: int, *, session_id: str, members: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "label_id": number,
        "item_id": f"i{number}",
        "session_id": session_id,
        "query_text": f"question {number}",
        "reason": "doubtful",
        "asked_at": utc(2026, 3, 1, 12),
        "reviewer": "ada",
        "role": "lead",
        "intent": "dining",
        "labelled_at": utc(2026, 3, 1, 13),
        "source": "real",
        "members": [{"interaction_id": one, "session_id": session} for one, session in members],
    }


def table(*rows: dict[str, Any], kind: DatasetKind = INTERACTIONS) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=kind.schema)
