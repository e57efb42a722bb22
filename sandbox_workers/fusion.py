"""The requests and answers of Sandbox Fusion's ``/run_code`` and ``/submit``, so that its clients can use this sandbox.

Fields that are not known here are ignored; standard output and error are never null.
"""

from __future__ import annotations

import json

from .extraction import fenced_blocks
from .http_requests import Request
from .limits import Limits
from .sandbox import Sandbox
from .suite import Case, TestSuite
from .verdict import Execution, Status, Verdict

DEFAULT_MEMORY_MB = 1024
DEFAULT_TIMEOUT_S, DEFAULT_SUBMIT_TIMEOUT_S = 10.0, 20.0
MAX_TIMEOUT_S = 120.0


def run_code(sandbox: Sandbox, request: Request) -> dict[str, object]:
    """Answer to ``/run_code``: run a program once.

    Raises:
        KeyError: the request has no ``code`` or ``language``.
        SandboxUnavailable: the language is not one of this sandbox.
    """
    if request.get("files") or request.get("fetch_files"):
        return _response("SandboxError", "files and fetch_files are not supported")
    limits = _limits(request)
    execution = sandbox.execute(
        request["code"], request.get("stdin") or "", language=request["language"], limits=limits
    )
    return _answer(execution)


def _limits(request: Request, default_s: float = DEFAULT_TIMEOUT_S) -> Limits:
    """The limits that a request asks for; ``limits`` (an addition of ours) may name any of them."""
    wall_s = min(float(request.get("run_timeout") or default_s), MAX_TIMEOUT_S)
    memory_mb = int(request.get("memory_limit_MB") or -1)
    asked = {"memory_mb": memory_mb if memory_mb > 0 else DEFAULT_MEMORY_MB, "wall_s": wall_s, "cpu_s": wall_s}
    return Limits.from_json({**asked, **(request.get("limits") or {})})


def _answer(execution: Execution) -> dict[str, object]:
    verdict = execution.verdict
    if verdict.status is Status.SANDBOX_ERROR:
        return _response("SandboxError", verdict.message)
    if verdict.status is Status.COMPILE_ERROR and verdict.error == "CompileError":
        return _response("Failed", compile_result=_command("Finished", execution))
    timed_out = verdict.status is Status.TIMEOUT
    result = _command("TimeLimitExceeded" if timed_out else "Finished", execution)
    if timed_out:
        result["return_code"] = None
    return _response("Success" if verdict.ok else "Failed", run_result=result)


def _command(status: str, execution: Execution) -> dict[str, object]:
    return {
        "status": status,
        "execution_time": execution.verdict.wall_s,
        "return_code": execution.exit_code,
        "stdout": execution.stdout,
        "stderr": execution.stderr,
    }


def _response(status: str, message: str = "", **results: dict[str, object]) -> dict[str, object]:
    empty: dict[str, object] = {"compile_result": None, "run_result": None, "executor_pod_name": None, "files": {}}
    return {"status": status, "message": message, **empty, **results}


def submit(sandbox: Sandbox, request: Request) -> dict[str, object]:
    """Answer to ``/submit``: judge a completion on the tests in ``config.provided_data``.

    Raises:
        KeyError, ValueError: the request holds no tests, or tests of an unknown form.
    """
    config = request.get("config") or {}
    data = config.get("provided_data") or {}
    code = extract_code(request["completion"])
    suite = provided_suite(data)
    limits = _limits(config, DEFAULT_SUBMIT_TIMEOUT_S)
    language = config.get("language") or "python"
    verdict = sandbox.run(code, suite, limits=limits, stop_at_first_failure=False, language=language)
    return {
        "id": request.get("id", 0),
        "accepted": verdict.ok,
        "extracted_code": code,
        "full_code": code,
        "test_code": "\n".join(suite.tests),
        "tests": [{"passed": verdict.ok, "exec_info": _verdict_response(verdict), "test_info": _summary(verdict)}],
        "extracted_type": None,
        "extra": {},
    }


def extract_code(completion: str) -> str:
    """The first fenced block of a completion, or all of it."""
    blocks = fenced_blocks(completion)
    return completion[blocks[0].start : blocks[0].end] if blocks else completion


def provided_suite(data: Request) -> TestSuite:
    """Tests as MBPP (assert statements), HumanEval (``check``) or stdin and stdout pairs have them."""
    tests, labels = data["test"], data.get("labels") or {}
    tests = json.loads(tests) if isinstance(tests, str) and tests.lstrip().startswith("[") else tests
    labels = json.loads(labels) if isinstance(labels, str) else labels
    setup = str(labels.get("test_setup_code") or "")
    if isinstance(tests, str):
        return TestSuite("check", setup, (tests,), str(labels["entry_point"]))
    if tests and all(isinstance(test, str) for test in tests):
        return TestSuite("assert", setup, tuple(tests))
    return TestSuite("stdio", cases=tuple(Case(test["input"]["stdin"], test["output"]["stdout"]) for test in tests))


def _verdict_response(verdict: Verdict) -> dict[str, object]:
    code = 0 if verdict.ok else 1
    execution = Execution(verdict, code, "", "" if verdict.ok else f"{verdict.error} {verdict.message}".strip())
    return _answer(execution)


def _summary(verdict: Verdict) -> dict[str, object]:
    return {"status": verdict.status.value, "passed": verdict.passed, "total": verdict.total, "line": verdict.line}
