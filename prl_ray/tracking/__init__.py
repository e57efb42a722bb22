"""Output of a run: ``metrics.jsonl``, tables of sampled programs, Weights & Biases, the terminal.

* :class:`Tracker`: numbers and sampled programs, stored in the run folder and mirrored to W&B.
* :class:`Console`: stages, progress bars, step lines and programs in the terminal.
* :class:`SampledProgram`, :class:`ScoredLine`: one sampled program with a score and a reward per line.

The run folder is the authoritative copy; W&B mirrors it. Row ``n`` of ``metrics.jsonl`` is W&B step ``n``, so that a
resumed run neither repeats nor loses a row in either.
"""

from prl_ray.tracking.console import Console
from prl_ray.tracking.metrics_file import MetricsFile, read_records
from prl_ray.tracking.samples import SampledProgram, ScoredLine, sampled_programs
from prl_ray.tracking.tracker import Tracker

__all__ = [
    "Console",
    "MetricsFile",
    "SampledProgram",
    "ScoredLine",
    "Tracker",
    "read_records",
    "sampled_programs",
]
