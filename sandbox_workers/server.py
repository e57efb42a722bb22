"""The HTTP server: ``/verify`` in this package's own terms, ``/run_code`` and ``/submit`` in Sandbox Fusion's.

A request waits in a bounded queue; where that is full, or the wait gets long, the answer is 504, the status that
clients try again.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import fusion
from .errors import SandboxUnavailable, SuiteError
from .limits import Limits
from .pool import OverloadedError, Pool
from .sandbox import Sandbox
from .suite import TestSuite

MAX_BODY_BYTES = 64 << 20
IDLE_S = 60.0
"""How long a connection may say nothing."""
_BAD_REQUEST = (
    *(SuiteError, SandboxUnavailable, KeyError, TypeError, ValueError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)
PATIENCE_S = 8.0
"""How long a request may wait for a sandbox: clients that add 10 seconds to their limits then still hear the 504."""
Answer = Callable[[Sandbox, Mapping[str, Any]], dict[str, Any]]


def verify(sandbox: Sandbox, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer to ``/verify``: ``program`` and ``suite``, and if wanted ``limits``, ``language``,
    ``stop_at_first_failure``.
    """
    verdict = sandbox.run(
        request["program"],
        TestSuite.from_json(request["suite"]),
        limits=Limits.from_json(request["limits"]) if request.get("limits") else None,
        stop_at_first_failure=bool(request.get("stop_at_first_failure", True)),
        language=request.get("language") or "python",
    )
    return asdict(verdict)


ROUTES: dict[str, Answer] = {"/verify": verify, "/run_code": fusion.run_code, "/submit": fusion.submit}


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
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def serve(self, pool: Pool) -> None:
        """Serve until interrupted. Ends the pool."""
        self.pool = pool
        try:
            self.serve_forever()
        finally:
            pool.close()

    def answer(self, job: Callable[[Sandbox], dict[str, Any]]) -> dict[str, Any]:
        """What the next free sandbox makes of a job.

        Raises:
            OverloadedError: there is no room, or no sandbox was free in time.
        """
        future = self.pool.submit(job)
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            if future.cancel():
                raise OverloadedError(f"no sandbox was free within {self._patience_s} s") from None
            return future.result()
        except CancelledError:
            raise OverloadedError("this server is stopping") from None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: Server

    def do_GET(self) -> None:
        """Say that we live and how long the queue is."""
        if self.path in ("/health", "/v1/ping", "/"):
            self._send(200, {"status": "ok", "waiting": self.server.pool.waiting})
        else:
            self._send(404, {"error": f"no {self.path}"})

    def do_POST(self) -> None:
        """Queue the request and send its answer."""
        answer = ROUTES.get(self.path.partition("?")[0].rstrip("/"))
        length = self.headers.get("Content-Length") or ""
        if answer is None:
            self._refuse(404, f"POST to one of {', '.join(ROUTES)}")
        elif not length.isdecimal() or int(length) == 0:
            self._refuse(411, "a JSON body is needed, with its Content-Length")
        elif int(length) > MAX_BODY_BYTES:
            self._refuse(413, f"a body may have {MAX_BODY_BYTES} bytes")
        else:
            try:
                body = self.rfile.read(int(length))
            except OSError:  # the client went, or took too long
                self.close_connection = True
                return
            if len(body) < int(length):
                self._refuse(400, "the body is shorter than its Content-Length")
            else:
                self._answer(answer, body)

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # what follows may be a body that nobody has read
        self._send(status, {"error": reason})

    def _answer(self, answer: Answer, body: bytes) -> None:
        try:
            request = json.loads(body)
            self._send(200, self.server.answer(lambda sandbox: answer(sandbox, request)))
        except OverloadedError as error:
            self._send(504, {"error": str(error)})
        except _BAD_REQUEST as error:
            self._send(400, {"error": f"{type(error).__name__}: {error}"})
        except Exception as error:  # ours to answer for, and no verdict
            self._send(500, {"error": f"{type(error).__name__}: {error}"})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        try:
            self.end_headers()
            self.wfile.write(data)
        except ConnectionError:  # the client did not wait for its answer
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet: a trainer asks thousands of times a minute."""
