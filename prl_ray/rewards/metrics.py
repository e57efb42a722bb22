"""Metrics that reveal reward hacking."""

from __future__ import annotations

import numpy as np

from prl_ray.trajectory import TrajectoryBatch


def hack_metrics(batch: TrajectoryBatch) -> dict[str, float]:
    """Metrics that rise when the policy hacks the reward.

    - ``hack/neutral_share``: share of the lines (ends not counted) that are comments, docstrings or ``pass``;
    - ``hack/lines_per_program``: scored lines per program, ends not counted;
    - ``hack/repeated_share``: share of the non-blank text lines that the same program already had, ignoring
      indentation;
    - ``hack/one_line_share``: share of the programs with at most one scored line before the end.
    """
    if len(batch) == 0:
        return {}
    sample = np.repeat(np.arange(len(batch)), np.diff(batch.line_offsets))
    scored = np.bincount(sample[~batch.line_neutral], minlength=len(batch)) - batch.finished
    neutral = int(batch.line_neutral.sum())
    texts = [[line.strip() for line in program.splitlines() if line.strip()] for program in batch.programs]
    written = sum(len(lines) for lines in texts)
    return {
        "hack/neutral_share": neutral / max(neutral + int(scored.sum()), 1),
        "hack/lines_per_program": float(scored.mean()),
        "hack/repeated_share": sum(len(lines) - len(set(lines)) for lines in texts) / max(written, 1),
        "hack/one_line_share": float((scored <= 1).mean()),
    }
