"""What is hostile stays so over HTTP: attacks, malformed fields, and clients that ask for much and go away."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox_workers import Sandbox, Status, Verdict, attacks
from sandbox_workers.pool import Pool
from sandbox_workers.server import MAX_TEST_CODE_BYTES, Server

EVERY = 12
"""Of the attacks of a category, each of this number is sent."""
CHOSEN = [
    attack
    for _, of_category in itertools.groupby(attacks.load(), key=lambda attack: attack.category)
    for attack in list(of_category)[::EVERY]
]
HONEST = {"program": attacks.HONEST, "suite": attacks.SUITE.to_json()}
LIMITS = {"wall_s": attacks.LIMITS.wall_s, "cpu_s": attacks.LIMITS.cpu_s}
LOOPS = {"program": "while True: pass\n", "suite": attacks.SUITE.to_json(), "limits": {"wall_s": 0.5}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One with a single sandbox: what an attack leaves, the next request would meet."""
    pool = Pool(1, 50)
    with Server(("127.0.0.1", 0), patience_s=60) as server:
        thread = threading.Thread(target=server.serve, args=(pool,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send(server: Server, body: Any, client: str = "") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=120)
    text = body if isinstance(body, bytes) else json.dumps(body)
    connection.request("POST", "/verify", text, {"X-Client-Id": client} if client else {})
    return connection


def post(server: Server, body: Any, client: str = "") -> tuple[int, Any]:
    connection = send(server, body, client)
    try:
        answer = connection.getresponse()
        return answer.status, json.load(answer)
    finally:
        connection.close()


def verify(server: Server, **request: object) -> Verdict:
    status, answer = post(server, request)
    assert status == 200, answer
    return Verdict(**{**answer, "status": Status(answer["status"])})


@pytest.mark.slow
@pytest.mark.parametrize("attack", CHOSEN, ids=lambda attack: f"{attack.category}-{attack.name}")
def test_an_attack_gets_over_http_what_it_deserves(server: Server, attack: attacks.Attack) -> None:
    verdict = verify(server, program=attack.program, suite=attack.suite.to_json(), limits=LIMITS)
    assert attacks.is_right(attack, verdict), verdict
    for _ in range(attacks.PROBES if attack.probe else 0):
        assert verify(server, program=attack.probe, suite=HONEST["suite"], limits=LIMITS).status not in (
            "passed",
            "sandbox_error",
        )
    assert verify(server, **HONEST).ok


def test_the_chosen_attacks_are_of_every_category() -> None:
    assert {attack.category for attack in CHOSEN} == {attack.category for attack in attacks.load()}


SUITE: dict[str, Any] = {"tests": ["assert f(1) == 2"]}
MALFORMED = {
    "no object": [1, 2],
    "no program": {"suite": SUITE},
    "program that is no text": {"program": 5, "suite": SUITE},
    "program that is null": {"program": None, "suite": SUITE},
    "program that is a list": {"program": ["x"], "suite": SUITE},
    "suite that is a list": {"program": "", "suite": [SUITE]},
    "suite of an unknown kind": {"program": "", "suite": {"kind": "guess", "tests": ["assert f(1)"]}},
    "unknown field": {"program": "", "suite": {**SUITE, "pickle": "x"}},
    "tests that are no texts": {"program": "", "suite": {"tests": [5]}},
    "tests that are one text": {"program": "", "suite": {"tests": "assert f(1)"}},
    "tests that do not parse": {"program": "", "suite": {"tests": ["assert ("]}},
    "tests nested too deeply": {"program": "", "suite": {"tests": ["assert f" + "(1)" * 50_000]}},
    "tests of brackets": {"program": "", "suite": {"tests": ["assert f(" + "[" * 50_000]}},
    "tests that are giant": {"program": "", "suite": {"tests": ["assert f('" + "x" * MAX_TEST_CODE_BYTES + "')"]}},
    "cases that are no pairs": {"program": "", "suite": {"kind": "stdio", "cases": [["a", "b", "c"]]}},
    "cases that are numbers": {"program": "", "suite": {"kind": "stdio", "cases": [5]}},
    "code for a literal": {
        "program": "",
        "suite": {"kind": "call", "entry_point": "f", "literals": True, "cases": [["open('x')", "1"]]},
    },
    "comparison that is unknown": {"program": "", "suite": {"kind": "stdio", "cases": [["", ""]], "compare": "eval"}},
    "checker whose file leaves the directory": {
        "program": "",
        "suite": {"kind": "stdio", "cases": [["", ""]], "checker": {"source": "", "files": {"../x": ""}}},
    },
    "negative limit": {"program": "", "suite": SUITE, "limits": {"wall_s": -1}},
    "endless limit": {"program": "", "suite": SUITE, "limits": {"wall_s": float("inf")}},
    "limit that is no number": {"program": "", "suite": SUITE, "limits": {"wall_s": "3"}},
    "unknown limit": {"program": "", "suite": SUITE, "limits": {"gpu": 1}},
    "limits that are a list": {"program": "", "suite": SUITE, "limits": [3]},
    "language that is a list": {"program": "", "suite": SUITE, "language": ["python"]},
    "language that is not there": {"program": "", "suite": SUITE, "language": "../python"},
    "no JSON": b"program=1",
    "JSON nested too deeply": b'{"program": ' + b"[" * 200_000,
    "bytes that are no text": b'{"program": "\xff\xfe"}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_the_clients_fault_and_costs_no_sandbox(server: Server, name: str) -> None:
    sandbox: Sandbox = server.pool._sandboxes[0]
    before = sandbox.zygote_pid
    status, answer = post(server, MALFORMED[name])
    assert status == 400 and answer["error"]
    assert verify(server, **HONEST).ok
    assert sandbox.zygote_pid == before


@pytest.mark.parametrize(
    ("program", "status"),
    [("\ud800", "compile_error"), ("\0", "compile_error"), ("def f(n):\n    return '\ud800'\n", "compile_error")],
)
def test_texts_that_no_file_holds_are_judged(server: Server, program: str, status: str) -> None:
    assert verify(server, program=program, suite={"tests": ["assert f(1) == 2"]}).status == status


def test_a_client_that_asks_for_much_and_goes_away_holds_up_nobody(server: Server) -> None:
    leaving = [send(server, LOOPS, "leaves") for _ in range(12)]
    staying: list[str] = []
    stayer = threading.Thread(target=lambda: staying.append(post(server, LOOPS, "stays")[1]["status"]))
    stayer.start()
    for connection in leaving:
        connection.close()
    started = time.monotonic()
    assert verify(server, **HONEST).ok
    assert time.monotonic() - started < 12 * 0.5  # what all of them would have taken
    stayer.join()
    assert staying == ["timeout"]
    deadline = time.monotonic() + 10
    while (server.pool.waiting or server.pool.busy or server._bodies_bytes) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (server.pool.waiting, server.pool.busy, server._bodies_bytes) == (0, 0, 0)
