"""A real HTTP server on this machine that speaks the OpenAI form, with answers written by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, Any]
"""HTTP status, and the body: text as it is, anything else as JSON."""


@dataclass
class ChatServer:
    """What it was asked, and how it answers."""

    reply: Callable[[dict[str, Any]], Reply]
    models: Reply = (200, {"object": "list", "data": [{"id": "test-model"}]})
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def completion(text: str, finish: str = "stop", prompt_tokens: int = 100, completion_tokens: int = 10) -> Reply:
    """A chat completion as servers write it."""
    return 200, {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
    }


@contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    """The server, answering at ``server.url`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*(server.models if self.path == "/v1/models" else (404, "no such page")))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions":
                return self._send(404, "no such page")
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            return self._send(*server.reply(body))

        def _send(self, status: int, body: Any) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}/v1"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
