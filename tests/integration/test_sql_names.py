"""The functions that the project's SQL calls are there on the oldest server, and older than it."""

from typing import Any, Final

from pglast import ast as tree
from pglast.visitors import Visitor

from store.database import Connection
from tests.statements import Statement, every_statement, sql_files

NEW_IN_16: Final = {
    "any_value", "array_sample", "array_shuffle", "date_add", "date_subtract", "erf", "erfc",
    "json_array", "json_arrayagg", "json_objectagg", "pg_input_error_info", "pg_input_is_valid",
    "pg_log_standby_snapshot", "pg_split_walfile_name", "pg_stat_get_io", "random_normal",
}  # fmt: skip
"""Functions that Postgres 16 added (its release notes, E.1.3.6 and what follows): 15 lacks them."""


class _Functions(Visitor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.called: set[str] = set()
        self.made: set[str] = set()

    def visit_FuncCall(self, ancestors: Any, node: tree.FuncCall) -> None:  # noqa: N802
        self.called.add(node.funcname[-1].sval)

    def visit_CreateFunctionStmt(  # noqa: N802
        self, ancestors: Any, node: tree.CreateFunctionStmt
    ) -> None:
        self.made.add(node.funcname[-1].sval)


def functions(statements: list[Statement]) -> _Functions:
    found = _Functions()
    for statement in statements:
        _, parsed = statement.parsed()
        found(parsed)
    return found


def test_every_function_is_known_to_the_server_and_to_postgres_15(connection: Connection) -> None:
    found = functions(every_statement())
    assert len(found.called) > 30, "the walk through the statements found next to nothing"
    known = {name for (name,) in connection.execute("SELECT proname FROM pg_proc")}
    assert found.called <= known
    assert not found.called & NEW_IN_16


def test_a_function_of_16_would_be_found(connection: Connection) -> None:
    newer = [
        Statement("here", "SELECT any_value(x) FROM a WHERE pg_input_is_valid('1', 'integer')")
    ]
    assert functions(newer).called & NEW_IN_16 == {"any_value", "pg_input_is_valid"}
    if connection.info.server_version >= 160_000:
        known = {name for (name,) in connection.execute("SELECT proname FROM pg_proc")}
        assert known >= NEW_IN_16 - {"json_array", "json_arrayagg", "json_objectagg"}


def test_what_the_migrations_make_is_what_is_called_of_ours() -> None:
    assert functions(sql_files()).made >= {"make_interaction_day", "drop_interaction_day"}
