"""The scorer: reward models in a Ray actor."""

from __future__ import annotations

from collections.abc import Sequence

from prl_ray.actors import gauges
from prl_ray.actors.handles import Ref, get
from prl_ray.actors.scoring import LoadedModels, ScorerSetup, Scores
from prl_ray.trajectory import TrajectoryBatch


class Scorer:
    """Scores chunks of samples."""

    def __init__(self, setup: ScorerSetup) -> None:
        self.models = LoadedModels(setup)

    def ready(self) -> str:
        """Returns which models are loaded."""
        loaded = [name for name in ("prm", "orm", "trunk") if getattr(self.models, name) is not None]
        return ", ".join(loaded) or "nothing"

    def score(self, chunks: Sequence[Ref[TrajectoryBatch]]) -> Scores:
        """Scores of the samples of ``chunks`` (refs of ``TrajectoryBatch``es), chunk after chunk."""
        batch = TrajectoryBatch.concat(get(chunks))
        gauges.count("scorer_samples", len(batch))
        return self.models.score(batch)
