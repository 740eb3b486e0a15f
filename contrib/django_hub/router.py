"""Which database the hub's tables are in, and that Django never makes a table there."""

from typing import Any

from django.conf import settings

APP = "django_hub"


def hub_database() -> str:
    """Return the alias of the hub's database: the setting HUB_DATABASE, or `hub`."""
    return getattr(settings, "HUB_DATABASE", "hub")


class HubRouter:
    """Sends this app's models to the hub's database, and migrates nothing there."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return hub_database() if model._meta.app_label == APP else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Return the same: what is written is refused by the database's role, not hidden here."""
        return self.db_for_read(model, **hints)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == hub_database() or app_label == APP else None
