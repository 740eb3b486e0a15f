"""The settings of a hub that a benchmark brings up: its own ports, folder and secret."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from contracts.settings import Settings
from scripts.ports import free_ports


def own_settings(home: Path, **changes: Any) -> Settings:
    """Return settings over `home` that share nothing with another hub, whatever HUB_... says.

    Without a quota, since all clients may ask at once, and without Redis, which would spare a hub
    the work that is measured. `changes` come last.
    """
    http, dashboard = free_ports(2)
    given: dict[str, Any] = {
        "home": home,
        "http_port": http,
        "dashboard_port": dashboard,
        "database_url": None,
        "artifacts": None,
        "redis_url": None,
        "secret": SecretStr(os.urandom(32).hex()),
        "quota_per_minute": 0,
        "quota_per_address": 0,
    }
    return Settings(**(given | changes))
