"""Reading requests and sending answers within bounds: a client may be slow, silent, gone, or send too much."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

Request = Mapping[str, Any]
"""A client's JSON object; whoever reads a field checks its type."""
MAX_BODY_BYTES = 64 << 20
IDLE_S = 60.0
"""How long a connection may say nothing between two requests."""
HEAD_S = 10.0
"""How long the head of a request may take from its first byte on."""
BODY_S, BODY_BYTES_A_SECOND = 10.0, 1 << 20
"""How long a body may take: a fixed time, and the time that its bytes take at this rate."""
SEND_S = 30.0
"""How long a client may take to read its answer."""


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a deadline, however little arrives at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = 0.0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the bytes that have arrived; their number.

        Raises:
            TimeoutError: nothing came before the deadline.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long to arrive")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class RequestHandler(BaseHTTPRequestHandler):
    """One connection: its requests one after the other, each within its time."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read through a reader that knows deadlines."""
        super().setup()
        self._reader = _DeadlineReader(self.connection)
        self.rfile = self._buffered = io.BufferedReader(self._reader)
        self.refused = 0
        """Status of the last answer that refused a request."""

    def handle_one_request(self) -> None:
        """Wait for a request, then read and answer it."""
        self._reader.deadline = time.monotonic() + IDLE_S
        try:
            if not self._buffered.peek(1):
                self.close_connection = True
                return
            self._reader.deadline = time.monotonic() + HEAD_S
            super().handle_one_request()
        except OSError:  # it is gone, or said nothing for too long
            self.close_connection = True

    def body_length(self) -> int:
        """The length of the body that the head announces; 0 if the request was refused."""
        length = self.headers.get("Content-Length") or ""
        if not length.isdecimal() or int(length) == 0:
            self.refuse(411, "a JSON body is needed, with its Content-Length")
        elif int(length) > MAX_BODY_BYTES:
            self.refuse(413, f"a body may have {MAX_BODY_BYTES} bytes")
        else:
            return int(length)
        return 0

    def read_body(self, length: int) -> bytes | None:
        """The body; None if the request was refused, or its client gone."""
        self._reader.deadline = time.monotonic() + BODY_S + length / BODY_BYTES_A_SECOND
        try:
            body = self.rfile.read(length)
        except OSError:
            self.refuse(408, "the body took too long to arrive")
            return None
        if len(body) < length:
            self.refuse(400, "the body is shorter than its Content-Length")
            return None
        return body

    def refuse(self, status: int, reason: str) -> int:
        """Say why and close the connection: the rest may be a body that has not been read."""
        self.close_connection = True
        self.refused = status
        return self.send_json(status, {"error": reason})

    def send_json(self, status: int, body: Mapping[str, object]) -> int:
        """Send an answer; its status."""
        return self.send_text(status, json.dumps(body), "application/json")

    def send_text(self, status: int, text: str, kind: str) -> int:
        """Send an answer of this content type; its status."""
        data = text.encode("utf-8", "backslashreplace")
        self.connection.settimeout(SEND_S)
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except OSError:  # the client did not wait for its answer
            self.close_connection = True
        return status

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Stay quiet: a trainer asks thousands of times a minute."""
