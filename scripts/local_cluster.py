"""A Ray cluster of our own on this machine: one head, our ports, our token; it stops with us."""

import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from contracts.errors import HubError
from contracts.settings import PROJECT, Settings
from scripts.cluster import Cluster
from scripts.ports import DIRECT_INGRESS_PORTS, Ports, require_free

START_TIMEOUT_S = 120.0
UNDEPLOY_TIMEOUT_S = 15.0
HEAD_STOP_TIMEOUT_S = 3.0
OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""What deployments send each other is small: a small store keeps the laptop's memory free."""

RAY_ENVIRONMENT = PROJECT / "deploy" / "ray.env"


class ClusterFailed(HubError):
    """The Ray cluster did not start."""


@contextmanager
def only_cluster(settings: Settings) -> Iterator[None]:
    """See that HUB_HOME has one cluster at a time, and clear away what a killed one left running.

    Raises ClusterFailed while another one lives.
    """
    folder = settings.home_dir / "ray"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClusterFailed(
                f"A hub runs in HUB_HOME={settings.home_dir} already."
                " Use that one, stop it with Ctrl-C, or set HUB_HOME to another folder."
            ) from error
        kill_processes_of(temp_dir_of(settings))
        yield


def temp_dir_of(settings: Settings) -> Path:
    """Return the folder of the cluster's sockets and logs, by which its processes are known."""
    # Unix sockets have 107 characters, and Ray's own part takes 70: a short name elsewhere.
    name = hashlib.sha256(str(settings.home_dir).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"hub-{name}"


class LocalCluster(Cluster):
    """`ray start --head --block` as a child."""

    def __init__(
        self, settings: Settings, *, ports: Ports | None = None, num_cpus: int | None = None
    ) -> None:
        """Nothing starts yet. Replicas read `settings` from the environment made here."""
        self._settings = settings
        self.ports = ports or Ports.around(
            http=settings.http_port, dashboard=settings.dashboard_port
        )
        self._num_cpus = num_cpus or max(2, os.cpu_count() or 2)
        self._folder = settings.home_dir / "ray"
        self.temp_dir = temp_dir_of(settings)
        super().__init__(
            http_host=settings.http_host,
            http_port=self.ports.http,
            dashboard_port=self.ports.dashboard,
            token_file=self._folder / "auth_token",
        )
        self.log_file = self._folder / "head.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where a driver connects: `ray.init(address=...)`."""
        return f"127.0.0.1:{self.ports.gcs}"

    def environment(self) -> dict[str, str]:
        """Return the environment of the cluster and of whoever talks to it."""
        return {
            **os.environ,
            **hub_environment(self._settings),
            "PYTHONPATH": _ahead(PROJECT, "PYTHONPATH"),
            # `ray job submit -- python ...` means the Python that the hub runs on.
            "PATH": _ahead(Path(sys.executable).parent, "PATH"),
            **ray_environment(),
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            **node_environment(self.ports, haproxy=self.temp_dir / "haproxy"),
        }

    def start(self) -> None:
        """Start the head and wait until it answers. Raises ClusterFailed or PortInUse."""
        self.launch()
        self.wait_for_dashboard()

    def launch(self) -> None:
        """Start the head and return at once: it takes seconds to come up. Raises PortInUse."""
        settings = self._settings
        require_free(self.ports.http, host=settings.http_host, setting="HUB_HTTP_PORT")
        require_free(self.ports.dashboard, host="127.0.0.1", setting="HUB_DASHBOARD_PORT")
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.temp_dir, ignore_errors=True)  # the logs of the last time
        (self.temp_dir / "haproxy").mkdir(parents=True)
        self._write_token()
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--head",
            "--block",
            "--disable-usage-stats",
            "--node-ip-address=127.0.0.1",
            f"--port={self.ports.gcs}",
            f"--temp-dir={self.temp_dir}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self.ports.dashboard}",
            f"--dashboard-agent-listen-port={self.ports.agent_http}",
            f"--metrics-export-port={self.ports.metrics_export}",
            f"--ray-client-server-port={self.ports.client}",
            "--min-worker-port=0",  # 0: any free port; the default range claims 10002 to 19999
            "--max-worker-port=0",
            f"--num-cpus={self._num_cpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
        ]
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we stop the head ourselves
                preexec_fn=_die_with_parent(),
            )

    @contextmanager
    def beside(self, module: str) -> Iterator[None]:
        """Run `python -m module` meanwhile: it speaks in this terminal, and ends with the block."""
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        try:
            yield
        finally:
            child.terminate()
            child.wait()

    def watch(self) -> None:
        """Stay until the head ends. Raises ClusterFailed then: it ended without being asked."""
        assert self._process is not None, "start() comes first"
        self._process.wait()
        self._require_alive()

    def stop(self) -> None:
        """Stop the head and everything that it started; nothing else is touched.

        The application first, so that its replicas store what they hold; Ray itself holds nothing
        that is needed, so it is not waited for.
        """
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            self._undeploy()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(HEAD_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        kill_processes_of(self.temp_dir)

    def _undeploy(self) -> None:
        deadline = time.monotonic() + UNDEPLOY_TIMEOUT_S
        try:
            self.api("DELETE", "/api/serve/applications/")
            while self.application() and time.monotonic() < deadline:
                time.sleep(0.1)
        except httpx.HTTPError:
            return  # Serve never came up, or is gone already

    def _write_token(self) -> None:
        if not self.token_file.exists():
            self.token_file.touch(mode=0o600)
            self.token_file.write_text(secrets.token_hex(32))

    def wait_for_dashboard(self) -> None:
        """Wait until the head that was launched answers. Raises ClusterFailed."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            self._require_alive()
            try:
                self.api("GET", "/api/serve/applications/")
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise ClusterFailed(f"No dashboard after {START_TIMEOUT_S:.0f} s; see {self.log_file}.")

    def _require_alive(self) -> None:
        if self._process is None or self._process.poll() is not None:
            tail = self.log_file.read_text(errors="replace").strip().splitlines()[-6:]
            raise ClusterFailed(f"Its head ended. {self.log_file} says last:\n" + "\n".join(tail))


def _ahead(folder: Path, name: str) -> str:
    """Return the search path that the environment calls `name`, with `folder` looked in first."""
    return os.pathsep.join(part for part in (str(folder), os.environ.get(name)) if part)


def ray_environment() -> dict[str, str]:
    """Return what every `ray start` of a hub has in its environment, wherever it runs."""
    lines = RAY_ENVIRONMENT.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def node_environment(ports: Ports, *, haproxy: Path) -> dict[str, str]:
    """Return what one node must not share with another on its machine: HAProxy's files and ports.

    `haproxy` is a folder of the node's own.
    """
    first = ports.direct_ingress
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(haproxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(haproxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(haproxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(haproxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(haproxy / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + DIRECT_INGRESS_PORTS),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first + DIRECT_INGRESS_PORTS + 1),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(first + 2 * DIRECT_INGRESS_PORTS - 1),
    }


def hub_environment(settings: Settings) -> dict[str, str]:
    """Say the settings again as environment, with `home` absolute and the secret in the clear."""
    said = settings.model_dump() | {
        "home": settings.home_dir,
        "secret": settings.secret.get_secret_value(),
    }
    return {
        f"HUB_{name.upper()}": json.dumps(value) if isinstance(value, tuple) else str(value)
        for name, value in said.items()
        if value is not None
    }


def _die_with_parent() -> Callable[[], None]:
    """Return what the child runs first: it gets SIGTERM when this process is killed."""
    prctl = ctypes.CDLL(None).prctl

    def ask_kernel() -> None:
        prctl(1, int(signal.SIGTERM))

    return ask_kernel


def kill_processes_of(folder: Path) -> None:
    """Kill the processes that name this folder: a cluster's own temp folder, or a node's in it."""
    marker = os.fsencode(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            named = marker in (entry / "cmdline").read_bytes()
            if named or marker in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, ProcessLookupError):
            continue  # ended meanwhile, or not ours to see
