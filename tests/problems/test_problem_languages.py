"""Problems in other languages than Python: physical lines, a sandbox for them, clear words where Python is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from prl_ray import compose
from prl_ray.actors.verifier import Verifier, VerifierSetup
from prl_ray.errors import ConfigError, DataError
from prl_ray.inputs import RunInputs
from prl_ray.lines import units
from prl_ray.problems import Problem, load_problems
from prl_ray.problems.problem import language_of, need_python
from prl_ray.stages import ppo
from prl_ray.stages.sft import printed

CPP = """#include <iostream>
// doubles
int main() {
    int n;

    std::cin >> n; /* the number */
    std::cout << 2 * n << "\\n";
}
"""
JAVASCRIPT = "const n = +require('fs').readFileSync(0, 'utf8');\n// doubles\nconsole.log(2 * n);\n"


def written(folder: Path, language: str, reference: str, **more: object) -> Path:
    record = {"prompt": "Read n, print 2 n.", "language": language, "references": [reference], **more}
    stdio = [{"input": f"{n}\n", "output": f"{2 * n}\n"} for n in (1, 21)]
    file = folder / "problems.jsonl"
    rows = [{"task_id": f"double/{i}", "stdio": stdio, **record, "split": s} for i, s in enumerate(("train", "test"))]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_physical_lines_are_those_of_the_file() -> None:
    found = units(CPP, "physical")
    texts = [CPP[line.start : line.end] for line in found]
    assert texts == [line.strip() for line in CPP.splitlines() if line.strip()]
    assert [text for text, line in zip(texts, found, strict=True) if line.neutral] == ["// doubles"]
    assert [line.neutral for line in units("# why\n#define X 1\n/* a */ b\n/* c */\n", "physical")] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("language", "toolchain", "program"), [("c++", "g++", CPP), ("js", "node", JAVASCRIPT)], ids=["cpp", "javascript"]
)
def test_a_verifier_judges_its_programs(tmp_path: Path, language: str, toolchain: str, program: str) -> None:
    if shutil.which(toolchain) is None:
        pytest.skip(f"no {toolchain} on this machine")
    problem = load_problems("jsonl", path=str(written(tmp_path, language, program)))[0]
    verifier = Verifier(VerifierSetup(wall_s=20.0, memory_mb=1024, language=problem.language))
    wrong = program.replace("2 * n", "3 * n")
    found = verifier.run([(printed(problem), problem.tests), (wrong, problem.tests), ("(", problem.tests)])
    verifier.sandbox.close()
    assert [v.status.value for v in found][:2] == ["passed", "wrong_answer"]
    assert found[2].status.value in ("compile_error", "runtime_error") and found[2].line == 1


def test_one_run_has_one_language(tmp_path: Path) -> None:
    mixed = [Problem("a", "p", "", None, (), "train", language=name) for name in ("python", "cpp")]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"several languages \(cpp, python\)"):
        language_of(mixed)
    assert language_of([]) == "python"
    file = written(tmp_path, "cpp", CPP)
    overrides = ["+cluster=local", "problems.name=jsonl", f"problems.path={file}"]
    with pytest.raises(ConfigError, match=r"in cpp: set lines\.unit=physical"):
        RunInputs(compose(overrides)).problems("train")
    assert len(RunInputs(compose([*overrides, "lines.unit=physical"])).problems("train")) == 1


def test_labels_need_python_and_say_so(tmp_path: Path) -> None:
    problems = load_problems("jsonl", path=str(written(tmp_path, "cpp", CPP)))
    assert printed(problems[0]) == CPP.rstrip()
    with pytest.raises(DataError, match=r"labelling reads Python programs.*in cpp.*reward=outcome"):
        need_python(problems, "labelling")


def test_lines_are_executed_in_python_only_and_a_run_says_so_at_its_start(tmp_path: Path) -> None:
    """Before: every failure had no line verdict, so that the gate was RLOO without a word."""
    file = written(tmp_path, "cpp", CPP)
    overrides = ["+cluster=local", "problems.name=jsonl", f"problems.path={file}", "lines.unit=physical", "model=tiny"]
    overrides += [f"runs_dir={tmp_path}", "loop.validate_every=0"]
    with pytest.raises(DataError, match=r"algorithm\.estimator=gate reads Python.*set.*algorithm\.estimator=rloo"):
        ppo.check(RunInputs(compose(overrides)))
    ppo.check(RunInputs(compose([*overrides, "algorithm.estimator=rloo"])))
    ppo.check(RunInputs(compose([*overrides, "locator=surprise", "algorithm.locator_check=0"])))


def test_other_languages_are_judged_by_stdio_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: programs in cpp are judged by standard input and output"):
        load_problems("jsonl", path=str(written(tmp_path, "cpp", CPP, stdio=[], tests=["assert True"])))
    with pytest.raises(DataError, match=r"'language' is 'cobol'; known: python, cpp"):
        load_problems("jsonl", path=str(written(tmp_path, "cobol", CPP)))
