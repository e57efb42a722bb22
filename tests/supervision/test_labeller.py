"""Labels by execution, on real problems in the real sandbox."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from prl_ray.errors import ConfigError, DataError
from prl_ray.lines import Unit, segment
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision import (
    LabelConfig,
    LabelReport,
    canonical,
    in_units,
    label_problems,
    load_facts,
    load_labels,
    save_labels,
    stepwise,
)
from prl_ray.supervision.local import LocalExecution, label_in_processes
from prl_ray.supervision.operators import OPERATORS
from sandbox_workers import Status, TestSuite, Verdict

CONFIG = LabelConfig(variants_per_problem=6, truncations_per_problem=2, chunk=4)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return load_problems("composed", split="train", limit=8)


@pytest.fixture(scope="module")
def report(execution: LocalExecution, problems: list[Problem]) -> LabelReport:
    return label_problems(problems, CONFIG, execution.verify, execution.call)


def test_every_label_is_what_execution_says(
    report: LabelReport, problems: list[Problem], execution: LocalExecution
) -> None:
    suites = {problem.task_id: problem.tests for problem in problems}
    verdicts = list(execution.verify([(row.program, suites[row.task_id]) for row in report.rows]))
    for row, verdict in zip(report.rows, verdicts, strict=True):
        assert row.passed == verdict.ok and row.status == str(verdict.status)
        assert len(row.line_labels) == len(segment(row.program)) + 1
        labelled = [label for label in row.line_labels if label >= 0]
        assert all(labelled) if row.passed else labelled.count(0) == 1
        if not row.passed:
            assert row.line_labels[row.changed_line] == 0
            assert set(row.line_labels[: row.changed_line]) <= {1, -1}
            assert set(row.line_labels[row.changed_line + 1 :]) <= {-1}


def test_rows_are_printed_one_way_and_are_different(report: LabelReport) -> None:
    for row in report.rows:
        if row.operator != "truncation":
            assert canonical(row.program) == row.program
    assert len({(row.task_id, row.program) for row in report.rows}) == len(report.rows)


def test_every_problem_gives_references_variants_and_truncations(report: LabelReport, problems: list[Problem]) -> None:
    for problem in problems:
        rows = [row for row in report.rows if row.task_id == problem.task_id]
        kinds = [row.operator for row in rows]
        assert kinds.count("reference") == 1
        assert 1 <= kinds.count("truncation") <= 2
        assert len(kinds) <= 1 + 2 + 6
    assert any("+" in row.operator for row in report.rows)
    assert report.forced_failures == 2


def test_the_tables_add_up(report: LabelReport) -> None:
    for counts in report.table.values():
        assert counts["executed"] == counts["killed"] + counts["survived"] + counts["sandbox_error"]
        assert counts["executed"] == counts["proposed"]
        assert counts["kept"] <= counts["positive"] + counts["negative"]
        assert counts["executed"] == counts["positive"] + counts["negative"] + counts["unknown"]
    total = sum(counts["kept"] for counts in report.table.values())
    assert len(report.rows) == total + 8
    assert sum(counts["executed"] for counts in report.problems.values()) == report.totals["executed"]
    assert "| truncation |" in report.markdown()


def test_a_problem_does_not_depend_on_its_neighbours(
    report: LabelReport, problems: list[Problem], execution: LocalExecution
) -> None:
    alone = label_problems(problems[5:6], CONFIG, execution.verify, execution.call)
    assert alone.rows == [row for row in report.rows if row.task_id == problems[5].task_id]


def test_processes_find_the_same(report: LabelReport, problems: list[Problem]) -> None:
    told: list[tuple[int, int]] = []
    found = label_in_processes(problems, CONFIG, 2, progress=lambda done, total: told.append((done, total)))
    assert found == report and told == [(4, 8), (8, 8)]


def only(operator: str, program: str, test: str, execution: LocalExecution) -> LabelReport:
    """What one operator's mutations of one program give."""
    problem = Problem("t", "p", "f", TestSuite("assert", tests=(test,)), (program,), "train")
    weights = dict.fromkeys(OPERATORS, 0.0) | {operator: 1.0}
    config = LabelConfig(9, refactoring_share=0, truncations_per_problem=0, max_crash_share=1, weights=weights)
    return label_problems([problem], config, execution.verify)


def test_omissions_blame_the_line_that_misses_them(execution: LocalExecution) -> None:
    program = "def f(x):\n    a = 1\n    b = 2\n    return x + a * b"
    rows = {r.program: r for r in only("statement_deletion", program, "assert f(1) == 3", execution).rows}
    without_a = rows["def f(x):\n    b = 2\n    return x + a * b"]
    assert without_a.line_labels == (1, -1, 0, -1) and without_a.changed_line == 2
    without_return = rows["def f(x):\n    a = 1\n    b = 2"]
    assert without_return.line_labels == (1, 1, 1, 0) and without_return.changed_line == 3


def test_an_omission_that_can_be_made_good_is_no_label(execution: LocalExecution) -> None:
    program = "def f(x):\n    x = x + 1\n    b = 2\n    return x * b"
    report = only("statement_deletion", program, "assert f(1) == 4", execution)
    assert report.table["statement_deletion"]["recovered"] == 1
    assert "def f(x):\n    b = 2\n    return x * b" not in {row.program for row in report.rows}


def test_a_turned_condition_blames_what_it_guards(execution: LocalExecution) -> None:
    program = "def f(x):\n    if x > 1:\n        return 1\n    return x"
    report = only("negated_condition", program, "assert (f(3), f(0)) == (1, 0)", execution)
    assert [row.line_labels for row in report.rows] == [(1, 1, 1, 1, 1), (1, -1, 0, -1, -1)]
    program = "def f(x):\n    if x > 1:\n        x = 1\n    return x"
    report = only("negated_condition", program, "assert (f(3), f(0)) == (1, 0)", execution)
    assert [row.line_labels for row in report.rows] == [(1, 1, 1, 1, 1), (1, 0, -1, -1, -1)]


def test_another_variable_is_wrong_only_if_it_is_needed(execution: LocalExecution) -> None:
    program = "def f(x, y):\n    x = x + 1\n    return x * 2"
    report = only("wrong_target", program, "assert f(1, 1) == 4", execution)
    assert [row.operator for row in report.rows] == ["reference"]
    program = "def f(x, y):\n    x = x + 1\n    return x * y"
    report = only("wrong_target", program, "assert f(2, 4) == 12", execution)
    assert [row.line_labels for row in report.rows] == [(1, 1, 1, 1), (1, 0, -1, -1)]


def passes_everything(items: Sequence[tuple[str, TestSuite]]) -> list[Verdict]:
    return [Verdict(Status.PASSED, suite.total, suite.total) for _, suite in items]


def test_a_verifier_that_runs_nothing_is_found_out(problems: list[Problem]) -> None:
    with pytest.raises(DataError, match="does not run"):
        label_problems(problems, CONFIG, passes_everything)


def test_lost_verdicts_are_an_error(problems: list[Problem]) -> None:
    with pytest.raises(DataError, match="verdicts came back"):
        label_problems(problems, CONFIG, lambda items: passes_everything(items)[1:])


def test_sandbox_errors_are_tried_again_and_never_labelled(problems: list[Problem], execution: LocalExecution) -> None:
    calls = {"broken": 0}

    def flaky(items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        for i, verdict in enumerate(execution.verify(items)):
            if len(items) > 3 and i % 3 == 1:  # the first, large batches lose a third
                calls["broken"] += 1
                yield Verdict(Status.SANDBOX_ERROR)
            else:
                yield verdict

    kept = label_problems(problems[:2], LabelConfig(4, retries=9), flaky).rows
    assert calls["broken"] and all(row.status != "sandbox_error" for row in kept)
    once = label_problems(problems[:2], LabelConfig(4, retries=0), flaky)
    assert sum(counts["sandbox_error"] for counts in once.table.values()) > 0
    assert all(row.status != "sandbox_error" for row in once.rows)


def test_wrong_references_are_left_out(problems: list[Problem], execution: LocalExecution) -> None:
    wrong = Problem("w", "p", "f", problems[0].tests, ("def f(*a):\n    return 'no'", "def f(:"), "train")
    report = label_problems([wrong, problems[0]], CONFIG, execution.verify)
    assert {row.task_id for row in report.rows} == {problems[0].task_id}
    assert report.notes["reference: wrong_answer"] == 1 and report.notes["reference: does not parse"] == 1
    with pytest.raises(DataError, match="no problem gave"):
        label_problems([wrong], CONFIG, execution.verify)


def test_bad_config_is_refused() -> None:
    for bad in ({"max_crash_share": 2.0}, {"after_error": "maybe"}, {"weights": {"no_such": 1.0}}, {"chunk": 0}):
        with pytest.raises(ConfigError):
            LabelConfig(**bad)  # type: ignore[arg-type]


def test_labels_survive_the_disk(report: LabelReport, tmp_path: Path) -> None:
    folder = save_labels(tmp_path / "labels", report, CONFIG, problems="composed")
    assert load_labels(folder) == report.rows
    facts = load_facts(folder)
    assert facts["totals"]["rows"] == len(report.rows) and facts["config"]["seed"] == 0
    assert facts["facts"] == {"problems": "composed"}
    save_labels(folder, report, CONFIG)  # replaces
    assert load_labels(folder) == report.rows
    with pytest.raises(DataError, match="no labelled programs"):
        load_labels(tmp_path)


def test_datasets_opens_the_folder(report: LabelReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = save_labels(tmp_path / "labels", report, CONFIG)
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == len(report.rows)
    assert tuple(loaded[0]["line_labels"]) == report.rows[0].line_labels


@pytest.mark.parametrize("unit", ["line", "block"])
def test_stepwise_export(report: LabelReport, unit: Unit) -> None:
    rows = [in_units(row, unit) for row in report.rows]
    rows = [row for row in rows if any(label >= 0 for label in row.line_labels)]
    records = stepwise(report.rows, end="<end>", unit=unit)
    assert len(records) == len(rows)
    for row, record in zip(rows, records, strict=True):
        text = "\n".join(record["completions"])
        assert row.program[len(row.code_prefix) :].startswith(text.removesuffix("<end>").rstrip("\n"))
        assert len(record["completions"]) == len(record["labels"])
        assert record["labels"] == [bool(label) for label in row.line_labels if label >= 0][: len(record["labels"])]
        assert (record["completions"][-1] == "<end>") == (row.line_labels[-1] >= 0)


def test_a_stopped_run_goes_on_where_it_was(
    report: LabelReport, problems: list[Problem], execution: LocalExecution, tmp_path: Path
) -> None:
    batches = []

    def counted(items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        batches.append(len(items))
        return execution.verify(items)

    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        label_problems(problems, CONFIG, counted, execution.call, stop, store=tmp_path)
    first = len(batches)
    again = label_problems(problems, CONFIG, counted, execution.call, store=tmp_path)
    assert again == report
    assert 0 < len(batches) - first < 2 * first
    label_problems(problems, CONFIG, passes_everything, execution.call, store=tmp_path)  # all of it is there
    with pytest.raises(DataError):
        label_problems(problems, LabelConfig(3, chunk=4), passes_everything, execution.call, store=tmp_path)
