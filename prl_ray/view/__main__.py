"""Shows runs in the browser: the reward of every line of every sample, and the reasons for it.

Serves run folders on this machine (loopback, read only), also while they grow. Exit codes: 0 done, 1 failed, 2 wrong
usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from prl_ray import cli
from prl_ray.view.demo import unpack_demo
from prl_ray.view.export import export
from prl_ray.view.runs import Runs
from prl_ray.view.server import bound, serve


def show(options: argparse.Namespace) -> None:
    """Runs the command."""
    if options.demo:
        with tempfile.TemporaryDirectory(prefix="prl_ray-demo-") as folder:
            _show([unpack_demo(Path(folder))], options)
    else:
        _show(options.folders or [Path("runs")], options)


def _show(folders: Sequence[Path], options: argparse.Namespace) -> None:
    runs = Runs(folders)
    if options.export:
        size = export(runs, options.export, options.samples)
        print(f"{options.export}: {size / 1e6:.1f} MB, opens without a server")
        return
    listener = bound(options.port)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    print(f"{len(runs.all())} runs at {address} (Ctrl-C ends)", flush=True)
    if options.open:
        webbrowser.open(address)
    try:
        serve(runs, listener)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the normal way to stop: no message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prl_ray.view", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="run folders, or folders of runs; default: runs"
    )
    parser.add_argument("--port", type=int, default=7860, help="default: 7860; 0 for a free one")
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.add_argument("--export", type=Path, metavar="FILE.html", help="write one file that needs no server instead")
    parser.add_argument("--samples", type=int, default=500, help="number of newest samples in the export; default: 500")
    parser.add_argument("--demo", action="store_true", help="show the small run that comes with the package")
    return parser


if __name__ == "__main__":
    wanted = _parser().parse_args()
    cli.run("prl_ray.view", "", lambda _: show(wanted), [])
