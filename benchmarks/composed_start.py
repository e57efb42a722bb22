"""Trains the start of ``experiments/composed_credit.yaml`` anew: a tiny model that writes long programs badly.

SFT on programs of 1 to 4 steps until the loss is small, then on 640 programs of 5 to 8 steps once. The result is
stored in float16 (9 MB). It comes out different by rounding on another processor; the records of the experiment belong
to the model that is stored, so a new one needs new records.

  python benchmarks/composed_start.py --run FOLDER                   trains (20 minutes on two cores) and stores it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import ROOT
from benchmarks._runs import artifact_folder, finished

FOLDER = ROOT / "benchmarks" / "experiments" / "composed_start"
COMMON = ("model=tiny", "model.dtype=float32", "tracking=off", "sft.batch_size=32", "seed=104729", "stages=[sft]")
SHORT = (
    "problems.min_difficulty=1",
    "problems.max_difficulty=4",
    "problems.train=24000",
    "sft.problems=24000",
    "sft.epochs=2",
    "sft.learning_rate=1e-3",
    "name=composed_start-short",
)
LONG = (
    "problems.min_difficulty=5",
    "problems.max_difficulty=8",
    "problems.train=640",
    "sft.problems=640",
    "sft.epochs=1",
    "sft.learning_rate=3e-4",
    "model.max_response_tokens=160",
    "name=composed_start-long",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs (resumed if they exist)")
    parser.add_argument("--to", type=Path, default=FOLDER, help="where the model is stored")
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    common = [*COMMON, f"runs_dir={options.run.resolve()}"]
    short = artifact_folder(finished([*common, *SHORT, *options.overrides], ["sft"]), "sft").resolve()
    long = finished([*common, *LONG, *options.overrides, f"model.path={short}"], ["sft"])
    store(artifact_folder(long, "sft"), options.to)
    print(f"stored {options.to}")


def store(folder: Path, to: Path) -> None:
    """Writes a causal language model in float16, and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float16).save_pretrained(str(to))
    AutoTokenizer.from_pretrained(str(folder)).save_pretrained(str(to))


if __name__ == "__main__":
    main()
