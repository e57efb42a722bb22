"""The result of a labelling run: rows, and tables of each operator's variants and their verdicts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from prl_ray.supervision.rows import NEGATIVE, POSITIVE, LabelledProgram
from prl_ray.supervision.teacher import Proposals

COLUMNS = (
    "candidates",
    "proposed",
    "executed",
    "killed",
    "crashed",
    "survived",
    "positive",
    "negative",
    "unknown",
    "kept",
    "duplicate",
    "invalid",
    "in_prefix",
    "sandbox_error",
    "recovered",
)
"""Columns of the operator table. ``executed = killed + survived + sandbox_error``; ``crashed`` is part of ``killed``;
``positive``, ``negative`` and ``unknown`` count labels (``recovered``: by second thoughts, see ``rounds``), ``kept``
the rows within the budget."""

DROPS = (
    "failed",
    "cut",
    "unparsed",
    "several_lines",
    "elsewhere",
    "unchanged",
    "invalid",
    "duplicate",
    "in_prefix",
)
"""Reasons why an answer of a language model gives no variant: the request failed; the answer was truncated by the
length limit, had no line, had several lines for a mutation, or changed other lines; the program stayed the same, does
not parse, was proposed before, or changed inside the given prefix. ``asked = proposed + `` these."""
COSTS = ("requests", "retried", "failed", "cached", "prompt_tokens", "completion_tokens")
"""Cost of a language model: HTTP requests or prompts of our engines, repeated and failed ones, answers from the cache
on disk (free), and input and output tokens."""


@dataclass(slots=True)
class LabelReport:
    """The result of ``label_problems``."""

    rows: list[LabelledProgram] = field(default_factory=list)
    table: dict[str, Counter[str]] = field(default_factory=dict)
    """Operator (or ``truncation``, ``reference``) -> counts; see ``COLUMNS``."""
    problems: dict[str, Counter[str]] = field(default_factory=dict)
    """Task -> counts of rows, positive and negative lines, and executed, killed and surviving variants."""
    notes: Counter[str] = field(default_factory=Counter)
    """Number of problems and programs without a row, by reason."""
    forced_failures: int = 0
    """Number of programs broken on purpose that failed, as they must."""
    cost: Counter[str] = field(default_factory=Counter)
    """Cost of a language model as teacher, see ``COSTS``; empty without one."""

    def add(self, operator: str, task_id: str, what: str, by: int = 1) -> None:
        """Increments a count of an operator and of a problem."""
        self.table.setdefault(operator, Counter())[what] += by
        self.problems.setdefault(task_id, Counter())[what] += by

    def take(self, task_id: str, proposals: Proposals) -> None:
        """Adds the counts of a teacher's proposals for a problem."""
        self.cost.update(proposals.cost)
        for operator, counts in proposals.counts.items():
            for what, count in counts.items():
                self.add(operator, task_id, what, count)

    def merge(self, other: LabelReport) -> None:
        """Adds another report."""
        self.rows += other.rows
        self.notes += other.notes
        self.cost.update(other.cost)
        self.forced_failures += other.forced_failures
        for mine, theirs in ((self.table, other.table), (self.problems, other.problems)):
            for key, counts in theirs.items():
                mine.setdefault(key, Counter()).update(counts)

    @property
    def totals(self) -> dict[str, int]:
        """Numbers of rows, problems, label kinds (line labels; ends apart) and verdicts."""
        lines = Counter(label for row in self.rows for label in row.line_labels[:-1])
        ends = Counter(row.line_labels[-1] for row in self.rows)
        changed = Counter(row.line_labels[row.changed_line] for row in self.rows if row.changed_line >= 0)
        executed: Counter[str] = Counter()
        for counts in self.table.values():
            executed.update({key: counts[key] for key in ("executed", "killed", "survived", "unknown")})
        return {
            "problems": len({row.task_id for row in self.rows}),
            "rows": len(self.rows),
            "positive_lines": lines[POSITIVE],
            "negative_lines": lines[NEGATIVE],
            "positive_changed": changed[POSITIVE],
            "negative_changed": changed[NEGATIVE],
            "positive_ends": ends[POSITIVE],
            "negative_ends": ends[NEGATIVE],
            **executed,
        }

    @property
    def llm_yield(self) -> dict[str, Counter[str]]:
        """The operator table's rows of a language model."""
        return {name: counts for name, counts in sorted(self.table.items()) if name.startswith("llm_")}

    def llm_markdown(self) -> str:
        """A table of a language model's answers: the number that became variants, and why the others were dropped."""
        columns = ("asked", "proposed", "executed", "killed", "survived", "kept", *DROPS)
        lines = ["| " + " | ".join(("operator", *columns)) + " |", "|" + "---|" * (len(columns) + 1)]
        for name, counts in self.llm_yield.items():
            lines.append("| " + " | ".join([name, *(str(counts[c]) for c in columns)]) + " |")
        return "\n".join(lines)

    def llm_summary(self) -> str:
        """The same for a terminal: one line per operator and one with the cost; empty without a language model."""
        lines = []
        for name, counts in self.llm_yield.items():
            dropped = ", ".join(f"{counts[why]} {why}" for why in DROPS if counts[why])
            became = ", ".join(f"{counts[what]} {what}" for what in ("executed", "killed", "survived", "kept"))
            lines.append(f"{name}: {counts['asked']} asked, {became}" + (f"; dropped: {dropped}" if dropped else ""))
        if self.cost:
            lines.append("cost: " + ", ".join(f"{self.cost[what]} {what.replace('_', ' ')}" for what in COSTS))
        return "\n".join(lines)

    def markdown(self) -> str:
        """The operator table, sorted by killed variants."""
        head = ("operator", *COLUMNS[1:10], "survival")
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for name, counts in sorted(self.table.items(), key=lambda item: (-item[1]["killed"], item[0])):
            decided = counts["killed"] + counts["survived"]
            survival = f"{counts['survived'] / decided:.0%}" if decided else ""
            lines.append("| " + " | ".join([name, *(str(counts[c]) for c in COLUMNS[1:10]), survival]) + " |")
        return "\n".join(lines)
