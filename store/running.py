"""The hub's database for a script: the one that runs, or the embedded one, started for as long."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from contracts.errors import DatabaseHeld, DatabaseUnavailable, SettingsError
from contracts.settings import Settings
from store.database import connect
from store.embedded import EmbeddedPostgres, database_url
from store.migrate import migrate

_LOOK_EVERY_S = 0.2


@contextmanager
def running_database(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda line: None,
    wait_s: float = 30.0,
) -> Iterator[str]:
    """Yield the URL of a database that answers, migrations applied.

    HUB_DATABASE_URL if it is set. Otherwise the embedded Postgres of HUB_HOME: if a process of
    this hub runs it (`make run`, `make annotate`), that one is used and left running; if none does,
    it is started here and stopped at the end. Waits for one that is about to start or end. `say`
    hears which of these it is. Raises DatabaseHeld when the process that
    runs it lets nobody in within `wait_s`, DatabaseUnavailable when it cannot start.
    """
    if settings.database_url:
        say("using HUB_DATABASE_URL")
        _migrate(settings.database_url)
        yield settings.database_url
        return
    server = EmbeddedPostgres(settings.home_dir)
    deadline = time.monotonic() + wait_s
    is_waiting = False
    while True:
        url = _answering(settings)
        if url is not None:
            say(f"using the Postgres that runs in {settings.home_dir}")
            break
        try:
            url = server.start()
        except DatabaseHeld as held:
            # Its owner is just starting or stopping it; or hangs, or is another kind of program.
            if time.monotonic() > deadline:
                raise
            if not is_waiting:
                is_waiting = True
                say(f"waiting up to {wait_s:.0f} s for it to answer. {held.detail}")
            time.sleep(_LOOK_EVERY_S)
            continue
        say(f"started the embedded Postgres in {settings.home_dir}")
        break
    try:
        _migrate(url)
        yield url
    finally:
        server.stop()


def _answering(settings: Settings) -> str | None:
    """Return the URL of the embedded Postgres that some process runs now, if it answers."""
    with suppress(SettingsError, DatabaseUnavailable):
        url = database_url(settings)
        connect(url, vectors=False).close()
        return url
    return None


def _migrate(url: str) -> None:
    with connect(url, vectors=False) as connection:
        migrate(connection)
