"""Named SQL: each statement lies in `store/sql/NAME.sql` and is read once."""

from functools import cache
from pathlib import Path
from typing import LiteralString

_FOLDER = Path(__file__).with_name("sql")


@cache
def statement(name: str) -> LiteralString:
    """Return the text of `store/sql/NAME.sql`. It is the project's own, so it counts as literal."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
