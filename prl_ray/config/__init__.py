"""The configuration: one dataclass per group, with a default, a bound and one sentence per field.

``conf/`` (Hydra) chooses values; these schemas define which keys exist. Hydra accepts ``+typo=3`` silently, so a
composed config is always passed through :func:`validate`, which rejects unknown keys and suggests the nearest known
one.
"""

from prl_ray.config.checks import validate
from prl_ray.config.composition import compose
from prl_ray.config.data import LinesConfig, LoraConfig, ModelConfig, ProblemsConfig, TeacherConfig
from prl_ray.config.keys import check_key, explain, known_keys, mappings
from prl_ray.config.learning import AlgorithmConfig, EvaluateConfig, LoopConfig, PrmConfig, SftConfig
from prl_ray.config.machine import ClusterConfig, SandboxConfig, TrackingConfig
from prl_ray.config.run import REWARD_MODELS, STAGES, Config
from prl_ray.options import option
from prl_ray.rewards.config import RewardConfig

__all__ = [
    "REWARD_MODELS",
    "STAGES",
    "AlgorithmConfig",
    "ClusterConfig",
    "Config",
    "EvaluateConfig",
    "LinesConfig",
    "LoopConfig",
    "LoraConfig",
    "ModelConfig",
    "PrmConfig",
    "ProblemsConfig",
    "RewardConfig",
    "SandboxConfig",
    "SftConfig",
    "TeacherConfig",
    "TrackingConfig",
    "check_key",
    "compose",
    "explain",
    "known_keys",
    "mappings",
    "option",
    "validate",
]
