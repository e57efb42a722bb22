"""Trains the start of ``experiments/composed_credit.yaml`` anew: a tiny model that writes long programs badly.

The start of ``experiments/composed_hard.yaml`` in float32: SFT on programs of 1 to 4 steps until the loss is small,
then on 640 programs of 5 to 8 steps once. The result is stored in float16 (9 MB). It comes out different by rounding on
another processor; the records of the experiment belong to the model in ``experiments/composed_start``, so a new one
needs new records.

  python benchmarks/composed_start.py --run FOLDER --to NEW_FOLDER     trains (20 minutes on two cores) and stores it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import ROOT
from benchmarks._runs import artifact_folder, finished
from prl_ray.experiment.plan import read_experiment
from prl_ray.models.policy import load_policy, load_tokenizer
from prl_ray.models.saving import save_model

FOLDER = ROOT / "benchmarks" / "experiments" / "composed_start"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs (resumed if they exist)")
    parser.add_argument("--to", type=Path, required=True, help="new folder, in which the model is stored")
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    if options.to.exists():
        sys.exit(f"error: {options.to} exists; give a new folder: records may belong to the model in it")
    more = ["model.dtype=float32", "cluster.threads=0", f"runs_dir={options.run.resolve()}", *options.overrides]
    for number, start in enumerate(read_experiment(FOLDER.with_name("composed_hard.yaml")).starts, 1):
        own = [f"seed={start.seed}", f"name={FOLDER.name}-{number}"]
        model = artifact_folder(finished([*start.overrides, *own, *more], ["sft"]), "sft")
        more = [*more, f"model.path={model.resolve()}"]
    store(model, options.to)
    print(f"stored {options.to}")


def store(folder: Path, to: Path) -> None:
    """Writes a causal language model in float16, and its tokenizer."""
    save_model(load_policy(folder, torch.float16), load_tokenizer(folder), to)


if __name__ == "__main__":
    main()
