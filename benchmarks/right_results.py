"""Do the kinds of fault that users of other trainers report stay mended? One test module per kind.

``kinds`` counts the modules of ``tests/right_results``, ``right`` those whose tests all pass; a skipped test makes its
kind not right, since nothing was shown. ``--after RUN_FOLDER`` also stores the main job's figures before and after
these faults were mended, at the same seed: before is the stored ``main_job_line_rewards``, after is a finished run
folder of ``python -m prl_ray.train +cluster=local reward=process_mean``. Without it the stored comparison is kept.

  python benchmarks/right_results.py
  python benchmarks/right_results.py --after runs/smollm2-composed-process_mean
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, read_result, write_result
from benchmarks._runs import figures

TESTS = ROOT / "tests" / "right_results"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--after", type=Path, help="finished run folder of the main job with the code as it is now")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = [measured(module) for module in sorted(TESTS.glob("test_*.py"))]
    headline = {"kinds": len(rows), "right": sum(row["right"] for row in rows)}
    config: dict[str, Any] = {"command": "python benchmarks/right_results.py"}
    if compared := before_and_after(options.after) if options.after else stored_comparison(options.results):
        config["main_job"] = compared
    print(headline, write_result("right_results", headline, config, rows, folder=options.results))
    for row in rows:
        if not row["right"]:
            print(f"not right: {row['kind']} ({row['failed']} failed, {row['skipped']} skipped of {row['tests']})")


def stored_comparison(folder: Path) -> dict[str, Any] | None:
    """The main job's figures of the stored result; None if there are none."""
    if not (folder / "right_results.json").exists():
        return None
    found: dict[str, Any] | None = read_result("right_results", folder)["config"].get("main_job")
    return found


def measured(module: Path) -> dict[str, Any]:
    """The outcome of one module's tests, by pytest's own report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", str(module)]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    tests, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or module.stem
    return {
        "kind": module.stem.removeprefix("test_"),
        "promise": docstring.splitlines()[0],
        "tests": tests,
        "failed": failed,
        "skipped": skipped,
        "right": tests > 0 and failed == skipped == 0,
    }


def before_and_after(run: Path) -> dict[str, Any]:
    """pass@1 of the policies and the gain of PPO, before and after, at the same seed."""
    stored = read_result("main_job_line_rewards")
    before = stored["repeats"][0]
    after = figures(run)
    return {
        "before": {"commit": stored["environment"]["commit"], **_outcome(before)},
        "after": _outcome(after),
    }


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    sampled = {name: values["sampled"]["pass@1"] for name, values in row["policies"].items()}
    gain = row["gain"]["ppo-sft"]["sampled"]
    return {"pass1_sampled": sampled, "gain": gain["gain"], "gain_se": gain["se"], "n_problems": row["n_problems"]}


if __name__ == "__main__":
    main()
