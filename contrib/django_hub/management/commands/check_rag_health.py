"""`manage.py check_rag_health`: scripts/check_rag_health.py over the site's own connection."""

import sys
from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from contrib.django_hub.router import hub_database
from scripts.check_rag_health import add_options, check


class Command(BaseCommand):
    """Asks the seeded questions; prints the table. Exit status: 0 all passed, 1 otherwise."""

    help = "Ask the seeded questions; each must find its node among the first five."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_options(parser)
        parser.add_argument(
            "--database", default=hub_database(), help="which of DATABASES (default: %(default)s)"
        )

    def handle(self, *arguments: Any, **options: Any) -> None:
        address = address_of(connections[options["database"]].settings_dict)
        if status := check(Namespace(**options, database_url=address)):
            sys.exit(status)


def address_of(settings: dict[str, Any]) -> str:
    """Return what libpq understands of one of DATABASES."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = {name: value for name, value in settings["OPTIONS"].items() if name in known}
    for name, key in (
        ("dbname", "NAME"),
        ("user", "USER"),
        ("password", "PASSWORD"),
        ("host", "HOST"),
        ("port", "PORT"),
    ):
        if settings[key]:
            given[name] = settings[key]
    return make_conninfo("", **given)
