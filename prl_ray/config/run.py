"""The configuration of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from hydra.core.config_store import ConfigStore

from prl_ray.config.data import LinesConfig, ModelConfig, ProblemsConfig, TeacherConfig
from prl_ray.config.learning import AlgorithmConfig, EvaluateConfig, LoopConfig, PrmConfig, SftConfig
from prl_ray.config.machine import ClusterConfig, SandboxConfig, TrackingConfig
from prl_ray.lines import Unit
from prl_ray.options import option, plugin_modules
from prl_ray.rewards.config import RewardConfig
from prl_ray.seeds import MAX_SEED

STAGES = ("label", "sft", "prm", "ppo", "evaluate")
POLICIES = ("base", "sft", "ppo")
REWARD_MODELS = ("prm", "orm")


@dataclass
class Config:
    """One run."""

    name: str = option("", "Run folder under `runs_dir`; empty makes one from model, problems and reward.")
    runs_dir: str = option(
        "runs",
        "Folder of the runs, or its URL (s3://BUCKET/FOLDER); artifacts of equal inputs are shared in its subfolder "
        "`artifacts`.",
    )
    seed: int = option(1, "Seed of all random choices, up to 64 bits.", low=0, high=MAX_SEED)
    stages: list[str] = option(list(STAGES), "Stages to run, in the recipe's order.")
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    lines: LinesConfig = field(default_factory=LinesConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    prm: PrmConfig = field(default_factory=PrmConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    algorithm: AlgorithmConfig = field(default_factory=AlgorithmConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    @property
    def unit(self) -> Unit:
        """``lines.unit``, with the type that validation ensures."""
        return cast(Unit, self.lines.unit)

    @property
    def run_name(self) -> str:
        """``name``, or a name made of model, problems, and the algorithm or the reward: the reward of ``ppo`` and every
        one but ``outcome``."""
        algorithm, reward = self.algorithm.name, self.reward.name
        told = [algorithm] if algorithm != "ppo" else []
        told += [reward] if algorithm == "ppo" or reward != "outcome" else []
        parts = (self.model.label, self.problems.name, *told)
        return self.name or "-".join(part.rpartition(":")[2] for part in parts)  # an import path names its attribute

    @property
    def plugins(self) -> list[str]:
        """Modules of the user's own parts."""
        return sorted(plugin_modules(self) | self.teacher.operator_modules)


ConfigStore.instance().store(name="schema", node=Config)
