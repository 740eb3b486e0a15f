"""Documents of the legacy Firestore as rows of this hub: which of its fields means what."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from contracts.records import KnowledgeNode
from store.knowledge_source import read_node

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("title", "heading", "name"),
    "body": ("body", "content", "text", "answer"),
    "url": ("url", "link", "href"),
    "intent": ("intent", "category", "topic"),
    "tags": ("tags", "keywords"),
}
"""A node's fields, each under the names that it has had; the first that holds something counts."""

_NESTS: Final = ("metadata", "meta")
"""Maps in which a field is looked for that the document itself lacks."""

_TRUE_HIDES: Final = ("deleted", "is_deleted", "hidden", "archived")
_FALSE_HIDES: Final = ("published", "active", "visible")
_STATUS: Final = "status"
_HIDING: Final = frozenset({"deleted", "archived", "hidden", "draft"})

FIELDS: Final = (
    *(name for names in NAMES.values() for name in names),
    *_NESTS,
    *_TRUE_HIDES,
    *_FALSE_HIDES,
    _STATUS,
)
"""All that is read of a document: old embeddings and timestamps stay where they are."""

_REQUIRED: Final = ("title", "body", "url", "intent")
_INNER_TEXT: Final = ("text", "en")


def read_legacy(
    document_id: str, document: Mapping[str, Any], *, intents: Collection[str] | None
) -> KnowledgeNode | str:
    """Return the document's node, or what is wrong with it. Unknown fields mean nothing."""
    found = {field: _first(document, names) for field, names in NAMES.items()}
    lacking = [
        f"{field}: the document has none of {', '.join(NAMES[field])}"
        for field in _REQUIRED
        if found[field] is None
    ]
    if lacking:
        return "; ".join(lacking)
    row = {"id": document_id} | {field: _text(found[field]) for field in _REQUIRED}
    row["intent"] = _intent(row["intent"])
    row["tags"] = _tags(found["tags"])
    return read_node(row, intents=intents)


def is_hidden(document: Mapping[str, Any]) -> bool:
    """Say whether the legacy system shows the document to nobody: deleted, archived, a draft."""
    status = _first(document, (_STATUS,))
    return (
        any(_first(document, (name,)) is True for name in _TRUE_HIDES)
        or any(_first(document, (name,)) is False for name in _FALSE_HIDES)
        or (isinstance(status, str) and status.strip().lower() in _HIDING)
    )


def _first(document: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    nests = [document[nest] for nest in _NESTS if isinstance(document.get(nest), Mapping)]
    for fields in (document, *nests):
        for name in names:
            if fields.get(name) not in (None, "", [], {}):
                return fields[name]
    return None


def _text(value: Any) -> Any:
    """Return the text of a field that is a map around it, such as one a language."""
    if isinstance(value, Mapping):
        return next((value[name] for name in _INNER_TEXT if value.get(name)), value)
    return value


def _intent(value: Any) -> Any:
    """Return "Exams & Grades" as exams_and_grades."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[^a-z0-9]+", "_", value.lower().replace("&", " and ")).strip("_") or value


def _tags(value: Any) -> Any:
    """Return a list, whether it was one or a text with commas or semicolons."""
    if value is None:
        return []
    parts = re.split(r"[,;]", value) if isinstance(value, str) else value
    if not isinstance(parts, list):
        return value
    trimmed = [part.strip() if isinstance(part, str) else part for part in parts]
    return [part for part in trimmed if part != ""]
