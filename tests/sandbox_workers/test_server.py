"""The HTTP server under clients that are many, greedy, slow, large, malformed or gone, and with workers that die."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_workers import Limits, Status, Verdict, http_requests
from sandbox_workers import server as server_module
from sandbox_workers.fair_queue import FairQueue, FullError
from sandbox_workers.metrics import Metrics
from sandbox_workers.openapi import document
from sandbox_workers.pool import OverloadedError, Pool
from sandbox_workers.server import ROUTES, Server

GOOD = {"program": "def f(n):\n    return n + 1\n", "suite": {"tests": ["assert f(1) == 2"]}}


@contextmanager
def serving(pool: Pool, **options: Any) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), **options) as server:
        thread = threading.Thread(target=server.serve, args=(pool,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Pool(2, 50)) as server:
        yield server


def post(server: Server, path: str, body: Any, client: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"X-Client-Id": client} if client else {})
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def get(server: Server, path: str) -> str:
    host, port = server.server_address[:2]
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def raw(server: Server) -> socket.socket:
    return socket.create_connection(server.server_address[:2], timeout=30)


def status_of(connection: socket.socket) -> int:
    """Status of the answer; 0 if the connection was closed without one."""
    line = connection.makefile("rb").readline().split()
    return int(line[1]) if line else 0


# The queue


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=30))
def test_clients_take_turns_and_each_keeps_its_order(puts: list[tuple[str, int]]) -> None:
    queue: FairQueue[tuple[str, int, int]] = FairQueue(100)
    for number, (client, value) in enumerate(puts):
        assert queue.put(client, (client, value, number)) is None
    taken = [queue.get() for _ in puts]
    assert len(queue) == queue.clients == 0
    for client in "abc":
        own = [item for item in taken if item is not None and item[0] == client]
        assert own == sorted(own, key=lambda item: item[2])
    lines = {client: sum(name == client for name, _ in puts) for client in "abc"}
    present = [client for client, count in lines.items() if count]
    for turn in range(min((lines[client] for client in present), default=0)):
        part = taken[turn * len(present) : (turn + 1) * len(present)]
        assert {item[0] for item in part if item is not None} == set(present)


@given(st.integers(1, 5), st.lists(st.sampled_from("abc"), max_size=30))
def test_a_full_queue_makes_room_for_those_who_have_less(size: int, puts: list[str]) -> None:
    queue: FairQueue[int] = FairQueue(size)
    waiting: dict[str, deque[int]] = {client: deque() for client in "abc"}
    for number, client in enumerate(puts):
        try:
            lost = queue.put(client, number)
        except FullError:
            assert sum(map(len, waiting.values())) == size
            assert max(map(len, waiting.values())) <= len(waiting[client]) + 1
            continue
        if lost is not None:
            (loser,) = (name for name, line in waiting.items() if line and line[-1] == lost)
            assert len(waiting[loser]) > len(waiting[client]) + 1
            waiting[loser].pop()
        waiting[client].append(number)
        assert len(queue) == sum(map(len, waiting.values())) <= size
    assert sorted(queue.close()) == sorted(item for line in waiting.values() for item in line)
    assert queue.get() is None
    with pytest.raises(FullError):
        queue.put("a", 1)


def test_what_is_taken_back_is_not_served() -> None:
    queue: FairQueue[str] = FairQueue(3)
    queue.put("a", "first")
    queue.put("a", "second")
    assert queue.remove("a", "first")
    assert not queue.remove("a", "first") and not queue.remove("b", "second")
    assert (queue.get(), len(queue)) == ("second", 0)


# Many clients


def test_a_client_with_few_requests_does_not_wait_for_one_with_many() -> None:
    order: list[str] = []
    pool = Pool(1, 100)
    with serving(pool, patience_s=30) as server:
        release = threading.Event()
        blocker = pool.submit(lambda _: release.wait(30))
        greedy = [pool.submit(lambda _: order.append("greedy"), "greedy") for _ in range(20)]
        modest = pool.submit(lambda _: order.append("modest"), "modest")
        release.set()
        for future in (blocker, *greedy, modest):
            future.result(30)
        assert order.index("modest") <= 1
        assert post(server, "/verify", GOOD, "a")[1]["status"] == "passed"


def test_a_full_queue_refuses_the_greedy_client_not_the_modest_one() -> None:
    pool = Pool(1, 4)
    try:
        release = threading.Event()
        blocker = pool.submit(lambda _: release.wait(30), "greedy")
        while pool.busy == 0:
            time.sleep(0.01)
        greedy = [pool.submit(lambda _: 1, "greedy") for _ in range(4)]
        with pytest.raises(OverloadedError):
            pool.submit(lambda _: 1, "greedy")
        modest = pool.submit(lambda _: 2, "modest")
        release.set()
        assert (blocker.result(30), modest.result(30)) == (True, 2)
        with pytest.raises(OverloadedError, match="fewer"):
            greedy[-1].result(30)
        assert [future.result(30) for future in greedy[:3]] == [1, 1, 1]
    finally:
        pool.close()


def test_sixteen_clients_get_right_answers_while_zygotes_are_killed() -> None:
    pool = Pool(2, 200)
    answers: list[tuple[int, str]] = []
    with serving(pool, patience_s=30) as server:

        def ask(client: int) -> None:
            for _ in range(6):
                status, answer = post(server, "/verify", GOOD, str(client))
                answers.append((status, answer.get("status", "")))

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for asker in askers:
            asker.start()
        for number in range(6):
            time.sleep(0.02)
            with suppress(ProcessLookupError):  # the one before is being replaced
                os.kill(pool._sandboxes[number % 2].zygote_pid, signal.SIGKILL)
        for asker in askers:
            asker.join()
        assert answers == [(200, "passed")] * 96
        assert pool.restarts >= 1
        assert "zygote_restarts_total" in get(server, "/metrics")


# Clients that are slow, silent, gone, large or malformed


def test_a_request_that_its_client_gave_up_is_never_run() -> None:
    pool = Pool(1, 10)
    with serving(pool, patience_s=20) as server:
        release = threading.Event()
        blocker = pool.submit(lambda _: release.wait(30))
        body = json.dumps(GOOD).encode()
        connection = raw(server)
        connection.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        deadline = time.monotonic() + 10
        while pool.waiting == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection.close()
        while pool.waiting:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        release.set()
        blocker.result(30)
        assert 'route="/verify",status="200"' not in get(server, "/metrics")
        assert "sandbox_workers_abandoned_total 1" in get(server, "/metrics")


def test_slow_heads_and_bodies_are_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_requests, "HEAD_S", 0.4)
    monkeypatch.setattr(http_requests, "BODY_S", 0.4)
    started = time.monotonic()
    with raw(server) as head, raw(server) as body:
        body.sendall(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n")
        for _ in range(20):  # a byte now and then keeps no connection open
            for connection in (head, body):
                try:
                    connection.sendall(b"P")
                except OSError:
                    break
            time.sleep(0.05)
        assert status_of(head) == 0
        assert status_of(body) in (0, 408)
    assert time.monotonic() - started < 5
    assert post(server, "/verify", GOOD)[0] == 200


def test_a_silent_connection_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_requests, "IDLE_S", 0.2)
    with raw(server) as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /verify HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /verify HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 411),
        (b"POST /verify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /nowhere HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", 404),
        (b"PUT /verify HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", 501),
        (b"GET /verify HTTP/9.9\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"POST /verify HTTP/1.1\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc", 400),
        (b"POST /verify HTTP/1.1\r\nContent-Length: 4\r\n\r\nnull", 400),
    ],
)
def test_malformed_and_giant_requests_are_refused(server: Server, head: bytes, status: int) -> None:
    with raw(server) as connection:
        connection.sendall(head)
        answer = connection.makefile("rb").readline()
    if head.startswith(b"nonsense") or b"9.9" in head:  # answered as HTTP 0.9 is: without a status line
        assert b"400" in answer or b"DOCTYPE" in answer or b"html" in answer.lower()
    else:
        assert answer.split()[1] == str(status).encode()
    assert post(server, "/verify", GOOD)[0] == 200


def test_large_bodies_are_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_BODIES_BYTES", 1000)
    large = {**GOOD, "program": GOOD["program"] + "#" * 2000}  # type: ignore[operator]
    assert post(server, "/verify", large)[0] == 504
    assert post(server, "/verify", GOOD)[0] == 200
    assert "sandbox_workers_body_bytes 0" in get(server, "/metrics")


def test_more_connections_than_there_may_be_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 2)
    with serving(Pool(1, 5)) as server, raw(server) as first, raw(server) as second:
        for connection in (first, second):
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert status_of(connection) == 200
        with raw(server) as third:
            assert third.recv(1) == b""


def test_a_connection_serves_many_requests(server: Server) -> None:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=60)
    for _ in range(3):
        connection.request("POST", "/verify", json.dumps(GOOD))
        assert json.load(connection.getresponse())["status"] == "passed"
    connection.close()


def test_a_request_may_name_any_limit(server: Server) -> None:
    body = {**GOOD, "limits": {"open_files": 32, "stack_mb": 16}}
    assert post(server, "/verify", body)[1]["status"] == "passed"
    flood = {"code": "print('x' * 100_000)", "language": "python", "limits": {"output_kb": 10}}
    assert post(server, "/run_code", flood)[1]["status"] == "Failed"
    for limits in ({"speed": 3}, {"wall_s": -1}, {"wall_s": "3"}, [3]):
        status, answer = post(server, "/verify", {**GOOD, "limits": limits})
        assert (status, "limit" in answer["error"].lower()) == (400, True)


# What it says about itself


def test_metrics_are_in_prometheus_format(server: Server) -> None:
    post(server, "/verify", GOOD)
    post(server, "/verify", {})
    lines = get(server, "/metrics").splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(samples['sandbox_workers_requests_total{route="/verify",status="200"}']) >= 1
    assert float(samples['sandbox_workers_requests_total{route="/verify",status="400"}']) >= 1
    assert float(samples['sandbox_workers_verdicts_total{status="passed"}']) >= 1
    assert samples["sandbox_workers_workers"] == "2"
    typed = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    for name in samples:
        family = name.partition("{")[0]
        assert family in typed or family.rsplit("_", 1)[0] in typed, name
    buckets = [float(value) for name, value in samples.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert buckets[-1] == float(samples["sandbox_workers_request_seconds_count"])


def test_a_histogram_counts_each_answer_once() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.3, 100.0):
        metrics.request("/verify", 200, seconds)
    text = metrics.text({}, {})
    assert 'request_seconds_bucket{le="0.005"} 1\n' in text
    assert 'request_seconds_bucket{le="0.5"} 2\n' in text
    assert 'request_seconds_bucket{le="+Inf"} 3\n' in text


def test_the_openapi_document_says_what_the_classes_say(server: Server) -> None:
    found = json.loads(get(server, "/openapi.json"))
    assert found == json.loads(json.dumps(document()))
    assert set(ROUTES) <= set(found["paths"])
    schemas = found["components"]["schemas"]
    for kind in (Limits, Verdict):
        assert list(schemas[kind.__name__]["properties"]) == [field.name for field in fields(kind)]
    assert schemas["Verdict"]["properties"]["status"]["enum"] == [status.value for status in Status]
    answer = post(server, "/verify", GOOD)[1]
    assert set(answer) == set(schemas["Verdict"]["properties"])
    references = {name.rsplit("/", 1)[1] for name in _references(found)}
    assert references <= set(schemas)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_the_container_file_installs_and_serves_the_package() -> None:
    text = (Path(server_module.__file__).parent / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "sandbox_workers"]' in text
