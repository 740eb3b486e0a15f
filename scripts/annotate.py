"""`make annotate`: the annotation view on this machine, with the hub's database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
from pydantic import ValidationError
from rich.console import Console

from contracts.errors import HubError, SettingsError
from contracts.settings import Settings
from scripts.ports import require_free
from store.database import connect
from store.postgres_process import end_with_owner
from store.reviewers import list_reviewers
from store.running import running_database

START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
_HERE = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")

console = Console(highlight=False)


@dataclass(frozen=True, slots=True)
class View:
    """A view that runs: its address, its server, and where that writes what it has to say."""

    url: str
    server: "subprocess.Popen[bytes]"
    log_file: Path

    def said(self) -> str:
        return self.log_file.read_text(errors="replace").strip()[-1000:] or "nothing"


def server_options(settings: Settings) -> list[str]:
    """Return Streamlit's options, all that matter: none is left to a file elsewhere."""
    host = settings.annotation_host
    names = [*_HERE, *(urlsplit(origin).hostname or "" for origin in settings.annotation_origins)]
    if host not in _EVERYWHERE:
        names.append(host)
    options: list[tuple[str, object]] = [
        ("server.address", host),
        ("server.port", settings.annotation_port),
        ("server.headless", True),
        ("server.enableXsrfProtection", True),
        ("server.enableCORS", True),
        ("server.fileWatcherType", "none"),
        ("server.maxUploadSize", 1),
        ("browser.gatherUsageStats", False),
        ("client.toolbarMode", "minimal"),
        ("client.showErrorDetails", "none"),
        ("client.showErrorLinks", False),
        ("theme.base", "light"),
        # A page whose name was made to lead here (DNS rebinding) is not let in.
        *(("server.allowedHosts", name) for name in names if name),
        *(("server.corsAllowedOrigins", origin) for origin in settings.annotation_origins),
    ]
    return [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in options
    ]


@contextmanager
def serving(settings: Settings, *, database_url: str) -> Iterator[View]:
    """Serve the view, yield it when it answers, and stop it at the end.

    Raises PortInUse, and SettingsError when it does not answer within START_WITHIN_S.
    """
    host, port = settings.annotation_host, settings.annotation_port
    require_free(port, host=host, setting="HUB_ANNOTATION_PORT")
    log_file = settings.home_dir / "annotation.log"
    environment = {
        **os.environ,
        "HUB_HOME": str(settings.home_dir),
        "HUB_DATABASE_URL": database_url,
        "HUB_LEASE_S": str(settings.lease_s),
        "HUB_LABELS_NEEDED": str(settings.labels_needed),
        "HUB_ANNOTATION_TRUST_EMAIL": str(settings.annotation_trust_email),
    }
    environment.pop("HUB_SECRET", None)  # not needed here, so not here
    with log_file.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "annotation.serve", *server_options(settings)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal is for the owner, who stops the server before the database.
            start_new_session=True,
            preexec_fn=end_with_owner(),
        )
    reached = "127.0.0.1" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    view = View(f"http://{reached}:{port}", server, log_file)
    try:
        _wait(view)
        yield view
    finally:
        server.terminate()
        try:
            server.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(view: View) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and view.server.poll() is None:
        try:
            if httpx.get(f"{view.url}/_stcore/health", timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SettingsError(f"The annotation view did not start. It said: {view.said()}")


def _announce(view: View, settings: Settings, *, has_accounts: bool) -> None:
    console.print(f"\n[bold]The annotation view is up.[/] {view.url}  (Ctrl-C stops it)")
    if settings.annotation_host not in _HERE and not settings.annotation_origins:
        console.print(
            "Other machines are refused until HUB_ANNOTATION_ORIGINS names the addresses that"
            ' their browsers use, as ["https://labels.uni.edu"]; give it TLS with a proxy.'
        )
    if not has_accounts:
        console.print(
            "Nobody can sign in yet. In another terminal:\n"
            f"  {sys.executable} -m scripts.reviewer add NAME --role lead"
        )


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Exit status 1 with one sentence when it cannot come up."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        settings = Settings()
        settings.home_dir.mkdir(parents=True, exist_ok=True)
        with running_database(settings, say=lambda line: console.print(f"[dim]·[/] {line}")) as url:
            with connect(url, vectors=False) as connection:
                has_accounts = any(one.disabled_at is None for one in list_reviewers(connection))
            console.print("[dim]·[/] starting the annotation view")
            with serving(settings, database_url=url) as view:
                _announce(view, settings, has_accounts=has_accounts)
                while view.server.poll() is None:
                    time.sleep(0.5)
                raise SettingsError(f"The annotation view ended by itself. It said: {view.said()}")
    except KeyboardInterrupt:
        console.print("\nstopped; every label is kept.")
        return 0
    except (HubError, ValidationError, psycopg.Error, OSError) as error:
        console.print(f"[red]The annotation view is not up.[/] {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
