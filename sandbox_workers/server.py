"""The HTTP server: ``/verify`` in this package's own terms, ``/run_code`` and ``/submit`` in Sandbox Fusion's.

A request waits in a bounded queue; where that is full, or the wait gets long, the answer is 504, the status that
clients try again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import fusion
from .errors import SandboxError
from .limits import Limits
from .pool import OverloadedError, Pool
from .sandbox import Sandbox
from .suite import TestSuite

MAX_BODY_BYTES = 64 << 20
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
        limits=Limits(**request["limits"]) if request.get("limits") else None,
        stop_at_first_failure=bool(request.get("stop_at_first_failure", True)),
        language=request.get("language") or "python",
    )
    return asdict(verdict)


ROUTES: dict[str, Answer] = {"/verify": verify, "/run_code": fusion.run_code, "/submit": fusion.submit}


class Server(ThreadingHTTPServer):
    """Serves one pool of sandboxes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], pool: Pool, patience_s: float = PATIENCE_S) -> None:
        self.pool = pool
        self._patience_s = patience_s
        super().__init__(address, _Handler)

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

    def server_close(self) -> None:
        """Stop listening and end the sandboxes."""
        super().server_close()
        self.pool.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Say that we live and how long the queue is."""
        if self.path in ("/health", "/v1/ping", "/"):
            self._send(200, {"status": "ok", "waiting": self.server.pool.waiting})
        else:
            self._send(404, {"error": f"no {self.path}"})

    def do_POST(self) -> None:
        """Queue the request and send its answer."""
        answer = ROUTES.get(self.path.rstrip("/"))
        length = int(self.headers.get("Content-Length") or 0)
        if answer is None or not 0 < length <= MAX_BODY_BYTES:
            self.close_connection = True
            self._send(404 if answer is None else 413, {"error": f"POST to one of {', '.join(ROUTES)}"})
            return
        try:
            request = json.loads(self.rfile.read(length))
            self._send(200, self.server.answer(lambda sandbox: answer(sandbox, request)))
        except OverloadedError as error:
            self._send(504, {"error": str(error)})
        except (SandboxError, KeyError, TypeError, ValueError, AttributeError) as error:
            self._send(400, {"error": f"{type(error).__name__}: {error}"})

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
