"""The scorer: reward models in a Ray actor."""

from __future__ import annotations

from collections.abc import Sequence

from prl_ray.actors import gauges
from prl_ray.actors.handles import Ref, get
from prl_ray.actors.online_prm import PrmWeights
from prl_ray.actors.scoring import LoadedModels, ScorerSetup, Scores
from prl_ray.trajectory import TrajectoryBatch


class Scorer:
    """Scores chunks of samples."""

    def __init__(self, setup: ScorerSetup) -> None:
        self.models = LoadedModels(setup)
        self.prm_version = 0
        """Version of the PRM's weights; 0 for those of the setup's folder."""

    def ready(self) -> str:
        """Returns which models are loaded."""
        loaded = [name for name in ("prm", "orm", "trunk") if getattr(self.models, name) is not None]
        return ", ".join(loaded) or "nothing"

    def score(self, chunks: Sequence[Ref[TrajectoryBatch]], prm: PrmWeights | None = None) -> Scores:
        """Scores of the samples of ``chunks`` (refs of ``TrajectoryBatch``es), chunk after chunk.

        ``prm`` are the newest weights of a PRM that is trained online. They travel with each request, since a scorer
        that Ray restarted has those of its folder again. Raises ``ModelError`` if they do not fit.
        """
        if prm is not None and prm.version != self.prm_version:
            self.models.load_prm(get(prm.tensors))
            self.prm_version = prm.version
        batch = TrajectoryBatch.concat(get(chunks))
        gauges.count("scorer_samples", len(batch))
        return self.models.score(batch)
