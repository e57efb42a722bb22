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

from prl_ray.tracking.sample_store import SampleStore  # noqa: E402
from prl_ray.view.demo import unpack_demo  # noqa: E402
from tools.browser import browser, missing, picture, visit  # noqa: E402

IMAGES = ROOT / "docs" / "images"
LARGEST = 150_000
WIDTH, TALLEST = 1360, 1150
COLOURS = 64
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
    """Pictures of all pages of the first run, and of the table of all of them."""
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
                    picture(driver, path, min(max(int(tall), 480), TALLEST))
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
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"error: {path} is larger than {LARGEST} bytes")


def addresses(runs: Sequence[Path]) -> dict[str, str]:
    """The pages of the first run, on a telling sample of it, and those of all runs."""
    run = runs[0]
    step, row, task = telling_sample(SampleStore(run / "samples"))
    name = quote(run.name)
    return {
        "runs": "#/runs",
        "compare": f"#/compare?runs={quote('/'.join(one.name for one in runs), safe='')}",
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
