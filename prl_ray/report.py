"""``report.md`` of a run folder: results, curves, time, sampled programs and the configuration.

Reads ``config.yaml``, ``metrics.jsonl``, ``evaluation.json`` and ``samples/``; parts that do not exist yet are left
out, so it also works for a run that has not finished: ``python -m prl_ray.report runs/NAME``.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.evaluation_record import Evaluation, PolicyFigures
from prl_ray.tracking.charts import CHARTS
from prl_ray.tracking.evaluation_tables import (
    POLICIES,
    evaluation_table,
    gain_lines,
    read_evaluation,
    rerank_table,
    rerank_title,
    with_error,
)
from prl_ray.tracking.line_chart import line_chart, sparkline
from prl_ray.tracking.metrics_file import Record, read_records, replace_text
from prl_ray.tracking.progress import duration
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.tracking.samples import COLUMNS, SampledProgram, sampled_programs, spread
from prl_ray.view.export import export
from prl_ray.view.runs import Runs

SHOWN_PROGRAMS = 4
EXPORTED_SAMPLES = 100
"""Samples in ``report.html``."""


def write_report(run_folder: Path) -> Path:
    """Writes ``report.md``, ``plots/*.svg`` and ``report.html`` into the run folder; returns the first one's path.

    ``report.html`` is an export of the viewer's pages, with the newest samples.

    Raises:
        DataError: the folder has nothing to report, or a file in it cannot be read.
    """
    folder = Path(run_folder)
    records = list(read_records(folder / "metrics.jsonl"))
    evaluated = folder / "evaluation.json"
    evaluation = read_evaluation(evaluated) if evaluated.exists() else None
    if not records and not evaluation:
        raise DataError(f"{folder}: neither metrics.jsonl nor evaluation.json has anything to report")
    sections = [
        f"# {folder.resolve().name}",
        "[The pages of this run](report.html) show every line of its newest samples; "
        f"`python -m prl_ray.view {folder}` shows all of them.",
        _evaluation_section(evaluation),
        _curves_section(folder, records),
        _timing_section(records),
        _samples_section(folder / "samples"),
        _config_section(folder / "config.yaml"),
    ]
    path = folder / "report.md"
    replace_text(path, "\n\n".join(section for section in sections if section) + "\n")
    export(Runs([folder]), folder / "report.html", EXPORTED_SAMPLES)
    return path


def _evaluation_section(evaluation: Evaluation | None) -> str:
    if not evaluation:
        return ""
    where = f"{evaluation.get('n_problems', '?')} held-out problems ({evaluation['problems']}, {evaluation['split']})"
    parts = ["## pass@k", f"{where}; percent ± standard error.", _markdown(*evaluation_table(evaluation))]
    if gains := gain_lines(evaluation):
        parts.append("\n".join(f"- {line}" for line in gains))
    parts += [_rerank_section(evaluation), _difficulty_table(evaluation["policies"])]
    parts += [_verdict_table(evaluation["policies"])]
    return "\n\n".join(part for part in parts if part)


def _rerank_section(evaluation: Evaluation) -> str:
    columns, rows = rerank_table(evaluation)
    return f"{rerank_title(evaluation)}:\n\n{_markdown(columns, rows)}" if rows else ""


def _difficulty_table(policies: Mapping[str, PolicyFigures]) -> str:
    levels = sorted({d for p in policies.values() for d in p.get("by_difficulty", {})}, key=lambda d: (len(d), d))
    if not levels:
        return ""
    rows = []
    for level in levels:
        found = [p.get("by_difficulty", {}).get(level) for p in policies.values()]
        n = next((f["n"] for f in found if f and "n" in f), "")
        rows.append([level, str(n), *("" if f is None else with_error(f.get("pass@1"), f.get("se")) for f in found)])
    columns = ["difficulty", "problems", *(POLICIES.get(name, name) for name in policies)]
    return "By difficulty, pass@1:\n\n" + _markdown(columns, rows)


def _verdict_table(policies: Mapping[str, PolicyFigures]) -> str:
    names = list(dict.fromkeys(v for p in policies.values() for v in p.get("verdicts", {})))
    if not names:
        return ""
    rows = [[POLICIES.get(n, n), *(str(p.get("verdicts", {}).get(v, 0)) for v in names)] for n, p in policies.items()]
    return "Verdicts:\n\n" + _markdown(["policy", *names], rows)


def _curves_section(folder: Path, records: Sequence[Record]) -> str:
    lines = []
    logged = sorted({key for record in records for key in record.metrics})
    for chart in CHARTS:
        series = _series(records, chart.lines(logged))
        if not series:
            continue
        name, title = chart.name, chart.title
        (folder / "plots").mkdir(exist_ok=True)
        replace_text(folder / "plots" / f"{name}.svg", line_chart(title, series))
        text = [f"{key}: `{sparkline([y for _, y in p])}` {p[0][1]:.4g} → {p[-1][1]:.4g}" for key, p in series.items()]
        lines.append(f"![{title}](plots/{name}.svg)\n\n" + "  \n".join(text))
    return "\n\n".join(["## Curves", *lines]) if lines else ""


def _series(records: Sequence[Record], wanted: Mapping[str, str]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for key, value in record.metrics.items():
            if key in wanted and math.isfinite(value):
                found.setdefault(key, []).append((record.step, value))
    return found


def _timing_section(records: Sequence[Record]) -> str:
    stages = _stage_times(records)
    parts = [_markdown(["stage", "time"], stages)] if stages else []
    steps = [r.metrics for r in records if r.stage == "ppo" and "timing_s/step" in r.metrics]
    if steps:
        total = sum(step["timing_s/step"] for step in steps)
        parts.append(f"{len(steps)} PPO steps, {duration(total)} in all. Phases may overlap.")
        parts.append(_markdown(["phase", "median s", "sum s", "share of the steps"], _phase_times(steps, total)))
    return "\n\n".join(["## Time", *parts]) if parts else ""


def _stage_times(records: Sequence[Record]) -> list[list[str]]:
    """Wall time of each stage, from its metric ``timing_s/stage``."""
    seconds: dict[str, float] = {}
    for record in records:
        for key, value in record.metrics.items():
            if key.endswith("timing_s/stage"):
                seconds[record.stage] = seconds.get(record.stage, 0.0) + value
    return [[stage, duration(s)] for stage, s in seconds.items()]


def _phase_times(steps: Sequence[Mapping[str, float]], total: float) -> list[list[str]]:
    phases = {key for step in steps for key in step if key.startswith("timing_s/") and key != "timing_s/step"}
    spent = {phase: [step[phase] for step in steps if phase in step] for phase in phases}
    rows = []
    for phase, seconds in sorted(spent.items(), key=lambda item: (-sum(item[1]), item[0])):
        share = f"{sum(seconds) / total:.1%}" if total else ""
        rows.append([phase.removeprefix("timing_s/"), *_median_and_sum(seconds), share])
    return [*rows, ["**step**", *_median_and_sum([step["timing_s/step"] for step in steps]), ""]]


def _median_and_sum(seconds: Sequence[float]) -> tuple[str, str]:
    return f"{statistics.median(seconds):.2f}", f"{sum(seconds):.1f}"


def _samples_section(folder: Path) -> str:
    store = SampleStore(folder)
    steps = store.steps()
    if not steps:
        return ""
    parts = []
    for step in dict.fromkeys([steps[0], steps[-1]]):
        table = store.read(step, COLUMNS)
        programs = sampled_programs(table.take(spread(len(table), SHOWN_PROGRAMS)))
        parts += [f"### Step {step}", *(_program_block(program) for program in programs)]
    return "\n\n".join(["## Sampled programs", "Each line is preceded by its score and its reward.", *parts])


def _program_block(program: SampledProgram) -> str:
    lines = []
    for line in program.lines:
        score = "" if line.score is None else f"{line.score:.2f}"
        reward = "" if line.reward is None else f"{line.reward:+.3f}"
        first, *rest = line.text.split("\n")
        lines += [f"{score:>5} {reward:>7} │ {first}", *(f"{'':13} │ {more}" for more in rest)]
    tests = f"{program.passed} of {program.total} tests"
    head = f"`{program.task_id}`: {program.status}, {tests}, reward {program.reward:+.3f}"
    fence = "````" if any("```" in line.text for line in program.lines) else "```"
    return f"{head}\n\n{fence}text\n" + "\n".join(lines) + f"\n{fence}"


def _config_section(path: Path) -> str:
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8").strip()
    return f"## Configuration\n\n<details><summary>config.yaml</summary>\n\n```yaml\n{text}\n```\n\n</details>"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(columns), ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main(arguments: Sequence[str]) -> int:
    """``python -m prl_ray.report RUN_FOLDER…``"""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\nusage: python -m prl_ray.report RUN_FOLDER…")
        return 0 if arguments else 2
    for folder in arguments:
        print(write_report(Path(folder)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DataError as problem:
        sys.exit(f"error: {problem}")
