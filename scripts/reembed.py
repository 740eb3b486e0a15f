"""A change of the embedder while the hub serves: `python scripts/migrate_vectors.py --reembed`.

Fills the space of the encoder that the settings name beside the one that is served, has the
replicas change over, and drops the old space when every replica reports the new one. What was
loaded meanwhile gets its vector too. Killed at any moment, it goes on where it stood.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from rich.console import Console

from contracts.errors import DatabaseUnavailable, DataError
from contracts.messages import ReplicaSpace
from contracts.settings import Settings
from models.text_encoder import TextEncoder
from scripts.embedder_replicas import ask_hub, change_over, how_to_change
from scripts.embedding import Advance, alone, embed, encoder_of, require_same_encoder
from store.database import Connection, connect
from store.embedded import database_url as url_of
from store.knowledge import (
    SpaceCount,
    StoredSpace,
    count_by_space,
    drop_space,
    find_space,
    make_index,
    register_space,
    tidy,
)
from store.unembedded import without_vector
from training.beside import hub_beside

_TRIES: Final = 5

Ask = Callable[[], Sequence[ReplicaSpace]]
"""Asks every embedder replica in which space it embeds; nothing when they do not answer."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How often the replicas and the database are looked at, and how often in a row all agree."""

    poll_s: float = 1.0
    agreed: int = 3


WAITING = Waiting()


@dataclass(slots=True)
class Reembedding:
    """One change of the embedder. `say` hears a line whenever something has changed."""

    database_url: Callable[[], str]
    encoder: TextEncoder
    say: Callable[[str], None]
    advance: Advance = lambda what, done, of: None
    waiting: Waiting = field(default_factory=lambda: WAITING)
    embedded: int = 0
    too_long: Mapping[str, str] = field(default_factory=dict)
    _written: int | None = None
    _is_database_away: bool = False

    @property
    def fingerprint(self) -> str:
        return self.encoder.space.fingerprint

    def fill(self) -> None:
        """Give every node its vector in the new space, and make its index; loads may go on.

        Raises MixedSpaces, EmbedderAway and DatabaseUnavailable; what is done is kept.
        """
        with connect(self.database_url()) as connection:
            space = register_space(connection, self.fingerprint, dims=self.encoder.space.dims)
            require_same_encoder(connection, self.encoder, space=space)
            self._embed_lacking(connection, space)
            with alone(connection):
                if make_index(connection, space):
                    tidy(connection, rebuild=False)

    def wait_for(self, ask: Ask) -> None:
        """Wait until every replica reports the new space; what is loaded meanwhile is embedded."""
        said, agreed = "", 0
        while agreed < self.waiting.agreed:
            replicas = ask()
            here = [one for one in replicas if one.space == self.fingerprint]
            agreed = agreed + 1 if replicas and len(here) == len(replicas) else 0
            line = f"{len(here)} of {len(replicas)} embedder replicas use {self.fingerprint}"
            if others := {f"{one.space} ({one.embedder})" for one in replicas} - {
                f"{one.space} ({one.embedder})" for one in here
            }:
                line += f", the others {', '.join(sorted(others))}"
            if line != said:
                self.say(line if replicas else "no embedder replica answers; still waiting")
                said = line
            self._notice_loads()
            time.sleep(self.waiting.poll_s)

    def drop_others(self, ask: Ask) -> list[str]:
        """Drop every other space that no replica uses, and return their fingerprints.

        Raises DataError when a node lacks its vector for another reason than its length.
        """
        with connect(self.database_url()) as connection, alone(connection):
            space = find_space(connection, self.fingerprint)
            if space is None:
                raise DataError(f"Space {self.fingerprint} is gone; nothing else was dropped.")
            self._embed_lacking(connection, space)
            used = {one.space for one in ask()} | {self.fingerprint}
            dropped = []
            for count in count_by_space(connection):
                if count.fingerprint not in used and (
                    old := find_space(connection, count.fingerprint)
                ):
                    self.say(f"dropping space {old.fingerprint}, {count.vectors:,} vectors")
                    drop_space(connection, old)
                    dropped.append(old.fingerprint)
            if dropped:
                tidy(connection, rebuild=False)
            return dropped

    def spaces(self) -> list[SpaceCount]:
        """Return what the database holds of each space."""
        with connect(self.database_url()) as connection:
            return count_by_space(connection)

    def _embed_lacking(self, connection: Connection, space: StoredSpace) -> None:
        for left in reversed(range(_TRIES)):
            self._written = _writes(connection)
            lacking = without_vector(
                connection, space=space, listen=lambda seen: self.advance("looking at", seen, None)
            )
            try:
                self.too_long = embed(
                    connection, lacking, encoder=self.encoder, space=space, advance=self.advance
                )
            except DataError:  # a node was removed while its vector was made
                if not left:
                    raise
            else:
                self.embedded += len(lacking) - len(self.too_long)
                return

    def _notice_loads(self) -> None:
        try:
            with connect(self.database_url()) as connection:
                space = find_space(connection, self.fingerprint)
                if space is not None and _writes(connection) != self._written:
                    before = self.embedded
                    self._embed_lacking(connection, space)
                    if more := self.embedded - before:
                        self.say(f"{more} nodes that were loaded meanwhile are embedded too")
            self._is_database_away = False
        except (DatabaseUnavailable, psycopg.OperationalError) as error:
            if not self._is_database_away:
                self.say(f"the database does not answer just now: {' '.join(str(error).split())}")
            self._is_database_away = True


def _writes(connection: Connection) -> int:
    """Return how often nodes were written since the server counts: a look costs nothing."""
    row = connection.execute(
        "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
        " WHERE relid = 'knowledge_nodes'::regclass"
    ).fetchone()
    return int(row[0]) if row else 0


def change_embedder(
    settings: Settings,
    *,
    database_url: str | None,
    encoder_dir: Path | None,
    hub_url: str | None,
    keep_old: bool,
    advance: Advance,
    console: Console,
) -> int:
    """Run the whole change, say what is done, and return the exit status: 0, or 3 as for a load.

    The replicas of the hub that runs over HUB_HOME are changed over; those of another hub, at
    `hub_url`, by its operator, who is told how.
    """

    def say(line: str) -> None:
        console.print(line, markup=False)

    since_s = time.monotonic()
    beside = None if hub_url or encoder_dir else hub_beside(settings.home_dir)
    url = hub_url or (beside.url if beside else f"http://{settings.http_host}:{settings.http_port}")
    change = Reembedding(
        lambda: database_url or url_of(settings),
        encoder_of(settings, encoder_dir),
        say=say,
        advance=advance,
    )
    space = change.encoder.space
    say(f"filling space {space.fingerprint} ({space.model} {space.revision}, {space.dims} dims)")
    change.fill()
    say(f"filled: {change.embedded} nodes embedded, {time.monotonic() - since_s:.1f} s")
    if any(one.space != space.fingerprint for one in ask_hub(url)):
        if beside:
            change_over(beside, settings, say=say)
        else:
            say(how_to_change(settings))
    change.wait_for(lambda: ask_hub(url))
    dropped = [] if keep_old else change.drop_others(lambda: ask_hub(url))
    for node, why in sorted(change.too_long.items()):
        say(f"node {node} has no vector: {why}; make several nodes of it")
    for one in change.spaces():
        lacking = f", {one.nodes - one.vectors} nodes have none" if one.vectors < one.nodes else ""
        say(f"  space {one.fingerprint}: {one.vectors} vectors{lacking}")
    say(
        f"every replica uses {space.fingerprint}; {change.embedded} nodes embedded,"
        f" {len(dropped)} spaces dropped. Start the hub with HUB_EMBEDDER={settings.embedder} from"
        " now on."
    )
    return 3 if change.too_long else 0
