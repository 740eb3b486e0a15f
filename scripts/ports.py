"""Ports: which are free, and which a cluster of ours takes."""

import socket
from dataclasses import dataclass

from contracts.errors import PortInUse


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port that a cluster of ours opens and that others could collide with."""

    http: int
    dashboard: int
    gcs: int
    client: int
    haproxy_stats: int
    haproxy_metrics: int
    direct_ingress: int
    agent_http: int
    metrics_export: int

    @classmethod
    def around(cls, *, http: int, dashboard: int) -> "Ports":
        """Choose free ports beside the two that people know."""
        gcs, client, stats, metrics, agent, export = free_ports(6)
        return cls(
            http=http,
            dashboard=dashboard,
            gcs=gcs,
            client=client,
            haproxy_stats=stats,
            haproxy_metrics=metrics,
            direct_ingress=free_range(),
            agent_http=agent,
            metrics_export=export,
        )


DIRECT_INGRESS_PORTS = 200


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def require_free(port: int, *, host: str, setting: str) -> None:
    """Raise PortInUse, naming the setting that moves it, when somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(
                f"Port {port} ({error.strerror}). Stop that program,"
                f" or run with {setting}=<another port>."
            ) from error


def free_range() -> int:
    """Return the first port of a range for direct ingress, below the ephemeral ones."""
    for first in range(20_000, 32_000, 2 * DIRECT_INGRESS_PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("", first))
            except OSError:
                continue
            return first
    raise PortInUse("No free range of ports between 20000 and 32000.")
