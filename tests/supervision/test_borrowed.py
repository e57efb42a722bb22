import random

from prl_ray.problems import Problem, load_problems
from prl_ray.supervision.borrowed import BorrowingTeachers
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.labeller import label_problems
from prl_ray.supervision.llm import MixedTeachers
from prl_ray.supervision.local import LocalExecution
from prl_ray.supervision.rules import RuleTeachers
from sandbox_workers import TestSuite


def problem(name: str, body: str) -> Problem:
    prefix = "def f(xs):\n"
    suite = TestSuite("assert", tests=("assert f([]) == []",))
    return Problem(name, "p", "f", suite, (prefix + body,), "train", code_prefix=prefix)


OWN = problem("own", "    xs = sorted(xs)\n    n = sum(xs)\n    return n")
OTHER = problem("other", "    xs = xs[1:]\n    n = len(xs)\n    xs = [x + n for x in xs]\n    return xs")


def test_lines_are_borrowed_where_they_fit() -> None:
    teacher = BorrowingTeachers([OWN, OTHER]).teach(OWN, OWN.references[0], set())
    found = teacher.propose("mutation", 10, random.Random(0))
    programs = {variant.program.removeprefix("def f(xs):\n") for variant in found.variants}
    # "xs = [x + n …]" reads n, which has no value on the first line; a return gives no variable a value
    assert programs == {
        "    xs = xs[1:]\n    n = sum(xs)\n    return n",
        "    xs = sorted(xs)\n    n = len(xs)\n    return n",
    }
    assert {variant.difference.line for variant in found.variants} == {1, 2}
    assert not teacher.propose("mutation", 10, random.Random(0)).variants  # nothing is proposed twice
    assert not teacher.propose("refactoring", 10, random.Random(0)).variants


def test_a_borrowed_line_is_labelled_by_execution(execution: LocalExecution) -> None:
    problems = load_problems("composed", split="train", limit=12, seed=3, min_difficulty=2, max_difficulty=4)
    teachers = MixedTeachers(BorrowingTeachers(problems), RuleTeachers({}), 1.0)
    report = label_problems(problems, LabelConfig(), execution.verify, execution.call, teachers=teachers)
    borrowed = [row for row in report.rows if row.operator.endswith("borrowed_line")]
    assert len(borrowed) >= 12
    for row in borrowed:
        assert not row.passed and row.line_labels[row.changed_line] == 0
        assert 0 not in row.line_labels[: row.changed_line]
