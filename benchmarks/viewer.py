"""How fast the run viewer is on a large run, and what writing the samples costs. Result: ``viewer.json``.

A synthetic run of 1,000 steps × 1,000 samples is written by the run's own writers. A server in a process of its own
answers; each page is asked with parameters that change. The writer's share is its seconds over those of the steps of a
real run, from its ``metrics.jsonl``.

    python benchmarks/viewer.py --run runs/smoke
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import ROOT, write_result
from benchmarks._synthetic_run import Size, write_run
from prl_ray.tracking.metrics_file import read_records
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.view.export import export
from prl_ray.view.runs import Runs

REPEATS = 12


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a real run, for the writer's share of a step")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the synthetic run is written; default: a temporary folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="viewer-", dir=options.folder))
    try:
        size = Size(steps=options.steps)
        (folder / "synthetic").mkdir()
        writer_s = write_run(folder / "synthetic", size)
        pages, first_s, megabytes = measure(folder, size)
        (folder / "only").mkdir()
        export_mb = export(Runs([folder / "synthetic"]), folder / "only" / "page.html", 500) / 1e6
        disk = sum(path.stat().st_size for path in (folder / "synthetic" / "samples").iterdir()) / 1e6
    finally:
        shutil.rmtree(folder)
    share, steps, samples = writer_share(options.run)
    page_ms = {name: 1000 * statistics.median(seconds) for name, seconds in pages.items()}
    write_result(
        "viewer",
        headline={
            "first_page_s": round(first_s, 2),
            "page_ms": round(max(page_ms.values()), 1),
            "server_mb": round(megabytes),
            "writer_share": round(share, 4),
            "export_mb": round(export_mb, 1),
        },
        config={
            "steps": size.steps,
            "samples_a_step": size.prompts * size.samples,
            "problems": size.problems,
            "different_step_files": size.varieties,
            "export_samples": 500,
            "writer_share_of": {"steps": steps, "samples_a_step": samples},
        },
        repeats=[
            {
                "page_ms": {name: round(ms, 1) for name, ms in page_ms.items()},
                "writer_s_a_step": round(statistics.median(writer_s), 3),
                "stored_mb": round(disk),
            }
        ],
    )


def measure(folder: Path, size: Size) -> tuple[dict[str, list[float]], float, float]:
    """Seconds of each page's answers, seconds of the first page with all files, and the server's largest MB.

    The first page is asked for as soon as the server says where it is: nothing of the run has been read then.
    """
    store = SampleStore(folder / "synthetic" / "samples")
    tasks = [row["prompts"][0][0] for row in store.summaries()[:: max(1, size.steps // 40)]]
    rng = np.random.default_rng(0)
    with server(folder) as (address, process):
        start = time.perf_counter()
        for file in ("", "static/main.js", "static/style.css", "static/plotly.min.js", "api/runs"):
            fetch(address, file)
        first_s = time.perf_counter() - start
        pages: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            step = int(rng.integers(size.steps))
            task = str(rng.choice(tasks))
            row = int(rng.integers(size.prompts * size.samples))
            own = store.summaries()[step]["prompts"][0][0]
            asked: dict[str, dict[str, object]] = {
                "runs": {},
                "overview": {},
                "problems": {"sort": str(rng.choice(["hardest", "improved", "name"])), "page": int(rng.integers(10))},
                "problem": {"task": task},
                "tree": {"step": step, "task": own},
                "samples": {"step": step, "page": int(rng.integers(10))},
                "sample": {"step": step, "row": row},
                "locator": {"sort": str(rng.choice(["size", "surprise"]))},
                "labels": {},
                "cluster": {},
                "compare": {},
            }
            for page, query in asked.items():
                run = {"runs": {}, "compare": {"runs": "synthetic"}}.get(page, {"run": "synthetic"})
                begin = time.perf_counter()
                fetch(address, f"api/{page}?{urlencode({**run, **query})}")
                pages.setdefault(page, []).append(time.perf_counter() - begin)
        return pages, first_s, resident_mb(process.pid)


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A viewer in a process of its own."""
    command = [sys.executable, "-m", "prl_ray.view", str(folder), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split(" at ")[1].split(" ")[0], process
        finally:
            process.terminate()


def fetch(address: str, path: str) -> bytes:
    """The body of an answer, as a browser asks for it."""
    with urlopen(Request(address + path, headers={"Accept-Encoding": "gzip"}), timeout=60) as response:
        body: bytes = response.read()
    return body


def resident_mb(pid: int) -> float:
    """Largest resident memory of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def writer_share(run: Path) -> tuple[float, int, int]:
    """The writer's seconds over those of the steps of a real run, its steps, and samples a step."""
    rows = [r.metrics for r in read_records(run / "metrics.jsonl") if "timing_s/write_samples" in r.metrics]
    rows = rows[1:] or rows  # the first write loads pyarrow
    spent = sum(row["timing_s/write_samples"] for row in rows)
    samples = SampleStore(run / "samples").summaries()[-1]["samples"]
    return spent / sum(row["timing_s/step"] for row in rows), len(rows), samples


if __name__ == "__main__":
    main()
