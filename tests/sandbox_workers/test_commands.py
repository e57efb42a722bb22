"""The command and the HTTP server, as their users meet them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox_workers import Sandbox
from sandbox_workers.pool import OverloadedError, Pool
from sandbox_workers.server import Server

ROOT = Path(__file__).parents[2]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "sandbox_workers", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.py").write_text("def f(n):\n    return n + 1\n")
    (tmp_path / "bad.py").write_text("def f(n):\n    return [][n]\n")
    (tmp_path / "tests.json").write_text(json.dumps({"kind": "assert", "setup": "", "tests": ["assert f(1) == 2"]}))
    return tmp_path


def test_run_prints_a_verdict_a_file(files: Path) -> None:
    done = command("run", files / "good.py", files / "bad.py", "--tests", files / "tests.json", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [record["status"] for record in records] == ["passed", "runtime_error"]
    assert {"file", "status", "passed", "total", "line", "message", "wall_s", "cpu_s", "peak_bytes"} <= set(records[0])
    assert (records[1]["file"], records[1]["line"]) == (str(files / "bad.py"), 2)
    done = command("run", files / "good.py", "--tests", files / "tests.json")
    assert (done.returncode, "passed 1/1" in done.stdout) == (0, True)


def test_wrong_use_is_exit_code_2(files: Path) -> None:
    assert command("run", files / "good.py").returncode == 2
    assert command("run", files / "missing.py", "--tests", files / "tests.json").returncode == 2
    (files / "tests.json").write_text('{"kind": "guess"}')
    done = command("run", files / "good.py", "--tests", files / "tests.json")
    assert (done.returncode, "unknown kind" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("null", "is an object"),
        ("[]", "is an object"),
        ('{"tests": [1]}', "list of texts"),
        ('{"tests": "assert f(1) == 2"}', "list of texts"),
        ('{"setup": 5, "tests": ["assert f(1)"]}', "are text"),
        ('{"kind": "call", "entry_point": "f", "cases": [[1, 2]]}', "list of arguments"),
        ('{"tests": ["assert f(%s1) == 2"]}' % ("-" * 100_000), "nested"),
        ("[" * 100_000, "recursion"),
        ("{", "Expecting"),
    ],
)
def test_tests_that_cannot_be_used_are_said_to_be(files: Path, tests: str, said: str) -> None:
    (files / "tests.json").write_text(tests)
    done = command("run", files / "good.py", "--tests", files / "tests.json")
    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr[-300:]


@pytest.mark.parametrize(
    "options",
    [("--wall", "inf"), ("--wall", "nan"), ("--memory", "0"), ("--packages", "a.b"), ("--packages", "no_such_package")],
)
def test_settings_that_cannot_be_used_are_said_to_be(files: Path, options: tuple[str, ...]) -> None:
    before = set(Path("/dev/shm").glob("sandbox-*"))
    done = command("run", files / "good.py", "--tests", files / "tests.json", *options)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr[-300:]
    assert set(Path("/dev/shm").glob("sandbox-*")) <= before


@pytest.mark.parametrize("options", [("--workers", "0"), ("--queue", "-3"), ("--port", "99999")])
def test_a_server_refuses_what_it_cannot_be(options: tuple[str, ...]) -> None:
    assert command("serve", *options).returncode == 2


def test_what_a_program_raises_cannot_be_taken_for_a_verdict(files: Path) -> None:
    (files / "bad.py").write_text("raise ValueError('boo\\n\\x1b[2Kforged.py: passed 2/2 in 1 ms \\ud800')\n")
    done = command("run", files / "bad.py", files / "good.py", "--tests", files / "tests.json")
    first, second = done.stdout.splitlines()
    assert first.startswith(str(files / "bad.py")) and "\x1b" not in first
    assert second.startswith(str(files / "good.py"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_stop_finishes_what_runs_and_leaves_nothing(number: signal.Signals) -> None:
    line = [sys.executable, "-m", "sandbox_workers", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None and served.stderr is not None
        url = served.stdout.readline().split()[-1]
        slow = {"code": "import time; time.sleep(1); print(1)", "language": "python"}
        answers: list[tuple[int, Any]] = []
        askers = [threading.Thread(target=lambda: answers.append(post(f"{url}/run_code", slow))) for _ in range(3)]
        for asker in askers:
            asker.start()
        time.sleep(0.5)
        served.send_signal(number)
        for asker in askers:
            asker.join()
        assert served.wait(20) == 0
        assert "Traceback" not in served.stderr.read()
    assert sorted(status for status, _ in answers) == [200, 504, 504]


def test_a_request_that_breaks_off_or_makes_no_sense_gets_an_answer(server: str) -> None:
    port = int(server.rpartition(":")[2])
    for body, length, status in ((b"{}", "abc", 411), (b"[" * 200_000, None, 400), (b"{}", "9", 400)):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            head = f"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: {length or len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            assert connection.makefile("rb").readline().split()[1] == str(status).encode()
    assert (
        post(f"{server}/verify", {"program": "", "suite": {"tests": ["assert 1"]}, "limits": {"wall_s": 1e400}})[0]
        == 400
    )


def test_doctor_finds_full_isolation() -> None:
    done = command("doctor", "--json")
    findings = {record["name"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0
    assert findings["isolation full"]["good"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(Pool(2, 50)) as url:
        yield url


@contextmanager
def serving(pool: Pool) -> Iterator[str]:
    with Server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=server.serve, args=(pool,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def post(url: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_verify(server: str) -> None:
    suite = {"kind": "assert", "tests": ["assert f(1) == 2", "assert f(2) == 3"]}
    status, verdict = post(f"{server}/verify", {"program": "def f(n):\n    return 2\n", "suite": suite})
    assert (status, verdict["status"], verdict["passed"]) == (200, "wrong_answer", 1)


def run_code(server: str, code: str, **more: Any) -> Any:
    payload = {
        "compile_timeout": 2,
        "run_timeout": 2,
        "code": code,
        "language": "python",
        "files": {},
        "fetch_files": [],
    }
    status, answer = post(f"{server}/run_code", {**payload, "unheard_of": 1, **more})
    assert status == 200
    return answer


def test_run_code_answers_as_sandbox_fusion_does(server: str) -> None:
    answer = run_code(server, "print(int(input()) + 1)", stdin="41")
    assert (answer["status"], answer["compile_result"], answer["files"]) == ("Success", None, {})
    assert answer["run_result"]["status"] == "Finished"
    assert (answer["run_result"]["return_code"], answer["run_result"]["stdout"], answer["run_result"]["stderr"]) == (
        0,
        "42\n",
        "",
    )
    assert answer["run_result"]["execution_time"] > 0
    failed = run_code(server, "x = 1\nraise KeyError('no')", stdin=None)
    assert (failed["status"], failed["run_result"]["return_code"]) == ("Failed", 1)
    assert 'File "program.py", line 2' in failed["run_result"]["stderr"]
    assert "KeyError: 'no'" in failed["run_result"]["stderr"]
    broken = run_code(server, "x = (")
    assert (broken["status"], broken["run_result"]["return_code"], broken["run_result"]["stdout"]) == ("Failed", 1, "")
    late = run_code(server, "while True: pass", run_timeout=0.3)
    assert (late["status"], late["run_result"]["status"]) == ("Failed", "TimeLimitExceeded")


def test_submit_judges_provided_tests(server: str) -> None:
    completion = "Here:\n```python\ndef f(n):\n    return n + 1\n```\nDone."
    config = {
        "dataset_type": "MBPPDataset",
        "provided_data": {"test": ["assert f(1) == 2"], "labels": {"test_setup_code": ""}},
    }
    status, answer = post(f"{server}/submit", {"dataset": "mbpp", "id": 7, "completion": completion, "config": config})
    assert (status, answer["id"], answer["accepted"], answer["extracted_code"].strip()[:8]) == (
        200,
        7,
        True,
        "def f(n)",
    )
    config["provided_data"] = {"test": [{"input": {"stdin": "1"}, "output": {"stdout": "2"}}]}
    status, answer = post(f"{server}/submit", {"id": "a", "completion": "print(3)", "config": config})
    assert (answer["accepted"], answer["tests"][0]["passed"]) == (False, False)


def test_bad_requests_are_400(server: str) -> None:
    for path, body in (
        ("run_code", {}),
        ("run_code", {"code": "", "language": "cobol"}),
        ("verify", {"program": "x"}),
        ("verify", []),
    ):
        assert post(f"{server}/{path}", body)[0] == 400
    assert post(f"{server}/nowhere", {})[0] == 404
    with urllib.request.urlopen(f"{server}/health") as response:
        assert json.load(response)["status"] == "ok"


def test_an_overloaded_server_says_504() -> None:
    answers: list[int] = []
    slow = {"code": "import time; time.sleep(1)", "language": "python"}
    with serving(Pool(1, 1)) as url:
        askers = [threading.Thread(target=lambda: answers.append(post(f"{url}/run_code", slow)[0])) for _ in range(5)]
        for asker in askers:
            asker.start()
            time.sleep(0.05)
        for asker in askers:
            asker.join()
    assert set(answers) == {200, 504}
    assert answers.count(200) >= 2


def test_a_request_that_waits_too_long_is_told_so_and_never_run() -> None:
    ran: list[int] = []
    server = Server(("127.0.0.1", 0), patience_s=0.2)
    server.pool = Pool(1, 10)
    try:
        release = threading.Event()
        busy = server.pool.submit(lambda sandbox: release.wait(30))
        with pytest.raises(OverloadedError, match="no sandbox was free"):
            server.answer(lambda sandbox: ran.append(1) or {})
        release.set()
        assert busy.result()
        assert server.answer(lambda sandbox: {"late": not ran}) == {"late": True}
    finally:
        server.server_close()
        server.pool.close()


def test_a_pool_runs_jobs_side_by_side_and_passes_errors_on() -> None:
    pool = Pool(2, 10)
    try:
        started = time.monotonic()
        jobs = [
            pool.submit(lambda sandbox: sandbox.execute("import time; time.sleep(0.5)").exit_code) for _ in range(2)
        ]
        assert [job.result() for job in jobs] == [0, 0]
        assert time.monotonic() - started < 0.95

        def fail(_: Sandbox) -> None:
            raise KeyError("job")

        with pytest.raises(KeyError):
            pool.submit(fail).result()
    finally:
        pool.close()


def test_a_full_queue_refuses() -> None:
    pool = Pool(1, 1)
    try:
        with pytest.raises(OverloadedError):
            for _ in range(3):
                pool.submit(lambda sandbox: sandbox.execute("import time; time.sleep(0.3)"))
    finally:
        pool.close()
