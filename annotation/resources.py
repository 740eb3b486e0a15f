"""What all windows of the view share: the settings, the intents, the connections, the refresher."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from annotation.intents import Intent, read_intents
from annotation.refresher import Refresher
from contracts.settings import Settings
from store.database import BlockingPool, Connection, open_blocking_pool
from store.embedded import database_url

POOL_SIZE = 8


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()


@st.cache_resource(show_spinner=False)
def intents() -> dict[str, Intent]:
    """Return the intents by name. Raises DataError."""
    return read_intents()


@contextmanager
def connection() -> Iterator[Connection]:
    """Lend a connection. Raises SettingsError, PoolTimeout or psycopg.Error when there is none."""
    with _pool(database_url(settings())).connection() as lent:
        yield lent


def refresher() -> Refresher:
    """Return what fills the queue, one for all windows."""
    return _refresher(database_url(settings()))


@st.cache_resource(show_spinner=False, on_release=lambda pool: pool.close())
def _pool(url: str) -> BlockingPool:
    return open_blocking_pool(url, size=POOL_SIZE)


@st.cache_resource(show_spinner=False)
def _refresher(url: str) -> Refresher:
    return Refresher(_pool(url), encoder_dir=settings().encoder_dir)
