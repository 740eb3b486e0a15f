"""What the dated datasets hold: their columns, as an Arrow schema with a version.

A column is never renamed and never changes its type; a new one raises the version, and readers
fill it with nulls for the days that were written before.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_TIME: Final = pa.timestamp("us", tz="UTC")
_TEXT: Final = pa.string()


@dataclass(frozen=True, slots=True)
class DatasetKind:
    """One dataset: its name in the store and what each row is.

    `is_whole` says that each day holds everything that was current then, not what came that day:
    a range of days then means its newest one.
    """

    name: str
    version: int
    schema: pa.Schema
    is_whole: bool


def _required(*columns: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name, kind in columns]


def _optional(*columns: tuple[str, pa.DataType]) -> list[pa.Field]:
    return [pa.field(name, kind) for name, kind in columns]


INTERACTIONS: Final = DatasetKind(
    name="interactions",
    version=1,
    is_whole=False,
    schema=pa.schema(
        [
            *_required(
                ("interaction_id", _TEXT),
                ("asked_at", _TIME),
                ("ingested_at", _TIME),
                ("session_id", _TEXT),
                ("query_text", _TEXT),
                ("outcome", _TEXT),
            ),
            *_optional(
                ("confused_because", _TEXT),
                ("intent", _TEXT),
                ("confidence", pa.float64()),
                (
                    "alternatives",
                    pa.list_(pa.struct([("intent", _TEXT), ("confidence", pa.float64())])),
                ),
                ("result_ids", pa.list_(_TEXT)),
                ("degraded", pa.list_(_TEXT)),
            ),
            *_required(("is_crisis", pa.bool_())),
            *_optional(
                ("model_version", _TEXT),
                ("embedding_space", _TEXT),
                ("timings_ms", pa.map_(_TEXT, pa.float64())),
                ("feedback_score", pa.int8()),
                ("feedback_comment", _TEXT),
                ("feedback_at", _TIME),
            ),
            *_required(("source", _TEXT)),
        ]
    ),
)
"""The interactions of one day, as they were when the snapshot was taken, thumbs included."""

LABELS: Final = DatasetKind(
    name="labels",
    version=1,
    is_whole=True,
    schema=pa.schema(
        [
            *_required(("label_id", pa.int64()), ("item_id", _TEXT)),
            *_optional(("session_id", _TEXT)),
            *_required(
                ("query_text", _TEXT),
                ("reason", _TEXT),
                ("asked_at", _TIME),
                ("reviewer", _TEXT),
                ("role", _TEXT),
                ("intent", _TEXT),
                ("labelled_at", _TIME),
            ),
            *_optional(
                ("model_version", _TEXT),
                ("model_intent", _TEXT),
                ("model_confidence", pa.float64()),
            ),
            *_required(("source", _TEXT)),
            *_optional(
                (
                    "members",
                    pa.list_(pa.struct([("interaction_id", _TEXT), ("session_id", _TEXT)])),
                ),
                ("verified_intent", _TEXT),
                ("verified_at", _TIME),
                ("verified_by", _TEXT),
            ),
        ]
    ),
)
"""Every label in force, with its query; `verified_*` is null where the item is not verified.
`session_id` asked the query, `members` are the interactions that the label speaks for."""

KINDS: Final = {kind.name: kind for kind in (INTERACTIONS, LABELS)}


def without_sessions(table: pa.Table, erased: Collection[str]) -> pa.Table:
    """Return the table without what came from the erased sessions.

    Rows of such a session go; of other rows' `members` only those of such sessions.
    """
    if not erased:
        return table
    gone = pa.array(sorted(erased), _TEXT)
    kept = table.filter(pc.invert(pc.is_in(table["session_id"], value_set=gone)))
    if "members" in kept.schema.names:
        kept = _without_members(kept, frozenset(erased))
    return kept


def _without_members(table: pa.Table, erased: frozenset[str]) -> pa.Table:
    place = table.schema.get_field_index("members")
    column = table.column(place).to_pylist()
    if not any(one["session_id"] in erased for row in column for one in row or ()):
        return table
    kept = [row and [one for one in row if one["session_id"] not in erased] for row in column]
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(kept, field.type))
