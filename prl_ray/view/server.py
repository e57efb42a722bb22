"""The pages over HTTP, for one person on this machine: loopback only, read only.

Displayed programs and pages in other tabs are untrusted. So the server answers only ``GET``, only the addresses of
``answers`` and the files of ``static`` by name; it refuses a ``Host`` that is not this machine's (DNS rebinding);
scripts come only from this server; data is sent as JSON and inserted as text.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from prl_ray.errors import ConfigError, DataError
from prl_ray.view.answers import NoPageError, answer
from prl_ray.view.runs import Runs

HOSTS = ("127.0.0.1", "localhost")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Plotly sets styles on elements; scripts come from files of this server only."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
LARGE = 1_000_000
"""Size in bytes above which a file is not compressed."""
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def static_files() -> dict[str, bytes]:
    """The page's own files by name."""
    folder = importlib.resources.files("prl_ray.view") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if Path(file.name).suffix in TYPES}


def plotly_file() -> bytes:
    """Plotly's script, from the installed package."""
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


def application(runs: Runs) -> Starlette:
    """The ASGI application."""
    files = {**static_files(), "plotly.min.js": plotly_file()}
    tags = {name: f'"{hashlib.sha256(data).hexdigest()[:20]}"' for name, data in files.items()}

    async def page(request: Request) -> Response:
        name, query = request.path_params["page"], dict(request.query_params)
        try:
            found: dict[str, object] = await run_in_threadpool(answer, runs, name, query)
        except NoPageError as error:
            return JSONResponse({"error": str(error)}, 404)
        except DataError as error:
            return JSONResponse({"error": str(error)}, 400)
        except OSError as error:  # the file disappeared while it was read, or is not readable
            return JSONResponse({"error": f"{error.strerror or error}: {Path(str(error.filename)).name}"}, 400)
        return _tagged(request, json.dumps(found, allow_nan=False, separators=(",", ":")).encode(), "application/json")

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return JSONResponse({"error": f"there is no file {name[:80]!r}"}, 404)
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers={"ETag": tags[name]})
        headers = {"ETag": tags[name], "Cache-Control": "no-cache"}
        if len(files[name]) > LARGE:  # sent once; on loopback, compressing takes longer than sending
            headers["Content-Encoding"] = "identity"
        return Response(files[name], media_type=TYPES[Path(name).suffix], headers=headers)

    routes = [Route("/", file), Route("/static/{name}", file), Route("/api/{page}", page)]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS)),
        Middleware(BaseHTTPMiddleware, dispatch=_with_headers),
        Middleware(GZipMiddleware, minimum_size=2000, compresslevel=4),
    ]
    return Starlette(routes=routes, middleware=middleware)


def _tagged(request: Request, body: bytes, kind: str) -> Response:
    """The body with its ETag, or 304 if it has not changed."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type=kind, headers={"ETag": tag, "Cache-Control": "no-cache"})


async def _with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call(request)
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def bound(port: int) -> socket.socket:
    """A listening socket on loopback. Raises ``ConfigError`` if the port is in use."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOSTS[0], port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} cannot be used ({error.strerror}); give another one, or --port 0") from error
    return listener


def serve(runs: Runs, listener: socket.socket) -> None:
    """Serves until interrupted."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(application(runs), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
