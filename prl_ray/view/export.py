"""The pages of some runs as one HTML file that opens without a server and without a network.

The file holds the page's modules as one script, Plotly, and the answers that the server would give, compressed. Its
content-security policy names the two scripts by their hashes, so that nothing else in it can run.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from urllib.parse import urlencode

from prl_ray.errors import DataError
from prl_ray.tracking.metrics_file import replace_text
from prl_ray.view.answers import answer
from prl_ray.view.compare import MOST
from prl_ray.view.locator import KINDS as LOCATOR_KINDS
from prl_ray.view.locator import SORTS as LOCATOR_SORTS
from prl_ray.view.problems import SORTS
from prl_ray.view.runs import Run, Runs
from prl_ray.view.server import plotly_file, static_files
from prl_ray.view.tree import TREES

MOST_PAIRED = 6
"""Maximum number of runs for which an export has all pairwise comparisons."""

_IMPORT = re.compile(r"^import\s*\{[^}]*\}\s*from\s*\"\./(\w+\.js)\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export \{[^}]*\};\n", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?=function|async|const|let)", re.MULTILINE)
_TOP = re.compile(r"^(?:async )?(?:function|const|let) (\w+)", re.MULTILINE)


def export(runs: Runs, path: Path, most: int) -> int:
    """Writes the file and returns its size in bytes.

    Args:
        runs: The exported runs.
        path: The file; replaced atomically.
        most: Number of newest samples of each run.

    Raises:
        DataError: there is no run.
    """
    shown = runs.all()
    if not shown:
        raise DataError("there is no run to export in the given folders")
    answers = Collected(runs)
    answers.add("runs")
    answers.add_comparisons([run.name for run in shown])
    count = 0
    for number, run in enumerate(shown):
        count += answers.add_run(run, max(0, most - count) // (len(shown) - number))
    about = f"An exported copy: {len(shown)} {'run' if len(shown) == 1 else 'runs'}, the newest {count} samples."
    page = whole_page({"about": about, "answers": answers.found})
    replace_text(path, page)
    return len(page.encode())


class Collected:
    """Answers by address, in the spelling of the page's script."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.found: dict[str, object] = {}

    def add(self, name: str, /, **parameters: str | int) -> None:
        """Adds the answer that the server would give. A page that cannot be made has its error in the file."""
        query = {key: str(value) for key, value in sorted(parameters.items()) if value != ""}
        where = f"{name}?{urlencode(query)}" if query else name
        if where in self.found:
            return
        try:
            self.found[where] = answer(self.runs, name, query)
        except DataError as error:
            self.found[where] = {"error": str(error)}

    def add_comparisons(self, names: Sequence[str]) -> None:
        """Adds each run alone, each pair if there are few runs, and all runs together."""
        pairs = combinations(names, 2) if len(names) <= MOST_PAIRED else ()
        for chosen in (*((name,) for name in names), *pairs, names[:MOST]):
            self.add("compare", runs="/".join(chosen))

    def add_run(self, run: Run, most: int) -> int:
        """Adds all pages of a run, with at most ``most`` of its newest samples; returns their number."""
        run.history.refresh()
        name = run.name
        for page in ("overview", "cluster", "labels", "locator", "problems"):
            self.add(page, run=name)
        for sort in SORTS:
            self.add("problems", run=name, sort=sort, page=0)
        for sort in LOCATOR_SORTS:
            for kind in ("", *LOCATOR_KINDS):
                self.add("locator", run=name, sort=sort, kind=kind)
        return self._add_samples(run, most)

    def _add_samples(self, run: Run, most: int) -> int:
        self.add("samples", run=run.name)
        entries = {entry.step: entry for entry in run.history.samples}
        count = 0
        for step in reversed(run.history.steps()):
            entry = entries.get(step)
            if entry is None or count >= most:
                break
            taken = min(int(entry.samples.sum()), most - count)
            for row in range(taken):
                self.add("sample", run=run.name, step=step, row=row)
            self.add("samples", run=run.name, step=step)
            begun = entry.tasks[entry.samples.cumsum() - entry.samples < taken]
            for task in {run.history.problem_ids[number] for number in begun}:
                self.add("problem", run=run.name, task=task)
                for by in ("", *TREES):
                    self.add("tree", run=run.name, step=step, task=task, by=by)
            count += taken
        return count


def bundle(files: Mapping[str, bytes], entry: str = "main.js") -> str:
    """The modules as one script, each after those that it imports.

    Modules import by name only and have distinct top-level names, so imports and exports can be removed. Raises
    ``ValueError`` if two modules have the same top-level name.
    """
    done: list[str] = []
    owner: dict[str, str] = {}
    parts: list[str] = []

    def take(name: str) -> None:
        if name in done:
            return
        done.append(name)
        text = files[name].decode()
        for needed in _IMPORT.findall(text):
            take(needed)
        text = _EXPORTED.sub("", _EXPORT.sub("", _IMPORT.sub("", text)))
        for top in _TOP.findall(text):
            if top in owner:
                raise ValueError(f"{name} and {owner[top]} both have the top-level name {top}")
            owner[top] = name
        parts.append(text)

    take(entry)
    return '"use strict";\n(() => {\n' + "".join(parts) + "})();\n"


def whole_page(carried: Mapping[str, object]) -> str:
    """The HTML of a file that contains its answers."""
    files = static_files()
    data = json.dumps(carried, allow_nan=False, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
    scripts = [plotly_file().decode(), bundle(files)]
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    for script in scripts:
        if "</script" in script.lower():
            raise ValueError("a script of the page contains the end of its element")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>prl_ray</title>',
            f"<style>{files['style.css'].decode()}</style></head><body>",
            '<header id="header"></header><main id="main" tabindex="-1"><p>Loading …</p></main>',
            f'<script type="application/json" id="data">{packed}</script>',
            *(f"<script>{script}</script>" for script in scripts),
            "</body></html>\n",
        ]
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
