"""A head that is gone is one message."""

from __future__ import annotations

import queue
import socket
import threading
from types import SimpleNamespace

import pytest

from prl_ray.actors import head_watch


@pytest.fixture
def server() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(made,), daemon=True).start()
    return made


def _accept(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def address_of(server: socket.socket) -> str:
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def watched(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> queue.Queue[str]:
    """The messages of a watch of ``server`` that is in a hurry."""
    monkeypatch.setattr(head_watch, "PATIENCE_S", 0.4)
    monkeypatch.setattr(head_watch, "EVERY_S", 0.05)
    context = SimpleNamespace(gcs_address=address_of(server))
    monkeypatch.setattr(head_watch.ray, "get_runtime_context", lambda: context)
    alive = threading.Event()
    alive.set()
    monkeypatch.setattr(head_watch.ray, "is_initialized", alive.is_set)
    said: queue.Queue[str] = queue.Queue()
    head_watch.watch_head(said.put)
    return said


def test_one_that_answers_is_left_alone(watched: queue.Queue[str]) -> None:
    with pytest.raises(queue.Empty):
        watched.get(timeout=1.0)


def test_one_that_is_gone_is_named_once_with_what_to_do(server: socket.socket, watched: queue.Queue[str]) -> None:
    address = address_of(server)
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    said = watched.get(timeout=5.0)
    assert address in said and "same command" in said
    with pytest.raises(queue.Empty):
        watched.get(timeout=1.0)


def test_a_short_cut_is_no_loss(server: socket.socket, watched: queue.Queue[str]) -> None:
    _, port = server.getsockname()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    again = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=_accept, args=(again,), daemon=True).start()
    with pytest.raises(queue.Empty):
        watched.get(timeout=1.0)
    again.close()
