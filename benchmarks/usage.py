"""What a server takes of the machine: memory as PSS, and CPU by process. Linux only."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_KNOWN = {
    "ray start": "ray start",
    "gcs_server": "gcs_server",
    "raylet/raylet": "raylet",
    "haproxy": "haproxy",
    "postgres": "postgres",
    "benchmarks.monolith": "monolith",
    "dashboard": "dashboard",
}
"""What is looked for in a command line, in this order, and what such a process is called."""

_SERVE = "ray::ServeReplica:hub:"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group of processes held and had used at one moment, by what they are."""

    pss_bytes: Mapping[str, int]
    cpu_s: Mapping[str, float]
    ours_s: float
    """CPU that the measuring itself had used: this process and its children that ended."""
    machine_s: float
    """CPU that everything on the machine had used, what a hypervisor took away included."""
    at_s: float


def processes_under(
    roots: Iterable[int] = (), *, marker: str | None = None
) -> list[psutil.Process]:
    """Return these processes and all below them.

    `marker` adds every process, and all below it, whose command line or environment holds it: a
    cluster's temporary folder names those that left the cluster's tree.
    """
    own = psutil.Process().pid
    starts = [*roots, *(pid for pid in psutil.pids() if marker and _names(pid, marker=marker))]
    found: dict[int, psutil.Process] = {}
    for start in starts:
        try:
            process = psutil.Process(start)
            found |= {one.pid: one for one in (process, *process.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    found.pop(own, None)
    return list(found.values())


def usage_of(processes: Iterable[psutil.Process]) -> Usage:
    """Measure processes; one that ends meanwhile counts for nothing."""
    pss_bytes: dict[str, int] = {}
    cpu_s: dict[str, float] = {}
    for process in processes:
        try:
            name = _what_it_is(process)
            memory = _pss_bytes(process.pid)
            times = process.cpu_times()
        except (psutil.Error, OSError):
            continue
        pss_bytes[name] = pss_bytes.get(name, 0) + memory
        cpu_s[name] = cpu_s.get(name, 0.0) + times.user + times.system
    ours, machine = os.times(), psutil.cpu_times()
    idle_s = machine.idle + machine.iowait + machine.guest + machine.guest_nice
    return Usage(
        pss_bytes,
        cpu_s,
        ours_s=sum(ours[:4]),
        machine_s=sum(machine) - idle_s,
        at_s=time.monotonic(),
    )


def cpu_ms_per_query(before: Usage, after: Usage, *, queries: int) -> dict[str, float]:
    """Return the CPU that each kind of process took for a query between two moments, most first."""
    taken = {
        name: (used - before.cpu_s.get(name, 0.0)) * 1000 / max(1, queries)
        for name, used in after.cpu_s.items()
    }
    return dict(sorted(taken.items(), key=lambda entry: -entry[1]))


def foreign_cores(before: Usage, after: Usage) -> float:
    """Return how many CPUs others than the server and its load kept busy between two moments."""
    server_s = sum(after.cpu_s.values()) - sum(before.cpu_s.values())
    known_s = server_s + after.ours_s - before.ours_s
    return (after.machine_s - before.machine_s - known_s) / (after.at_s - before.at_s)


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0  # a kernel thread or a zombie has no memory of its own


def _what_it_is(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if _SERVE in line:
        return line.split(_SERVE, 1)[1].split(" ", 1)[0]
    if line.startswith("ray::"):
        return line.removeprefix("ray::").split(" ", 1)[0].split(".", 1)[0].split(":", 1)[0]
    known = next((what for mark, what in _KNOWN.items() if mark in line), None)
    if known is not None:
        return known
    parent = process.parent() if "multiprocessing" in line else None
    return _what_it_is(parent) if parent is not None else "other"


def _names(pid: int, *, marker: str) -> bool:
    wanted = marker.encode()
    try:
        folder = Path(f"/proc/{pid}")
        return (
            wanted in (folder / "cmdline").read_bytes()
            or wanted in (folder / "environ").read_bytes()
        )
    except OSError:  # ended meanwhile, or not ours to see
        return False
