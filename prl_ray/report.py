"""``report.md`` of a run folder: results, curves, time, sampled programs and the configuration.

Reads ``config.yaml``, ``metrics.jsonl``, ``evaluation.json`` and ``samples/``; missing parts are left out, so it also
works for an unfinished run: ``python -m prl_ray.report runs/NAME``.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.evaluation_record import Evaluation
from prl_ray.tracking.charts import CHARTS
from prl_ray.tracking.evaluation_tables import evaluation_tables, gain_lines, read_evaluation
from prl_ray.tracking.line_chart import line_chart, sparkline
from prl_ray.tracking.metrics_file import Record, read_records, replace_text
from prl_ray.tracking.progress import duration
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.tracking.samples import COLUMNS, SampledProgram, sampled_programs, spread
from prl_ray.view.anatomy import anatomy
from prl_ray.view.export import export
from prl_ray.view.history import History
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
    runs = Runs([folder])
    history = next(iter(runs.all())).history
    history.refresh()
    sections = [
        f"# {folder.resolve().name}",
        "[The pages of this run](report.html) show every line of its newest samples; "
        f"`python -m prl_ray.view {folder}` shows all of them.",
        _evaluation_section(evaluation),
        _curves_section(folder, records),
        _timing_section(history),
        _samples_section(folder / "samples"),
        _config_section(folder / "config.yaml"),
    ]
    path = folder / "report.md"
    replace_text(path, "\n\n".join(section for section in sections if section) + "\n")
    export(runs, folder / "report.html", EXPORTED_SAMPLES)
    return path


def _evaluation_section(evaluation: Evaluation | None) -> str:
    if not evaluation:
        return ""
    where = f"{evaluation.get('n_problems', '?')} held-out problems ({evaluation['problems']}, {evaluation['split']})"
    parts = ["## pass@k", f"{where}; percent ± standard error."]
    gains = [f"- {line}" for line in gain_lines(evaluation)]
    for title, columns, rows in evaluation_tables(evaluation):
        parts += [f"{title}:"] if title else []
        parts.append(_markdown(columns, rows))
        if not title and gains:
            parts.append("\n".join(gains))
    return "\n\n".join(parts)


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


def _timing_section(history: History) -> str:
    parts = []
    if history.stage_seconds:
        parts.append(_markdown(["stage", "time"], [[name, duration(s)] for name, s in history.stage_seconds.items()]))
    steps, phases = history.curves.get("timing_s/step"), anatomy(history)["phases"]
    if steps:
        parts.append(f"{len(steps.values)} PPO steps, {duration(sum(steps.values))} in all. Phases may overlap.")
        largest = sorted(phases, key=lambda phase: -phase["seconds"])
        rows = [
            [p["label"], f"{p['median']:.2f}", f"{p['seconds']:.1f}", f"{p['share']:.1%}", f"`{p['setting']}`"]
            for p in largest
        ]
        rows.append(["**step**", f"{statistics.median(steps.values):.2f}", f"{sum(steps.values):.1f}", "", ""])
        parts.append(_markdown(["phase", "median s", "sum s", "share", "what moves it"], rows))
    return "\n\n".join(["## Time", *parts]) if parts else ""


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
