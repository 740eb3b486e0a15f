"""Every SQL statement of the project, found in its files and in its Python code.

Python code is read, not run. Two nets, so that none slips through: every literal that begins as
SQL does, wherever it stands; and every argument of a call that takes SQL, which has to be such a
literal, a named statement, or one of the few that are handed on (`HANDED_ON`).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pglast import parse_sql
from pglast.ast import RawStmt
from pglast.parser import ParseError

from contracts.settings import PROJECT
from store.retrieval import _search_sql

PACKAGES: Final = (
    "store", "training", "annotation", "graph", "scripts", "deployments", "pages", "contrib",
)  # fmt: skip
SQL_FILES: Final = ("store", "deploy", "contrib")

COMPOSED: Final = frozenset(
    {"search", "search_matching", "search_nearest", "search_nearest_tagged"}
)
"""Files with parts to fill in: store.retrieval composes them."""

HANDED_ON: Final = {
    "store/dataset_rows.py": {"query"},  # of _one's callers; a named statement in read_rows
    "store/erased_rows.py": {"query"},  # of _one's callers
    "store/interactions.py": {"command"},  # of _on_claim's callers
    "store/knowledge.py": {"building", "copying"},  # sql.SQL(...) a line above
    "store/migrate.py": {"step.sql", "_GRANTS.read_bytes()"},  # files, parsed as such
    "store/partitions.py": {"command"},  # a literal of the loop's tuple
    "store/retrieval.py": {"query"},  # composed of COMPOSED
}
"""Arguments that are no literal, and where what they hold is read instead."""

SPELLED: Final = {
    ("store/reviewers.py", "change"): "role = %(value)s",
    ("store/labels.py", "order"): "DESC",
}
"""What a part of an f-string stands for where a name in its place would be no SQL."""

_BEGINS = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|CREATE|ALTER|DROP|LOCK TABLE|SET|COPY|VACUUM"
    r"|REINDEX|TRUNCATE|GRANT|REVOKE|DO \$|DECLARE|ANALYZE|EXPLAIN|CALL|BEGIN|COMMIT|REFRESH|SHOW"
    r"|LISTEN|NOTIFY|MERGE|COMMENT ON|VALUES)\b(?![:,.])"
)
_TAKES_SQL = {"execute", "executemany", "copy", "stream", "SQL"}
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[sbt]")


class Unreadable(Exception):
    """A statement that the reader cannot follow: teach it, or say in HANDED_ON where it is read."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A text of SQL, maybe of several statements, with psycopg's placeholders."""

    place: str
    text: str

    def parsed(self) -> tuple[str, tuple[RawStmt, ...]]:
        """Return it as the server would read it, and parsed by Postgres 15's grammar.

        Values are $1; in the place of a composition's `{}` stand names, or else literals.
        Raises ParseError when neither is a statement.
        """
        numbered = _PLACEHOLDER.sub("$1", self.text).replace("%%", "%")
        with_names, with_literals = (re.sub(r"\{\w*\}", part, numbered) for part in ("x", "'x'"))
        try:
            return with_names, parse_sql(with_names)
        except ParseError:
            return with_literals, parse_sql(with_literals)


def every_statement() -> list[Statement]:
    """Return all of them; the searches as store.retrieval composes them. Raises Unreadable."""
    kinds = ((None, None, False), (None, None, True), (1, 384, False), (1, 384, True))
    searches = [Statement(f"search {kind}", _search_sql(*kind)) for kind in kinds]
    return [*sql_files(), *python_statements(), *searches]


def sql_files() -> list[Statement]:
    """Return the files of SQL, but for those that are composed."""
    files = [file for folder in SQL_FILES for file in sorted((PROJECT / folder).rglob("*.sql"))]
    return [
        Statement(str(file.relative_to(PROJECT)), file.read_text(encoding="utf-8"))
        for file in files
        if file.stem not in COMPOSED
    ]


def python_statements() -> list[Statement]:
    """Return the statements inside the project's Python code. Raises Unreadable."""
    files = [file for one in PACKAGES for file in sorted((PROJECT / one).rglob("*.py"))]
    return [
        found
        for file in files
        for found in read_python(
            file.read_text(encoding="utf-8"), place=file.relative_to(PROJECT).as_posix()
        )
    ]


def read_python(code: str, *, place: str) -> Iterator[Statement]:
    """Yield the statements of one module. Raises Unreadable."""
    tree = ast.parse(code)
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    inside = _inside_of_texts(tree)
    for node in ast.walk(tree):
        text = _text(node, constants, place=place) if id(node) not in inside else None
        if text is not None and _BEGINS.match(text):
            yield Statement(f"{place}:{getattr(node, 'lineno', 0)}", text)
        if isinstance(node, ast.Call) and _takes_sql(node):
            _require_readable(node.args[0], constants, place=place)


def _inside_of_texts(tree: ast.AST) -> set[int]:
    """Return what is part of an f-string, or a docstring: no statement by itself."""
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in ast.walk(node) if part is not node}
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.add(id(node.value))
    return parts


def _text(node: ast.AST, constants: dict[str, ast.expr], *, place: str) -> str | None:
    """Return what a literal says, with parts that only running would tell as names."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return None
    said = ""
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            name = ast.unparse(part.value)
            known = constants.get(name)
            spelled = _text(known, {}, place=place) if known is not None else None
            said += SPELLED.get((place, name)) or spelled or "x"
        else:
            said += _text(part, constants, place=place) or ""
    return said


def _takes_sql(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _TAKES_SQL and bool(call.args)


def _require_readable(argument: ast.expr, constants: dict[str, ast.expr], *, place: str) -> None:
    source = ast.unparse(argument)
    if source in HANDED_ON.get(place, set()):
        return
    if isinstance(argument, ast.Call):
        called = ast.unparse(argument.func)
        # A named statement, a composition (whose SQL(...) is a call of its own), or joined ones.
        if called == "statement" or called.endswith((".format", ".join")):
            return
    text = _text(argument, constants, place=place)
    branches = isinstance(argument, ast.IfExp)
    if text is not None and (_BEGINS.match(text) or _is_part(text)):
        return
    if branches and isinstance(argument, ast.IfExp):
        for branch in (argument.body, argument.orelse):
            _require_readable(branch, constants, place=place)
        return
    raise Unreadable(f"{place}:{argument.lineno}: {source}")


def _is_part(text: str) -> bool:
    """Say whether it is a part of a composition that the composed statement is parsed with."""
    return text.strip() in {"", "NULL", "%(vectors)b", "UNION ALL"} or text.startswith("AND (")
