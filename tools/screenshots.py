"""Pictures of the viewer's pages for the documentation: ``docs/images/viewer-PAGE.png``.

python tools/screenshots.py runs/NAME [runs/OTHER …]   # of real runs; the others are for the table of runs
python tools/screenshots.py --demo                     # of the run that comes with the package
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from selenium.webdriver import Chrome

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from prl_ray.tracking.sample_schema import sample_rows  # noqa: E402
from prl_ray.tracking.sample_store import SampleStore  # noqa: E402
from prl_ray.view.demo import unpack_demo  # noqa: E402
from tools.browser import browser, missing, picture, visit  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 150_000
WIDTH, TALLEST = 1460, 1150
TALLER = {"overview": 1850}
COLOURS = 192
"""Of a picture: pages are flat, and their files small with so many."""
DARK = ("cluster",)
"""Pages that are shown dark."""


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--demo", action="store_true")
    options = parser.parse_args()
    if absent := missing():
        raise SystemExit(f"error: {absent}")
    if not options.demo and not options.runs:
        parser.error("name a run, or --demo")
    with tempfile.TemporaryDirectory() as folder:
        take([unpack_demo(Path(folder)) / "demo"] if options.demo else [run.resolve() for run in options.runs])


def take(runs: Sequence[Path]) -> None:
    """Pictures of all pages."""
    command = [sys.executable, "-m", "prl_ray.view", *map(str, runs), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            base = process.stdout.readline().split(" at ")[1].split(" ")[0]
            with browser(WIDTH, 860) as driver:
                for page, address in addresses(runs).items():
                    visit(driver, base + address)
                    set_theme(driver, "dark" if page in DARK else "light")
                    tall = driver.execute_script("return document.querySelector('main').scrollHeight + 60")
                    path = IMAGES / f"viewer-{page}.png"
                    picture(driver, path, min(max(int(tall), 480), TALLER.get(page, TALLEST)))
                    shrink(path)
        finally:
            process.terminate()


def set_theme(driver: Chrome, theme: str) -> None:
    """Presses the button until the page has the theme, and waits for its plots."""
    script = "return document.documentElement.dataset.theme || 'light'"
    if driver.execute_script(script) != theme:
        driver.execute_script("document.querySelector('header button').click()")
        time.sleep(2)


def shrink(path: Path) -> None:
    """Fewer colours; an error where the file is still too large."""
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"error: {path} is larger than {LARGEST} bytes")


def addresses(runs: Sequence[Path]) -> dict[str, str]:
    """Pages of the first run; of all; and those of the sample that tells most, whichever run has it."""
    telling, run = max(
        ((telling_sample(SampleStore(run / "samples")), run) for run in runs), key=lambda pair: pair[0][0]
    )
    _, step, row, task = telling
    first, name, problem = quote(runs[0].name), quote(run.name), quote(task, safe="")
    return {
        "runs": "#/runs",
        "compare": f"#/compare?runs={quote('/'.join(one.name for one in runs), safe='')}",
        **{page: f"#/{page}?run={first}" for page in ("overview", "problems", "labels", "cluster")},
        "samples": f"#/samples?run={name}&step={step}",
        "locator": f"#/locator?run={name}",
        "problem": f"#/problem?run={name}&task={problem}",
        "tree": f"#/tree?run={name}&step={step}&task={problem}",
        "sample": f"#/sample?run={name}&step={step}&row={row}",
    }


def telling_sample(store: SampleStore) -> tuple[int, int, int, str]:
    """How much a sample tells, its step, its row and its problem: of a failure in a mixed group, with a first wrong
    line that execution found, and a trace that leaves the reference there."""
    found = (-1, 0, 0, "")
    columns = ["task_id", "group_kind", "status", "wrong_line", "line_trace", "reference_trace"]
    for step in store.steps():
        for row, sample in enumerate(sample_rows(store.read(step, columns))):
            known = set(sample["reference_trace"])
            apart = next((i for i, text in enumerate(sample["line_trace"]) if known and text not in known), None)
            failed, wrong = sample["status"] == "wrong_answer", sample["wrong_line"]
            worth = 8 * (failed and wrong is not None and wrong == apart) + 4 * (failed and wrong is not None)
            worth += 2 * (sample["group_kind"] == "mixed") + failed
            found = max(found, (worth, step, row, sample["task_id"]))
    return found


if __name__ == "__main__":
    main()
