"""Pictures of the viewer's pages for the documentation: ``docs/images/viewer-PAGE.png``.

python tools/screenshots.py runs/NAME        # of a real run
python tools/screenshots.py --demo           # of the run that comes with the package
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from prl_ray.tracking.sample_store import SampleStore  # noqa: E402
from prl_ray.view.demo import unpack_demo  # noqa: E402
from tools.browser import browser, missing, picture, visit  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 300_000
HEIGHTS = {"overview": 1150, "sample": 1250, "tree": 800, "locator": 1000}
"""Pixels; 860 where nothing is said."""


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    if absent := missing():
        raise SystemExit(f"error: {absent}")
    if not options.demo and options.run is None:
        parser.error("name a run, or --demo")
    with tempfile.TemporaryDirectory() as folder:
        run = unpack_demo(Path(folder)) / "demo" if options.demo else options.run.resolve()
        take(run)


def take(run: Path) -> None:
    """Pictures of all pages of one run."""
    command = [sys.executable, "-m", "prl_ray.view", str(run), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base = process.stdout.readline().split(" at ")[1].split(" ")[0]
            with browser(1180, 860) as driver:
                for page, address in addresses(run).items():
                    visit(driver, base + address)
                    path = IMAGES / f"viewer-{page}.png"
                    picture(driver, path, HEIGHTS.get(page, 860))
                    size = path.stat().st_size
                    print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
                    if size > LARGEST:
                        raise SystemExit(f"error: {path} is larger than {LARGEST} bytes")
        finally:
            process.terminate()


def addresses(run: Path) -> dict[str, str]:
    """The pages, on the mixed group with most lines executed of the newest step that has one."""
    step, row, task = telling_sample(SampleStore(run / "samples"))
    name = quote(run.name)
    return {
        "runs": "#/runs",
        "compare": f"#/compare?runs={name}",
        **{
            page: f"#/{page}?run={name}" for page in ("overview", "problems", "samples", "locator", "labels", "cluster")
        },
        "problem": f"#/problem?run={name}&task={quote(task, safe='')}",
        "tree": f"#/tree?run={name}&step={step}&task={quote(task, safe='')}",
        "sample": f"#/sample?run={name}&step={step}&row={row}",
    }


def telling_sample(store: SampleStore) -> tuple[int, int, str]:
    """Step, row and problem of a failure in a mixed group, with a known first wrong line where there is one."""
    found = (-1, 0, 0, "")
    for step in store.steps():
        columns = ["task_id", "group_kind", "status", "wrong_line", "error_line", "line_ends"]
        for row, sample in enumerate(store.read(step, columns).to_pylist()):
            failed = sample["status"] == "wrong_answer"
            worth = 4 * (failed and sample["wrong_line"] is not None) + 2 * (sample["group_kind"] == "mixed") + failed
            found = max(found, (worth, step, row, sample["task_id"]))
    return found[1], found[2], found[3]


if __name__ == "__main__":
    main()
