"""Line scores of a file from Python: the output of ``python -m prl_ray.score`` as data.

Needs a process reward model, which every run with the stage ``prm`` writes to ``runs/NAME/prm``::

    python examples/score_a_file.py runs/NAME/prm program.py "# What the program is to do."
"""

from __future__ import annotations

import sys
from pathlib import Path

from prl_ray.score.program import score_files


def main(prm: str, file: str, problem: str) -> None:
    """Prints each line of ``file`` with the probability that it is right, and the line with the lowest one."""
    (scored,) = score_files([Path(file)], problem, prm=Path(prm))
    for line in scored.lines:
        shown = "  -  " if line.score is None else f"{line.score:.3f}"
        print(f"{line.line:4} {shown}  {line.text}")
    print(f" end {scored.end_score:.3f}")
    judged = [line for line in scored.lines if line.score is not None]
    print("lowest score: line", min(judged, key=lambda line: line.score or 0.0).line)


if __name__ == "__main__":
    main(*sys.argv[1:4])
