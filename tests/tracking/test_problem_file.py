import pytest

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem
from prl_ray.tracking.problem_file import TestText, read_problems, write_problems
from sandbox_workers import TestSuite


def problem(suite, task_id="t/1"):
    return Problem(task_id, "Do <f>.", "f", suite, ("def f(x):\n    return x",), "train", difficulty=2)


@pytest.mark.parametrize(
    ("suite", "tests"),
    [
        (
            TestSuite(tests=("assert f([3]) == [1, 3]", "assert f(1) < 2\n")),
            [TestText("f([3])", "[1, 3]"), TestText("assert f(1) < 2", "")],
        ),
        (TestSuite("call", cases=(((1, "a"), None),), entry_point="f"), [TestText("f(1, 'a')", "None")]),
        (TestSuite("stdio", cases=(("1 2\n", "3\n"),)), [TestText("1 2\n", "3\n")]),
    ],
)
def test_tests_are_split_into_what_is_given_and_what_is_expected(tmp_path, suite, tests):
    write_problems(tmp_path / "run", [problem(suite), problem(suite, "t/2")])
    found = read_problems(tmp_path / "run")
    assert list(found) == ["t/1", "t/2"] and list(found["t/1"].tests) == tests
    assert found["t/2"].prompt == "Do <f>." and found["t/2"].difficulty == 2


def test_a_run_without_the_file_has_no_problems_and_a_broken_one_is_named(tmp_path):
    assert read_problems(tmp_path) == {}
    (tmp_path / "problems.jsonl").write_text('{"task_id": 1}\n')
    with pytest.raises(DataError, match=r"problems\.jsonl"):
        read_problems(tmp_path)
