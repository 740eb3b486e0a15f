"""The hub that runs over a HUB_HOME: where it is reached, and a session that is no person's."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import Settings
from store.database import connect
from store.embedded import database_url
from store.identity import issue_session
from store.simulated import mark_simulated


@dataclass(frozen=True, slots=True)
class Hub:
    """Where a running hub is reached: its ingress, and its dashboard with the token."""

    url: str
    dashboard_url: str
    token: str


def hub_beside(home: Path) -> Hub | None:
    """Return the hub over `home`: that of `make run` if it runs, or that of this head node."""
    try:
        said = json.loads((home / "hub.json").read_text())
        if "pid" in said:  # on a head node it belongs to the cluster, and to no process of ours
            os.kill(said["pid"], 0)
        token = (home / "ray" / "auth_token").read_text().strip()
        return Hub(url=said["http"], dashboard_url=said["dashboard"], token=token)
    except (OSError, ValueError, KeyError):  # it was never there, or left when it was killed
        return None


def simulated_session(settings: Settings) -> str:
    """Return the token of a new session whose queries never count as a student's.

    Raises SettingsError without a secret or a database, DatabaseUnavailable when it is away.
    """
    session_id, token = issue_session(secret=settings.require_secret())
    with connect(database_url(settings), vectors=False) as connection:
        mark_simulated(connection, [session_id])
    return token
