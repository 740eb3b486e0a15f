"""A server that speaks Cloud Storage's JSON API, as far as the Python client asks it here.

Uploads in one piece or resumable, downloads by range, listings in pages, metadata of buckets, all
in memory. It can be told to fail, to break connections, to damage what it carries, to be slow, and
to ignore preconditions, as some emulators do.
"""

import threading

from tests.stand_ins.buckets import Buckets
from tests.stand_ins.stand_in import StandIn
from tests.stand_ins.storage_http import Fault, Http, Request, Which, every


class StorageServer(StandIn):
    """Buckets, and the server in front of them: `with StorageServer("hub") as server: server.url`.

    STORAGE_EMULATOR_HOST takes `url`. What goes wrong concerns the next requests, by their order.
    """

    def __init__(self, *buckets: str, honours_preconditions: bool = True) -> None:
        self.buckets = Buckets(*buckets, honours_preconditions=honours_preconditions)
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen: on a free port of this machine, and after a stop on the same one."""
        self._http = Http(self.buckets, self.note, port=self._port)
        self._port = int(self._http.server_address[1])
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and drop the connections. What was stored stays; twice is harmless."""
        self._http.shutdown()
        self._thread.join()
        self._http.drop()

    def fail(
        self,
        times: int = 1,
        *,
        status: int = 503,
        after: bool = False,
        which: Which = every,
    ) -> None:
        """Answer `status`: instead of doing what is asked, or `after` doing it."""
        self._faults.append(Fault(which=which, times=times, status=status, after=after))

    def lose_answer(self, times: int = 1, *, which: Which) -> None:
        """Do what is asked, and break the connection instead of saying so."""
        self._faults.append(Fault(which=which, times=times, after=True))

    def cut(self, times: int = 1, *, after_bytes: int, which: Which) -> None:
        """Break the connection when so many bytes of the content have passed."""
        self._faults.append(Fault(which=which, times=times, cut_after_bytes=after_bytes))

    def damage(self, times: int = 1, *, which: Which) -> None:
        """Change the last byte of the content on its way."""
        self._faults.append(Fault(which=which, times=times, damage=True))

    def slow_down(self, times: int = 1, *, delay_s: float, which: Which) -> None:
        """Wait before doing what is asked."""
        self._faults.append(Fault(which=which, times=times, delay_s=delay_s))

    def recover(self) -> None:
        """Let nothing go wrong from now on."""
        self._faults.clear()

    def note(self, request: Request) -> Fault:
        """Remember a request, and return what is to go wrong with it, if anything."""
        self.requests.append(request)
        for fault in list(self._faults):
            if fault.times and fault.which(request):
                with self._lock:
                    if fault.times:
                        fault.times -= 1
                        return fault
        return Fault()
