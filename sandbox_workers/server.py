"""The HTTP server: ``/verify`` in this package's own terms, ``/run_code`` and ``/submit`` in Sandbox Fusion's.

A request waits in a bounded queue, in which clients take turns; where that is full, or the wait gets long, the answer
is 504, the status that clients try again. ``/metrics`` and ``/openapi.json`` describe the server.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import asdict
from http.server import ThreadingHTTPServer

from . import fusion, openapi
from .errors import SandboxUnavailable, SuiteError
from .http_requests import Request, RequestHandler
from .limits import Limits
from .metrics import CONTENT_TYPE, Metrics
from .pool import OverloadedError, Pool
from .sandbox import Sandbox
from .suite import TestSuite

MAX_BODIES_BYTES = 256 << 20
"""Bytes of requests that are read or wait at one time."""
MAX_TEST_CODE_BYTES = 16 << 20
"""Characters of code of a suite, which is parsed here, in a hundred times as much memory."""
MAX_CONNECTIONS = 512
PATIENCE_S = 8.0
"""How long a request may wait for a sandbox: clients that add 10 seconds to their limits then still hear the 504."""
LOOK_S = 0.25
"""Seconds between two looks at whether a client still waits."""
_BAD_REQUEST = (
    *(SuiteError, SandboxUnavailable, KeyError, TypeError, ValueError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)
Connection = socket.socket | tuple[bytes, socket.socket]
"""A request, in the sense of ``socketserver``."""
Body = dict[str, object]
Answer = Callable[[Sandbox, Request], Body]
Job = Callable[[Sandbox], Body]


def verify(sandbox: Sandbox, request: Request) -> Body:
    """Answer to ``/verify``: ``program`` and ``suite``, and if wanted ``limits``, ``language``,
    ``stop_at_first_failure``.
    """
    suite = TestSuite.from_json(request["suite"])
    if (length := sum(map(len, (suite.setup, suite.prelude or "", *suite.tests)))) > MAX_TEST_CODE_BYTES:
        raise SuiteError(f"tests of {length} characters; at most {MAX_TEST_CODE_BYTES} are read")
    verdict = sandbox.run(
        request["program"],
        suite,
        limits=Limits.from_json(request["limits"]) if request.get("limits") else None,
        stop_at_first_failure=bool(request.get("stop_at_first_failure", True)),
        language=request.get("language") or "python",
    )
    return asdict(verdict)


ROUTES: dict[str, Answer] = {"/verify": verify, "/run_code": fusion.run_code, "/submit": fusion.submit}
HEALTH = ("/health", "/v1/ping", "/")


class AbandonedError(Exception):
    """The client is gone, so that this answer is not needed."""


class Server(ThreadingHTTPServer):
    """Serves one pool of sandboxes, which is started only when the address is known to be free.

    Raises:
        OSError: the address is not there, or in use.
    """

    daemon_threads = True
    request_queue_size = 128
    pool: Pool

    def __init__(self, address: tuple[str, int], patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self.metrics = Metrics()
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._bodies_lock = threading.Lock()
        self._bodies_bytes = 0
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def serve(self, pool: Pool) -> None:
        """Serve until interrupted. Ends the pool."""
        self.pool = pool
        try:
            self.serve_forever()
        finally:
            pool.close()

    def process_request(self, request: Connection, client_address: object) -> None:
        """Give a connection a thread of its own, unless there are too many: then it is closed."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Connection, client_address: object) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Connection, client_address: object) -> None:
        """Stay quiet about connections that broke: that is their clients' doing."""

    def reserve(self, length: int) -> bool:
        """Make room for a body of this length; whether there is room."""
        with self._bodies_lock:
            if self._bodies_bytes + length > MAX_BODIES_BYTES:
                return False
            self._bodies_bytes += length
            return True

    def release(self, length: int) -> None:
        """Give the room of a body back."""
        with self._bodies_lock:
            self._bodies_bytes -= length

    def answer(self, job: Job, client: str = "", is_gone: Callable[[], bool] = lambda: False) -> Body:
        """The result of a job in the next free sandbox.

        Raises:
            OverloadedError: there is no room, or no sandbox was free in time.
            AbandonedError: the client is gone, and the job was not begun.
        """
        future = self.pool.submit(job, client)
        deadline = time.monotonic() + self._patience_s
        while not future.done():
            left = deadline - time.monotonic()
            try:
                return future.result(min(max(left, 0.0), LOOK_S))
            except CancelledError:
                break
            except TimeoutError:
                if future.done():  # it was the job that raised it
                    raise
            if is_gone() and self.pool.withdraw(job, future, client):
                raise AbandonedError
            if left <= 0 and self.pool.withdraw(job, future, client):
                raise OverloadedError(f"no sandbox was free within {self._patience_s} s")
            if left <= 0:
                return self._result(future)
        return self._result(future)

    def _result(self, future: Future[Body]) -> Body:
        try:
            return future.result()
        except CancelledError:
            raise OverloadedError("this server is stopping") from None

    def metrics_text(self) -> str:
        """The counters and the present state."""
        pool = self.pool
        gauges = {
            "waiting": ("Requests that wait for a sandbox.", pool.waiting),
            "waiting_clients": ("Clients that have requests waiting.", pool.clients),
            "workers": ("Sandboxes.", pool.workers),
            "busy_workers": ("Sandboxes that run a program.", pool.busy),
            "body_bytes": ("Bytes of requests that are read or wait.", self._bodies_bytes),
        }
        restarts = {"zygote_restarts_total": ("Zygotes that died and were replaced.", pool.restarts)}
        return self.metrics.text({name: (meaning, float(value)) for name, (meaning, value) in gauges.items()}, restarts)


class _Handler(RequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802 - the base class names it
        """Answer with the health, the counters, or the API's description."""
        path = self.path.partition("?")[0]
        if path in HEALTH:
            self.send_json(200, {"status": "ok", "waiting": self.server.pool.waiting})
        elif path == "/metrics":
            self.send_text(200, self.server.metrics_text(), CONTENT_TYPE)
        elif path == "/openapi.json":
            self.send_json(200, openapi.document())
        else:
            self.send_json(404, {"error": f"no {path}"})

    def do_POST(self) -> None:  # noqa: N802 - the base class names it
        """Queue the request and send its answer."""
        route = self.path.partition("?")[0].rstrip("/")
        started = time.monotonic()
        status = self._post(route)
        self.server.metrics.request(route if route in ROUTES else "other", status, time.monotonic() - started)

    def _post(self, route: str) -> int:
        if route not in ROUTES:
            return self.refuse(404, f"POST to one of {', '.join(ROUTES)}")
        length = self.body_length()
        if not length:
            return self.refused
        if not self.server.reserve(length):
            return self.refuse(504, "too many large requests wait already")
        try:
            body = self.read_body(length)
            return self.refused if body is None else self._answer(route, body)
        finally:
            self.server.release(length)

    def _answer(self, route: str, body: bytes) -> int:
        client = self.headers.get("X-Client-Id") or str(self.client_address[0])
        answer = ROUTES[route]
        try:
            request = json.loads(body)
            result = self.server.answer(lambda sandbox: answer(sandbox, request), client, self._is_gone)
        except AbandonedError:
            self.server.metrics.abandoned()
            self.close_connection = True
            return 499
        except OverloadedError as error:
            return self.send_json(504, {"error": str(error)})
        except _BAD_REQUEST as error:
            return self.send_json(400, {"error": f"{type(error).__name__}: {error}"})
        except Exception as error:  # ours to answer for, and no verdict
            return self.send_json(500, {"error": f"{type(error).__name__}: {error}"})
        if route == "/verify":
            self.server.metrics.verdict(str(result["status"]))
        return self.send_json(200, result)

    def _is_gone(self) -> bool:
        """Whether the client has closed its side: it does not wait for the answer any more."""
        with suppress(OSError, ValueError):
            if select.select([self.connection], [], [], 0)[0]:
                return len(self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) == 0
            return False
        return True
