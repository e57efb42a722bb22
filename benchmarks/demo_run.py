"""Makes the run that ``python -m prl_ray.view --demo`` shows, from a real run: its newest steps, a few samples each.

python benchmarks/demo_run.py runs/shown
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from prl_ray.tracking.sample_store import SampleStore
from prl_ray.view.demo import NAME

TARGET = Path(__file__).parents[1] / "prl_ray" / "view" / NAME
LARGEST = 1_000_000
LABEL_FILES = ("labels/data/train-00000-of-00001.parquet", "labels/labels.json", "problems.jsonl")
"""Of the folder of the stage ``label``."""
PATHS = re.compile(r"(?<![\w.:/])/(?:[\w.+@-]+/)+([\w.+@-]*)")
"""Absolute paths, of which the last part stays."""
FILES = ("config.yaml", "metrics.jsonl", "evaluation.json", "cluster.json")


def main() -> None:
    """Writes the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--prompts", type=int, default=6, help="prompts a step, default 6")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        copy_run(options.run.resolve(), demo, options.prompts)
        packed = pack(demo)
    if len(packed) > LARGEST:
        raise SystemExit(f"the archive has {len(packed)} bytes, more than {LARGEST}: give it fewer --prompts")
    TARGET.write_bytes(packed)
    print(f"{TARGET}: {len(packed) / 1000:.0f} kB")


def copy_run(run: Path, demo: Path, prompts: int) -> None:
    """The parts of a run that the viewer reads; without paths of this machine."""
    demo.mkdir()
    for name in FILES:
        if (run / name).is_file():
            text = (run / name).read_text(encoding="utf-8")
            (demo / name).write_text(PATHS.sub(r"\1", text), encoding="utf-8")
    store, kept = SampleStore(run / "samples"), SampleStore(demo / "samples")
    tasks: set[str] = set()
    for step in store.steps():
        table = store.read(step)
        first = np.unique(table.column("prompt_id").to_numpy())[:prompts]
        part = table.filter(np.isin(table.column("prompt_id").to_numpy(), first))
        tasks |= set(part.column("task_id").to_pylist())
        kept.write(step, part)
    problems = (run / "problems.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (demo / "problems.jsonl").write_text("".join(p for p in problems if json.loads(p)["task_id"] in tasks))
    for name in LABEL_FILES:
        if (run / "label" / name).is_file():
            (demo / "label" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run / "label" / name, demo / "label" / name)


def pack(demo: Path) -> bytes:
    """A compressed archive that depends on the files' contents only."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:xz", preset=9) as archive:
        for path in sorted(p for p in demo.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(str(path.relative_to(demo.parent)))
            info.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(info, file)
    return target.getvalue()


if __name__ == "__main__":
    main()
