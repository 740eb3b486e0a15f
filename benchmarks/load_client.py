"""The load's own process: one thread over epoll with a minimal HTTP/1.1 reader.

It shares the machine with what it measures, so it is made to take little CPU a request.
"""

import gc
import heapq
import json
import os
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.http_reply import Reply, ReplyReader
from benchmarks.load import Answer, Load, LoadReport, percentile
from benchmarks.questions import read_questions, repeated_questions, unique_questions

REST_S = 0.05
"""How long a client rests after anything but an answer, so that a refusal is not hammered."""

_LOOK_EVERY_S = 0.1
_STOP = 0
"""Standard input: when it ends, the load ends as if the time were over."""


class _Client:
    """One connection, and the one question that is out on it."""

    __slots__ = ("body", "reader", "sent_s", "session", "socket")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.reader = ReplyReader()
        self.session = b""
        self.body = ""
        self.sent_s = 0.0


class _Run:
    """A load while it goes on."""

    def __init__(self, load: Load) -> None:
        split = urlsplit(load.url)
        self._address = (split.hostname or "127.0.0.1", split.port or 80)
        self._head = (
            f"POST /v1/query HTTP/1.1\r\nHost: {split.netloc}\r\nAccept: application/json\r\n"
            "Content-Type: application/json\r\n"
        ).encode()
        self._load = load
        self._bodies = _bodies(load)
        self._poll = select.epoll()
        self._poll.register(_STOP, select.EPOLLIN)
        self._clients: dict[int, _Client] = {}
        self._resting: list[tuple[float, int, _Client]] = []
        self._latencies_s: list[float] = []
        self._errors: Counter[str] = Counter()
        self._ids: list[str] = []
        self._answers: list[tuple[float, float, str, bytes]] = []
        self._degraded = 0
        self._asked = 0
        self._measuring = False
        self._stopped = False

    def go(self) -> LoadReport:
        """Ask until the time is over; what is out on the wires then is not waited for."""
        gc.disable()  # what is made here has no cycles
        now = time.perf_counter()
        for number in range(self._load.clients):
            heapq.heappush(self._resting, (now, number, _Client()))
        self._turn_until(now + self._load.warmup_s)
        self._measuring = True
        cpu_s, since_s = time.process_time(), time.perf_counter()
        self._turn_until(since_s + self._load.duration_s)
        cpu_s, duration_s = time.process_time() - cpu_s, time.perf_counter() - since_s
        for client in self._clients.values():
            if client.socket is not None:
                client.socket.close()
        self._poll.close()
        gc.enable()
        ordered = sorted(self._latencies_s)
        p50, p95, p99 = (percentile(ordered, share) * 1000 for share in (0.50, 0.95, 0.99))
        return LoadReport(
            clients=self._load.clients,
            mix=self._load.mix,
            duration_s=duration_s,
            answered=len(ordered),
            degraded=self._degraded,
            asked=self._asked,
            requests_per_s=len(ordered) / duration_s,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            errors=dict(self._errors),
            client_cpu_ms=cpu_s * 1000 / max(1, len(ordered)),
            interaction_ids=tuple(self._ids),
            answers=tuple(map(_answer, self._answers)),
        )

    def _turn_until(self, end_s: float) -> None:
        look_s = time.perf_counter() + _LOOK_EVERY_S
        while (now := time.perf_counter()) < end_s and not self._stopped:
            while self._resting and self._resting[0][0] <= now:
                self._ask(heapq.heappop(self._resting)[2])
            if now > look_s:
                look_s = now + _LOOK_EVERY_S
                self._give_up_the_late(now)
            wait_s = min(end_s, look_s, self._resting[0][0] if self._resting else end_s) - now
            for descriptor, _ in self._poll.poll(max(0.0, wait_s)):
                if descriptor == _STOP:
                    self._stopped = True
                else:
                    self._hear(self._clients[descriptor])

    def _ask(self, client: _Client) -> None:
        client.body = next(self._bodies)
        body = client.body.encode()
        client.sent_s = time.perf_counter()
        try:
            if client.socket is None:
                self._connect(client)
            assert client.socket is not None
            client.socket.sendall(
                b"%b%bContent-Length: %d\r\n\r\n%b" % (self._head, client.session, len(body), body)
            )
            self._asked += 1
        except OSError as error:
            self._drop(client, why=_reason(error))

    def _hear(self, client: _Client) -> None:
        assert client.socket is not None
        try:
            data = client.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self._drop(client, why="reset")
            return
        reply = client.reader.feed(data)
        if reply is None:
            return
        if reply.status == 200:
            self._take(client, reply)
            if reply.closes:
                self._disconnect(client)
            self._ask(client)
        elif reply.closes:
            self._drop(client, why=str(reply.status))
        else:
            self._rest(client, why=str(reply.status))

    def _take(self, client: _Client, reply: Reply) -> None:
        if self._measuring:
            latency_s = time.perf_counter() - client.sent_s
            self._latencies_s.append(latency_s)
            self._degraded += b'"degraded":[]' not in reply.body
            if self._load.keep_answers:
                self._answers.append((client.sent_s, latency_s, client.body, reply.body))
        if not client.session and reply.session:
            client.session = b"X-Hub-Session: %b\r\n" % reply.session
        if self._load.keep_ids:
            self._ids.append(json.loads(reply.body)["interaction_id"])

    def _connect(self, client: _Client) -> None:
        client.socket = socket.create_connection(self._address, timeout=self._load.timeout_s)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.socket.setblocking(False)
        client.reader = ReplyReader()
        self._clients[client.socket.fileno()] = client
        self._poll.register(client.socket.fileno(), select.EPOLLIN)

    def _disconnect(self, client: _Client) -> None:
        if client.socket is not None:
            self._clients.pop(client.socket.fileno(), None)
            client.socket.close()  # epoll forgets it by itself
            client.socket = None

    def _drop(self, client: _Client, *, why: str) -> None:
        self._disconnect(client)
        if client.sent_s:  # a connection that ends while its client rests is no error
            self._rest(client, why=why)

    def _rest(self, client: _Client, *, why: str) -> None:
        self._errors[why] += 1
        client.sent_s = 0.0
        heapq.heappush(self._resting, (time.perf_counter() + REST_S, id(client), client))

    def _give_up_the_late(self, now: float) -> None:
        for client in list(self._clients.values()):
            if client.sent_s and now - client.sent_s > self._load.timeout_s:
                self._drop(client, why="timeout")


def _bodies(load: Load) -> Iterator[str]:
    questions = read_questions(Path(load.questions))
    texts = (
        unique_questions(questions, first=load.first)
        if load.mix == "unique"
        else repeated_questions(questions, seed=load.first)
    )
    return (json.dumps({"text": text, **load.options}) for text in texts)


def _answer(kept: tuple[float, float, str, bytes]) -> Answer:
    """Read what was kept unread, so that reading took nothing from the load."""
    sent_s, latency_s, question, answer = kept
    said = json.loads(answer)
    return Answer(
        sent_s=sent_s,
        latency_ms=latency_s * 1000,
        text=json.loads(question)["text"],
        model_version=said["model_version"],
        intent=said["intent"],
        confidence=said["confidence"],
    )


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    return "timeout" if isinstance(error, TimeoutError) else "reset"


def main() -> int:
    """Apply the load described by the JSON line on standard input; print its report as JSON."""
    line = bytearray()
    while not line.endswith(b"\n"):
        line += os.read(_STOP, 1)  # no more than the line: what follows it is the end
    json.dump(asdict(_Run(Load(**json.loads(line))).go()), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
