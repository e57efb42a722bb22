"""Which families of models are right in which properties, as the tests of ``tests/families`` find them.

A family is right where all its properties are; refused kinds are refused with one message at the start. What an engine
serves is not looked at here: every load and every push is proved at run time instead (see ``Generator``).

  python benchmarks/families.py
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, write_result

PROPERTIES = {
    "test_logprobs_are_the_models_own[short]": "log-probabilities",
    "test_logprobs_are_the_models_own[beyond the window]": "beyond the window",
    "test_gradients_are_the_models_own": "gradients",
    "test_reward_models_of_every_family_are_saved_and_loaded": "reward model",
}
REFUSED = "test_refused_with_one_message"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    table, refused = outcomes(ROOT / "tests" / "families")
    rows = [
        {"family": family, "right": all(found.values()), "properties": found} for family, found in sorted(table.items())
    ]
    right = sum(row["right"] is True for row in rows)
    headline = {"families": len(rows) + len(refused), "right": right, "refused": sum(refused.values())}
    headline["wrong"] = headline["families"] - right - headline["refused"]
    rows += [{"family": kind, "right": False, "refused": said} for kind, said in sorted(refused.items())]
    config = {"command": "python benchmarks/families.py", "properties": list(PROPERTIES.values())}
    print(headline, write_result("families", headline, config, rows, folder=options.results))


def outcomes(tests: Path) -> tuple[dict[str, dict[str, bool]], dict[str, bool]]:
    """``family -> property -> passed``, and ``refused kind -> passed``, by pytest's own report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", str(tests)]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    table: dict[str, dict[str, bool]] = defaultdict(dict)
    refused: dict[str, bool] = {}
    for case in cases:
        name, passed = case.attrib["name"], not list(case)
        test, _, given = name.partition("[")
        found = given.rstrip("]")
        if test == REFUSED:
            refused[re.sub(r"^config\d+-", "", found)] = passed
            continue
        family, variant = found, ""
        for known in ("short", "beyond the window"):
            if found.endswith(known):
                family, variant = found.removesuffix(known).rstrip("-"), f"[{known}]"
            elif found.startswith(known):
                family, variant = found.removeprefix(known).lstrip("-"), f"[{known}]"
        table[family][PROPERTIES[test + variant]] = passed
    return dict(table), refused


if __name__ == "__main__":
    main()
