"""Languages other than Python, judged by what their programs print. Those without a toolchain here are skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox_workers import Limits, Sandbox, SandboxUnavailable, SuiteError, TestSuite
from sandbox_workers.inside.protocol import Ended
from sandbox_workers.languages import LANGUAGES, canonical
from sandbox_workers.languages.language import Language
from sandbox_workers.outcome import used_up_cpu

ROOT = Path(__file__).parents[2]
SUM = TestSuite.from_json({"kind": "stdio", "cases": [["1 2\n", "3\n"], ["5 6\n", "11"]]})
LIMITS = Limits(wall_s=4, cpu_s=4, memory_mb=128)
FRAMES = {
    "cpp": """#include <iostream>
#include <vector>
int deep(int n) { volatile char room[64]; room[0] = 1; return n ? deep(n - 1) + room[0] : 0; }
int main() {
    int a, b;
    std::cin >> a >> b;
    BODY
}
""",
    "go": """package main
import ("fmt"; "os")
func deep(n int) int { if n == 0 { return 0 }; return deep(n - 1) + 1 }
func main() {
    var a, b int
    fmt.Scan(&a, &b)
    _ = os.Args
    BODY
}
""",
    "java": """import java.util.*;
public class Solution {
    static int deep(int n) { return n == 0 ? 0 : deep(n - 1) + 1; }
    public static void main(String[] words) throws Exception {
        Scanner in = new Scanner(System.in); int a = in.nextInt(), b = in.nextInt();
        BODY
    }
}
""",
    "javascript": """const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number);
const deep = (n) => (n ? deep(n - 1) + 1 : 0);
BODY
""",
    "rust": """use std::io::Read;
fn deep(n: u64) -> u64 { if n == 0 { 0 } else { std::hint::black_box(deep(n - 1)) + 1 } }
#[allow(unreachable_code, unused, unconditional_panic)]
fn main() {
    let mut text = String::new(); std::io::stdin().read_to_string(&mut text).unwrap();
    let v: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect(); let (a, b) = (v[0], v[1]);
    BODY
}
""",
    "typescript": """import * as fs from "fs";
const [a, b]: number[] = fs.readFileSync(0, "utf8").split(" ").map(Number);
const deep = (n: number): number => (n ? deep(n - 1) + 1 : 0);
BODY
""",
}
BODIES = {
    "passed": {
        "cpp": "std::cout << a + b;",
        "go": "fmt.Println(a + b)",
        "java": "System.out.println(a + b);",
        "javascript": "console.log(a + b)",
        "rust": 'println!("{}", a + b);',
        "typescript": "console.log(a + b as number)",
    },
    "wrong_answer": {
        "cpp": "std::cout << a * b;",
        "go": "fmt.Println(a * b)",
        "java": "System.out.println(a * b);",
        "javascript": "console.log(a * b)",
        "rust": 'println!("{}", a * b);',
        "typescript": "console.log(a * b)",
    },
    "compile_error": {
        "cpp": "std::cout << c;",
        "go": "fmt.Println(c)",
        "java": "System.out.println(c);",
        "rust": 'println!("{}", c);',
        "typescript": "const 1 = c;",
    },
    "runtime_error": {
        "cpp": "return 3;",
        "go": "panic(a)",
        "java": "throw new Exception();",
        "javascript": "console.log(c)",
        "rust": "panic!();",
        "typescript": "throw new Error()",
    },
    "out_of_memory": {
        "cpp": "std::vector<int> v; for (;;) v.push_back(1);",
        "go": "v := []int{}; for { v = append(v, 1) }",
        "java": "List<int[]> v = new ArrayList<>(); for (;;) v.add(new int[1 << 20]);",
        "javascript": "const v = []; for (;;) v.push(new Array(1000).fill(1.5))",
        "rust": "let mut v = vec![a]; loop { v.push(b); }",
        "typescript": "const v = []; for (;;) v.push(new Array(1000).fill(1.5))",
    },
    "timeout": {
        "cpp": "for (;;) a++;",
        "go": "for { a++ }",
        "java": "while (a < 9) a = 1;",
        "javascript": "for (;;);",
        "rust": "let mut c = a; loop { c = std::hint::black_box(c); }",
        "typescript": "for (;;);",
    },
    "output_limit": {
        "cpp": "for (;;) std::cout << 12345678;",
        "go": 'for { fmt.Print("12345678901234567890123456789012345678901234567890") }',
        "java": 'String s = "12345678".repeat(1000); while (a < 9) System.out.println(s);',
        "javascript": "const s = '12345678'.repeat(1000); for (;;) require('fs').writeSync(1, s)",
        "rust": 'loop { println!("{}", "12345678".repeat(1000)); }',
        "typescript": "const s = '12345678'.repeat(1000); for (;;) fs.writeSync(1, s)",
    },
    "deep": {  # a hundred thousand calls: what a walk through a path-like graph of a contest takes
        "cpp": "std::cout << a + b + deep(1000000) - 1000000;",
        "go": "fmt.Println(a + b + deep(1000000) - 1000000)",
        "java": "System.out.println(a + b + deep(100000) - 100000);",
        "javascript": "console.log(a + b + deep(100000) - 100000)",
        "rust": 'println!("{}", a + b + deep(1000000) - 1000000);',
        "typescript": "console.log(a + b + deep(100000) - 100000)",
    },
    "breach": {  # prints the right answer only if something is to be had that is not the program's
        "cpp": 'if (!system("true") || fopen("/etc/passwd", "r")) std::cout << a + b;',
        "go": 'if _, e := os.ReadFile("/etc/passwd"); e == nil { fmt.Println(a + b) }',
        "java": 'new ProcessBuilder("/bin/true").start(); System.out.println(a + b);',
        "javascript": "require('child_process').execSync('true'); console.log(a + b)",
        "rust": 'std::process::Command::new("true").spawn().unwrap(); println!("{}", a + b);',
        "typescript": "fs.readFileSync('/etc/passwd'); console.log(a + b)",
    },
}
STATUSES: dict[str, Callable[[str], bool]] = {
    **{status: status.__eq__ for status in BODIES if status not in ("deep", "breach")},
    "deep": "passed".__eq__,
    "breach": lambda status: status in ("runtime_error", "wrong_answer", "forbidden"),
}
LINES = {
    "compile_error": {"cpp": 7, "go": 8, "java": 6, "rust": 7, "typescript": 4},
    "runtime_error": {"java": 6, "javascript": 3, "rust": 7},
}
PRESENT = [name for name, language in LANGUAGES.items() if not language.missing()]


@pytest.fixture(scope="module")
def polyglot() -> Iterator[Sandbox]:
    with Sandbox(limits=LIMITS, languages=PRESENT) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("what", BODIES)
def test_verdicts_of_every_language(polyglot: Sandbox, name: str, what: str) -> None:
    if name not in PRESENT:
        pytest.skip(f"no {', '.join(LANGUAGES[name].missing())} here")
    if name not in BODIES[what]:
        pytest.skip(f"{name} has no {what}")
    program = FRAMES[name].replace("BODY", BODIES[what][name])
    verdict = polyglot.run(program, SUM, language=name)
    assert STATUSES[what](verdict.status), verdict
    if (line := LINES.get(what, {}).get(name)) is not None:
        assert verdict.line == line, verdict


CPP_OF_CONTESTS = {
    "C++20": "#include <compare>\n#include <bit>\nint main() { return (1 <=> 2) < 0 ? std::popcount(7u) - 3 : 1; }",
    "128-bit numbers": "int main() { __int128 a = 1; a <<= 100; return a >> 99 == 2 ? 0 : 1; }",
    "GNU extensions": "int main(int n, char **) { int a[n + 1]; a[n] = ({ int b = 1; b; }); return a[n] - 1; }",
    "the judge's macro": "#ifdef ONLINE_JUDGE\nint main() {}\n#endif",
    "a large array on the stack": "int main() { volatile int a[10000000]; a[0] = 0; return a[0]; }",
    "threads": "#include <thread>\nint main() { std::thread t([] {}), u([] {}); t.join(); u.join(); }",
}


@pytest.mark.skipif("cpp" not in PRESENT, reason="no g++ here")
@pytest.mark.parametrize("what", CPP_OF_CONTESTS)
def test_cpp_as_the_judges_of_contests_compile_it(polyglot: Sandbox, what: str) -> None:
    execution = polyglot.execute(CPP_OF_CONTESTS[what], language="cpp")
    assert execution.verdict.ok, execution


@pytest.mark.skipif("cpp" not in PRESENT, reason="no g++ here")
def test_a_program_that_met_its_cpu_limit_is_late(polyglot: Sandbox) -> None:
    program, limits = "int main() { for (volatile int a = 0;;) a++; }", Limits(wall_s=200, cpu_s=1)
    verdict = polyglot.run(program, SUM, language="cpp", limits=limits)
    assert (verdict.status, verdict.message) == ("timeout", "more than 1 s of CPU"), verdict
    assert polyglot.execute(program, language="cpp", limits=limits).verdict.status == "timeout"


@pytest.mark.skipif("cpp" not in PRESENT, reason="no g++ here")
def test_a_signal_that_is_no_limits_is_an_error_by_its_name(polyglot: Sandbox) -> None:
    verdict = polyglot.run("int main() { *(volatile int *)0 = 1; }", SUM, language="cpp")
    assert (verdict.status, verdict.error) == ("runtime_error", "SIGSEGV"), verdict


@pytest.mark.parametrize(
    ("status", "cpu_s", "late"),
    [
        (9, 0.7, True),  # killed; the kernel counts by ticks
        (9, 0.69, False),
        (24, 1.0, True),  # SIGXCPU
        (137 << 8, 0.7, True),  # a shell whose command was killed
        (152 << 8, 0.8, True),
        (1 << 8, 0.86, True),  # a runtime that was told
        (1 << 8, 0.84, False),
        (11, 0.8, False),  # SIGSEGV
        (0, 2.0, False),
    ],
)
def test_what_meeting_the_cpu_limit_is(status: int, cpu_s: float, late: bool) -> None:
    assert used_up_cpu(Ended(1, status, cpu_s, 0), Limits(cpu_s=1)) is late


@pytest.mark.skipif("cpp" not in PRESENT, reason="no g++ here")
def test_flags_and_the_stack_can_be_set(tmp_path: Path) -> None:
    large = CPP_OF_CONTESTS["a large array on the stack"]
    old = {"cpp": ["-std=c++11", "-DA=4"]}
    with Sandbox(limits=Limits(stack_mb=8), languages=["c++"], flags=old) as sandbox:
        assert sandbox.execute(large, language="cpp").verdict.status == "runtime_error"
        assert sandbox.execute("int main() { return A - 4; }", language="cpp").exit_code == 0
        assert sandbox.execute(CPP_OF_CONTESTS["C++20"], language="cpp").verdict.status == "compile_error"
    (tmp_path / "a.cpp").write_text("int main() { return A; }")
    (tmp_path / "tests.json").write_text(json.dumps({"kind": "stdio", "cases": [["", ""]]}))
    command = [sys.executable, "-m", "sandbox_workers", "run", tmp_path / "a.cpp", "--tests", tmp_path / "tests.json"]
    for flags, code in (("c++=-DA=0", 0), ("cpp=-DA=1", 1), ("cobol=-x", 2)):
        done = subprocess.run([*command, "--flags", flags], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == code, done


def test_python_runs_next_to_them(polyglot: Sandbox) -> None:
    assert polyglot.run("print(sum(map(int, input().split())))", SUM).ok


def test_other_languages_are_judged_by_output_only(polyglot: Sandbox) -> None:
    with pytest.raises(SuiteError, match="stdio"):
        polyglot.run("", TestSuite(tests=("assert f(1) == 1",)), language=PRESENT[0])


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


def test_a_toolchain_outside_the_systems_directories_is_found_and_shown_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tool" / "bin").mkdir(parents=True)
    (tmp_path / "tool" / "settings").mkdir()
    command = tmp_path / "tool" / "bin" / "speak"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "tool" / "settings" / "one").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    language = Language(
        *("speak", (), "program.x", ("speak",)),
        run=("speak", "{flags}", "{root}/x", "{memory_mb}", "{stack_mb}"),
        flags=("-a", "-b"),
        settings=("{root}/settings",),
    )
    root = str(tmp_path / "tool")
    assert language.run_command(7, 0) == [str(command), "-a", "-b", f"{root}/x", "7", "64"]
    assert set(language.readable()) == {root, str(tmp_path / "elsewhere")}
