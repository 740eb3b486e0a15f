"""A Django site of the tests' own, with the hub's app in it: settings in a folder, and no more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

SETTINGS = """
SECRET_KEY = "of the tests, and of nothing else"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
USE_TZ, TIME_ZONE = True, "UTC"
ROOT_URLCONF = "hub_site_urls"
STATIC_URL = "static/"
DEBUG = {debug!r}
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles",
    "contrib.django_hub",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {{"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]}},
}}]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {databases!r}
DATABASE_ROUTERS = ["contrib.django_hub.router.HubRouter"]
"""
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""


def hub_in_django(url: str, *, user: str) -> dict[str, Any]:
    """One of DATABASES: the database at `url`, as `user`."""
    address = conninfo_to_dict(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": address["dbname"],
        "HOST": address["host"],
        "USER": user,
    }


def write_site(folder: Path, *, hub: dict[str, Any], debug: bool = False) -> dict[str, Any]:
    """Write hub_site.py and its URLs; users and sessions go into a SQLite file beside them.

    Returns its DATABASES.
    """
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "site.sqlite3")}
    databases = {"default": own, "hub": hub}
    (folder / "hub_site.py").write_text(SETTINGS.format(databases=databases, debug=debug))
    (folder / "hub_site_urls.py").write_text(URLS)
    return databases


@contextmanager
def django_site(folder: Path, *, hub: dict[str, Any]) -> Iterator[None]:
    """Have the site in `folder` in this process, over the hub's database, its own tables made."""
    databases = write_site(folder, hub=hub)
    sys.path.insert(0, str(folder))
    os.environ["DJANGO_SETTINGS_MODULE"] = "hub_site"
    import django
    from django.core.management import call_command
    from django.db import connections

    try:
        django.setup()
        # A process sets Django up once: for another Postgres, only the addresses change.
        for alias, address in databases.items():
            connections[alias].settings_dict.update(address)
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections.close_all()
        del os.environ["DJANGO_SETTINGS_MODULE"]
        sys.path.remove(str(folder))
