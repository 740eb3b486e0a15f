"""Every statement is one to Postgres 15, by its own grammar; the tests run on 16 and 18."""

import re

import pytest
from pglast import ast as tree
from pglast import parse_plpgsql, parse_sql
from pglast.parser import ParseError

from contracts.settings import PROJECT
from tests.statements import (
    COMPOSED,
    HANDED_ON,
    SPELLED,
    Statement,
    Unreadable,
    every_statement,
    read_python,
)


def parse(statement: Statement) -> None:
    """Raise ParseError when it, or a function's body in it, is no SQL to Postgres 15."""
    text, parsed = statement.parsed()
    for one in parsed:
        made = one.stmt
        if isinstance(made, tree.CreateFunctionStmt):
            _parse_function(text, made)
        elif isinstance(made, tree.DoStmt):
            (body,) = [part.arg.sval for part in made.args if part.defname == "as"]
            parse_plpgsql(f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f${body}$f$")


def _parse_function(text: str, made: tree.CreateFunctionStmt) -> None:
    said = {option.defname: option.arg for option in made.options}
    body = said["as"][0].sval
    if said["language"].sval == "sql":
        parse_sql(body)
        return
    start = text.index(body)  # what parse_plpgsql takes is the whole statement
    parse_plpgsql(text[text.rindex("CREATE FUNCTION", 0, start) : text.index("$$", start) + 2])


@pytest.mark.parametrize("statement", every_statement(), ids=lambda one: one.place)
def test_postgres_15_reads_it(statement: Statement) -> None:
    parse(statement)


def test_no_part_of_the_project_is_left_out() -> None:
    places = {one.place.partition(":")[0] for one in every_statement()}
    assert {"store/labels.py", "store/knowledge.py", "store/grants.sql"} <= places
    assert {"deploy/sql/roles.sql", "store/migrations/0001_first.sql"} <= places
    named = {file.stem for file in (PROJECT / "store" / "sql").glob("*.sql")}
    assert named - COMPOSED == {
        place.rpartition("/")[2].removesuffix(".sql")
        for place in places
        if place.startswith("store/sql/")
    }
    assert len(every_statement()) > 120


def test_the_exceptions_are_still_there() -> None:
    for place, sources in HANDED_ON.items():
        code = (PROJECT / place).read_text()
        for source in sources:
            assert re.search(rf"(execute|copy)\(\s*{re.escape(source)}\W", code), (place, source)
    for place, name in SPELLED:
        assert f"{{{name}}}" in (PROJECT / place).read_text(), (place, name)


@pytest.mark.parametrize(
    "newer",
    [
        "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE RETURNING a.x",  # 17
        "COPY a FROM STDIN (FORMAT csv) WHERE x IS JSON",  # 16
        "SELECT x IS JSON OBJECT FROM a",  # 16
        "GRANT hub_app TO hub_owner WITH INHERIT TRUE",  # 16
        "CREATE TABLE a (x integer, y integer GENERATED ALWAYS AS (x) VIRTUAL)",  # 18
        "UPDATE a SET x = 1 RETURNING old.x, WITH (OLD AS o) new.x",  # 18
    ],
)
def test_what_is_newer_is_found(newer: str) -> None:
    with pytest.raises(ParseError):
        parse(Statement("here", newer))


@pytest.mark.parametrize(
    "newer",
    [
        "connection.execute('SELECT x IS JSON FROM a')",
        "connection.execute(f'SELECT {x} IS JSON FROM a')",
        "rows = one_of_ours(connection, 'SELECT x IS JSON FROM a')",
        "_SELECT = 'SELECT x IS JSON FROM a'\nconnection.execute(f'{_SELECT} WHERE {y}')",
        "connection.execute(sql.SQL('SELECT {} IS JSON FROM a').format(x))",
        "cursor.copy('COPY a FROM STDIN (FORMAT csv) WHERE x IS JSON')",
    ],
)
def test_wherever_it_stands_in_the_code(newer: str) -> None:
    (found, *_) = read_python(newer, place="here.py")
    with pytest.raises(ParseError):
        parse(found)


@pytest.mark.parametrize(
    "code",
    [
        "connection.execute(asked)",
        "connection.execute(verb + ' FROM a')",
        "connection.execute('select 1')",
        "connection.execute(' '.join(parts) + tail)",
        "cursor.executemany(made.by.somebody, rows)",
        "sql.SQL(given)",
    ],
)
def test_what_cannot_be_read_is_said_and_not_left_out(code: str) -> None:
    with pytest.raises(Unreadable):
        list(read_python(code, place="here.py"))
