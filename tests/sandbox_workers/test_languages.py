"""C++ and JavaScript, judged by what they print."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from sandbox_workers import Limits, Sandbox, SandboxUnavailable, SuiteError, TestSuite
from sandbox_workers.languages import LANGUAGES, canonical
from sandbox_workers.languages.language import Language

SUM = TestSuite.from_json({"kind": "stdio", "cases": [["1 2\n", "3\n"], ["5 6\n", "11"]]})
CPP = "#include <iostream>\n#include <vector>\nint main() {\n    int a, b;\n    std::cin >> a >> b;\n    BODY\n}\n"
JS = "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);\nBODY\n"


@pytest.fixture(scope="module")
def polyglot() -> Iterator[Sandbox]:
    present = [name for name, language in LANGUAGES.items() if not language.missing()]
    with Sandbox(languages=present) as sandbox:
        yield sandbox


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("std::cout << a + b;", "passed", None),
        ("std::cout << a * b;", "wrong_answer", None),
        ("std::cout << c;", "compile_error", 6),
        ("return 3;", "runtime_error", None),
        ("std::vector<int> v; for (;;) v.push_back(1);", "out_of_memory", None),
        ("for (;;) a++;", "timeout", None),
        ("for (;;) std::cout << 12345678;", "output_limit", None),
    ],
)
def test_cpp(polyglot: Sandbox, body: str, status: str, line: int | None) -> None:
    limits = Limits(wall_s=1.5, memory_mb=128)
    verdict = polyglot.run(CPP.replace("BODY", body), SUM, language="c++", limits=limits)
    assert (verdict.status, verdict.line) == (status, line), verdict.message


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here")
@pytest.mark.parametrize(
    ("body", "status", "line"),
    [
        ("console.log(a + b)", "passed", None),
        ("console.log(a * b)", "wrong_answer", None),
        ("console.log(c)", "runtime_error", 2),
        ("for (;;);", "timeout", None),
        ("require('child_process').execSync('ls')", "runtime_error", 2),
        ("require('fs').readFileSync('/etc/passwd')", "runtime_error", 2),
    ],
)
def test_javascript(polyglot: Sandbox, body: str, status: str, line: int | None) -> None:
    verdict = polyglot.run(JS.replace("BODY", body), SUM, language="js", limits=Limits(wall_s=1.5))
    assert (verdict.status, verdict.line) == (status, line), verdict.message


def test_python_runs_beside_them(polyglot: Sandbox) -> None:
    assert polyglot.run("print(sum(map(int, input().split())))", SUM).ok


def test_other_languages_are_judged_by_output_only(polyglot: Sandbox) -> None:
    with pytest.raises(SuiteError, match="stdio"):
        polyglot.run("", TestSuite(tests=("assert f(1) == 1",)), language="cpp")


def test_what_is_missing_is_said_at_start(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxUnavailable, match="unknown language 'cobol'"):
        Sandbox(languages=["cobol"])
    with pytest.raises(SandboxUnavailable, match="started without 'cpp'"):
        sandbox.run("", SUM, language="cpp")
    absent = Language("absent", (), "program.x", ("no-such-command",))
    monkeypatch.setitem(LANGUAGES, "absent", absent)
    with pytest.raises(SandboxUnavailable, match="no-such-command"):
        Sandbox(languages=["absent"])


def test_aliases() -> None:
    assert [canonical(name) for name in ("c++", "nodejs", "python", "cpp")] == ["cpp", "javascript", "python", "cpp"]
