"""Settings of training: supervised stages, rewards, PPO and its loop, evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from prl_ray.options import Params, option
from prl_ray.ppo.config import LossConfig
from prl_ray.rewards.program_scores import AGGREGATES, DEFAULT_AGGREGATE


@dataclass
class SftConfig:
    """Supervised fine-tuning on the references."""

    problems: int = option(
        400, "Number of training problems whose references are learnt; 0 uses the given model without training.", low=0
    )
    epochs: int = option(1, "Passes over the references.", low=1)
    batch_size: int = option(16, "Programs per optimizer step.", low=1)
    learning_rate: float = option(2e-4, "Peak learning rate; linear warm-up, then cosine to a tenth.", low=1e-12)
    warmup_share: float = option(0.1, "Share of the steps that warm up.", low=0, high=1)
    weight_decay: float = option(0.0, "AdamW weight decay.", low=0)


@dataclass
class PrmConfig:
    """Reward models: one score per line (PRM) and one score per program (ORM)."""

    path: str = option(
        "", "Folder of a PRM that is used as it is, for example runs/NAME/prm; empty for training one on the labels."
    )
    form: str = option(
        "head",
        "What gives a line's score in the PRM that is trained: a new head on the trunk, or the likelihood of the line "
        "under a model that starts as the policy. The ORM always has a head.",
        choices=("head", "likelihood"),
    )
    epochs: int = option(
        1,
        "Maximum number of passes over the labelled programs; the weights of the best one on held-out problems "
        "are kept.",
        low=1,
    )
    patience: int = option(
        1, "Epochs without a lower loss on held-out problems after which training stops; 0 for never.", low=0
    )
    batch_size: int = option(32, "Programs per optimizer step.", low=1)
    learning_rate: float = option(2e-4, "Peak learning rate.", low=1e-12)
    warmup_share: float = option(0.1, "Share of the steps that warm up.", low=0, high=1)
    weight_decay: float = option(0.0, "AdamW weight decay.", low=0)
    held_out_share: float = option(
        0.1, "Share of the labelled problems kept for calibration and for the reported AUROC.", low=0.01, high=0.5
    )
    balance: bool = option(
        True, "Weight negative labels so that both classes count equally, in training and calibration."
    )
    init: str = option("sft", "Model that the reward model starts from.", choices=("sft", "base"))
    rollouts: int = option(
        0,
        "Number of labelled problems on which samples of the SFT policy are labelled and learnt too; 0 for none.",
        low=0,
    )
    rollout_samples: int = option(4, "Programs per problem of `rollouts`.", low=1)
    online: bool = option(
        False,
        "Train the PRM during PPO too: each step's executed lines are labels, and the scorers load the new weights.",
    )
    online_learning_rate: float = option(1e-4, "Learning rate of `online`.", low=1e-12)
    online_epochs: int = option(1, "Passes of `online` over a step's labelled samples.", low=1)
    online_replay: int = option(
        0,
        "Earlier steps whose labelled samples `online` learns again: with those of a step, as many drawn from theirs.",
        low=0,
    )


@dataclass
class AlgorithmConfig(LossConfig):
    """PPO."""

    name: str = option("gate", "Name, for logs and the run's folder.")
    estimator: str = option(
        "gate",
        "Advantage estimator: a registered name, or package.module:attribute.",
        registry="prl_ray.ppo.advantages:ESTIMATORS",
    )
    estimator_params: Params = option(
        {}, "Parameters of the advantage estimator: algorithm.estimator_params.NAME=VALUE."
    )
    locator: str = option(
        "exact",
        "Locator of the first wrong line of a failing program, for estimators that compare lines: a registered name, "
        "or package.module:attribute.",
        registry="prl_ray.credit.locators:LOCATORS",
    )
    locator_params: Params = option({}, "Parameters of the locator: algorithm.locator_params.NAME=VALUE.")
    locator_check: float = option(
        0.25,
        "Share of a step's prompts whose lines are executed although the locator is not `exact`: the locator is "
        "compared with them, and `prm.online` learns from them.",
        low=0,
        high=1,
    )
    locator_min_hit: float = option(
        0.0,
        "Minimum share of first wrong lines that the locator must find on a step's executed prompts; below it, line "
        "groups are replaced by the gate for that step. 0 for never.",
        low=0,
        high=1,
    )
    completions: int = option(
        3, "estimator=vine: the policy's completions of the first lines of a sample, for each of its lines.", low=1
    )
    group_baseline: bool = option(
        True,
        "Subtract the mean total of a prompt's other samples from a sample's last reward; the critic learns the rest.",
    )
    gamma: float = option(1.0, "Discount.", low=1e-6, high=1)
    lam: float = option(
        1.0,
        "GAE lambda; below 1 the outcome's credit decays over a program's tokens unless the critic is good.",
        low=0,
        high=1,
    )
    value_clip: float = option(0.2, "Clip range of the value loss.", low=0)
    whiten: bool = option(True, "Whiten advantages over the whole batch.")
    negative_scale: float = option(
        0.2, "Factor on negative advantages: most tokens of a failing program are right.", low=0, high=1
    )
    kl_control: str = option("fixed", "KL controller.", choices=("fixed", "adaptive"))
    kl_target: float = option(0.1, "Mean KL that the adaptive controller aims at, in nats per token.", low=1e-9)
    kl_horizon: int = option(2000, "Horizon of the adaptive controller, in samples.", low=1)
    epochs: int = option(1, "PPO epochs over a batch.", low=1)
    minibatches: int = option(1, "Optimizer steps per epoch.", low=1)
    dry_run: bool = option(
        False, "Allow an actor that learns nothing (learning_rate=0, or critic_warmup for all steps)."
    )
    learning_rate: float = option(5e-5, "Actor learning rate.", low=0)
    warmup_steps: int = option(2, "PPO steps of the actor's linear learning-rate warm-up.", low=0)
    decay_to: float = option(
        0.1,
        "Share of the actor's learning rate that remains at the last PPO step, after a linear decay.",
        low=0,
        high=1,
    )
    critic: str = option(
        "head",
        "Value head on the scorer's frozen trunk (head), or a critic with its own trunk (full).",
        choices=("head", "full"),
    )
    critic_init: str = option("prm", "Model that the critic's trunk is initialised from.", choices=("prm", "sft"))
    critic_learning_rate: float = option(1e-3, "Critic learning rate.", low=1e-12)
    critic_epochs: int = option(4, "Passes of the critic over a batch.", low=1)
    critic_warmup: int = option(1, "First PPO steps that train only the critic.", low=0)
    max_grad_norm: float = option(
        1.0, "Gradient clipping: larger gradient norms are scaled down to this. 0 for none.", low=0
    )
    zero_stage: int = option(
        1, "DeepSpeed ZeRO stage: ranks shard the optimizer (1), gradients too (2), parameters too (3).", low=0, high=3
    )
    offload: str = option(
        "none",
        "What learners on GPUs offload to main memory: nothing, the optimizer, or all (the parameters too).",
        choices=("none", "optimizer", "all"),
    )
    micro_batch_tokens: int = option(2048, "Padded tokens of one forward and backward pass.", low=64)
    packed: bool = option(
        False,
        "Put the samples of a pass behind each other in one row, without padding. Meant for "
        "model.attention=flash_attention_2; other kernels compute more this way.",
    )


@dataclass
class LoopConfig:
    """Number of PPO steps, and the samples of each."""

    steps: int = option(20, "PPO steps.", low=0)
    prompts_per_step: int = option(24, "Problems per step.", low=1)
    samples_per_prompt: int = option(4, "Programs per problem.", low=1)
    filter_groups: bool = option(
        True,
        "Learn only from prompts with both passing and failing samples; other prompts are sampled but not learnt. "
        "A step without any such prompt learns from all.",
    )
    temperature: float = option(1.0, "Sampling temperature in training.", low=1e-3)
    max_staleness: int = option(
        0, "Number of weight versions that samples may lag behind the learner; 0 is on-policy.", low=0, high=8
    )
    in_flight: bool = option(
        False,
        "Whether engines take new weights between two tokens of the samples that they are at, instead of after the "
        "rollout; needs `max_staleness` of at least 1.",
    )
    validate_every: int = option(5, "PPO steps between validations; 0 for never.", low=0)
    validation_problems: int = option(100, "Validation problems.", low=1)
    validation_samples: int = option(2, "Programs per validation problem, sampled as in training.", low=1)
    checkpoint_every: int = option(4, "PPO steps between checkpoints.", low=1)
    keep_checkpoints: int = option(2, "Number of newest checkpoints that are kept, in addition to the best one.", low=1)
    samples_every: int = option(4, "PPO steps between tables of sampled programs.", low=1)


@dataclass
class EvaluateConfig:
    """pass@k on held-out problems."""

    split: str = option("test", "Split to evaluate.", choices=("train", "validation", "test"))
    problems: int = option(200, "Held-out problems.", low=1)
    samples: int = option(2, "Programs per problem at `temperature`, in addition to one greedy program.", low=1)
    temperature: float = option(1.0, "Sampling temperature.", low=1e-3)
    k: list[int] = option([1, 2], "The k of pass@k; values above `samples` are ignored.")
    policies: list[str] = option(["base", "sft", "ppo"], "Policies to compare.")
    rerank: list[str] = option([], "Reward models that choose one of the samples (best of n): prm, orm.")
    aggregate: str = option(
        DEFAULT_AGGREGATE, "How `prm` combines a program's line scores into one score.", choices=tuple(AGGREGATES)
    )
    prm: str = option("", "Folder of the PRM that reranks; empty for the run's own.")
    orm: str = option("", "Folder of the ORM that reranks; empty for the run's own.")

    def rerank_path(self, kind: str) -> str:
        """The configured folder of ``"prm"`` or ``"orm"``; empty for the run's own."""
        return {"prm": self.prm, "orm": self.orm}[kind]
