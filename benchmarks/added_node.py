"""Another node for a hub's cluster, on the same machine: a raylet with ports of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from scripts.local_cluster import (
    OBJECT_STORE_BYTES,
    LocalCluster,
    kill_processes_of,
    node_environment,
)
from scripts.ports import DIRECT_INGRESS_PORTS, Ports, free_ports

STOP_TIMEOUT_S = 5.0


class AddedNode:
    """`ray start --address --block` as a child, as an operator adds a node; it can be killed.

    It shares the machine, so also HUB_HOME, with the head: what lies on a node's own disk
    elsewhere lies in one folder here.
    """

    def __init__(self, cluster: LocalCluster, *, name: str, num_cpus: int, number: int) -> None:
        """Start it; it joins within seconds. Leaving the `with` block stops it.

        It offers one of a resource of its own name, by which Ray's list of nodes tells it apart.
        `number` counts a cluster's added nodes from 1: each has a range of ports for its replicas.
        """
        self.name = name
        http, dashboard = free_ports(2)
        beside = cluster.ports.direct_ingress + 2 * DIRECT_INGRESS_PORTS * number
        ports = replace(Ports.around(http=http, dashboard=dashboard), direct_ingress=beside)
        self.http_url = f"http://127.0.0.1:{http}"
        """Where this node's own HAProxy listens, once it has a replica of the ingress."""
        self._folder = cluster.temp_dir / f"node-{name}"
        (self._folder / "haproxy").mkdir(parents=True)
        environment = {
            **cluster.environment(),
            **node_environment(ports, haproxy=self._folder / "haproxy"),
            "RAY_SERVE_WORKER_PROXY_HTTP_PORT": str(http),
        }
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            f"--address={cluster.address}",
            "--block",
            "--disable-usage-stats",
            "--node-ip-address=127.0.0.1",
            f"--dashboard-agent-listen-port={ports.agent_http}",
            f"--metrics-export-port={ports.metrics_export}",
            "--min-worker-port=0",
            "--max-worker-port=0",
            f"--num-cpus={num_cpus}",
            f"--resources={json.dumps({name: 1})}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
        ]
        with (self._folder / "node.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End everything of the node at once, as when its machine is switched off."""
        with contextlib.suppress(ProcessLookupError):  # it ended already
            os.killpg(self._process.pid, signal.SIGKILL)
        kill_processes_of(self._folder)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        self.kill()
