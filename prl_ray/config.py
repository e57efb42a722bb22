"""The configuration: one dataclass a group, with a default, a bound and one sentence a field.

``conf/`` (Hydra) chooses values; these schemas say which keys exist. Hydra accepts ``+typo=3`` silently, so a composed
config is always passed through :func:`validate`, which rejects keys that no schema knows, with the nearest right one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, cast, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prl_ray.errors import ConfigError
from prl_ray.lines import UNITS, Unit
from prl_ray.rewards.controls import CONTROLS
from prl_ray.rewards.params import ShapingParams
from prl_ray.rewards.program_scores import AGGREGATES, DEFAULT_AGGREGATE
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.llm.config import LlmConfig

STAGES = ("label", "sft", "reward", "ppo", "evaluate")
REWARD_MODELS = ("prm", "orm")


def option(
    default: Any, text: str, *, low: float | None = None, high: float | None = None, choices: Sequence[str] = ()
) -> Any:
    """A config field: its default, the sentence that explains it, and what it may be."""
    metadata = {"text": text, "low": low, "high": high, "choices": tuple(choices)}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class ClusterConfig:
    """How many actors of each role there are and what each one needs of the cluster."""

    name: str = option("local", "Name of the layout, for logs.")
    address: str | None = option(None, "Address of a running Ray cluster ('auto' finds it); none starts Ray here.")
    generators: int = option(1, "Number of vLLM engines.", low=1)
    generator_cpus: float = option(1.0, "CPUs that one generator asks Ray for.", low=0)
    generator_gpus: float = option(0.0, "GPUs that one generator asks Ray for.", low=0)
    verifiers: int = option(1, "Number of sandbox workers.", low=1)
    verifier_cpus: float = option(0.25, "CPUs that one verifier asks Ray for.", low=0)
    scorers: int = option(1, "Number of actors that score lines with the reward models.", low=1)
    scorer_cpus: float = option(0.25, "CPUs that one scorer asks Ray for.", low=0)
    scorer_gpus: float = option(0.0, "GPUs that one scorer asks Ray for.", low=0)
    learners: int = option(1, "Number of DeepSpeed ranks.", low=1)
    learner_cpus: float = option(0.5, "CPUs that one rank asks Ray for.", low=0)
    learner_gpus: float = option(0.0, "GPUs that one rank asks Ray for.", low=0)
    threads: int = option(0, "Torch threads of each model actor on a CPU; 0 takes all cores of its node.", low=0)
    isolation: str = option("full", "What the sandbox must give; see `python -m sandbox_workers doctor`.")
    start_timeout_s: float = option(300.0, "Seconds that actors may take to start before the run fails.", low=1)
    request_timeout_s: float = option(
        900.0, "Seconds that one request to an actor may take before it counts as lost.", low=1
    )


@dataclass
class ModelConfig:
    """The policy that is trained."""

    name: str = option("smollm2", "Embedded model, or any name for logs when `path` is set.")
    path: str = option("", "Folder or hub name of any Hugging Face causal language model; overrides `name`.")
    dtype: str = option(
        "auto", "Number format of forward and backward passes.", choices=("auto", "bfloat16", "float32")
    )
    max_prompt_tokens: int = option(256, "Longer prompts are an error at start.", low=8)
    max_response_tokens: int = option(112, "Length limit of a sampled program.", low=4)


@dataclass
class ProblemsConfig:
    """What is to be solved."""

    name: str = option("composed", "Problem set.", choices=("composed", "mbpp", "humaneval", "jsonl"))
    path: str = option("", "File to read instead of the hub or the installed package.")
    train: int | None = option(None, "Use so many training problems; all when empty.", low=1)
    validation: int | None = option(None, "Use so many validation problems; all when empty.", low=1)
    test: int | None = option(None, "Use so many test problems; all when empty.", low=1)
    min_difficulty: int = option(2, "Fewest steps of a generated problem.", low=1, high=8)
    max_difficulty: int = option(7, "Most steps of a generated problem.", low=1, high=8)


@dataclass
class LinesConfig:
    """What of a program is labelled, scored and rewarded."""

    unit: str = option(
        "line", "One score a statement line, or a block: a header with the statements right below it.", choices=UNITS
    )


@dataclass
class TeacherConfig(LlmConfig):
    """Who proposes variants of reference lines, and how many are labelled."""

    name: str = option(
        "rules", "Teacher: rules, a language model (llm), or both (mixed).", choices=("rules", "llm", "mixed")
    )
    problems: int = option(160, "Training problems that are labelled.", low=1)
    variants_per_problem: int = option(4, "Mutations and refactorings that are kept a problem.", low=1)
    refactoring_share: float = option(0.25, "Share of the kept variants that are refactorings.", low=0, high=1)
    truncations_per_problem: int = option(
        1, "References cut short a problem, so that stopping early is labelled.", low=0
    )
    max_crash_share: float = option(0.4, "Largest share of negatives that merely crash.", low=0, high=1)
    after_error: str = option(
        "drop", "Labels of lines after the changed one.", choices=("drop", "negative", "original")
    )
    differential_inputs: int = option(8, "Extra inputs on which a refactoring must agree with the reference.", low=0)
    weights: dict[str, float] = option(
        {}, "Sampling weight of an operator where it differs from its own; 0 turns it off."
    )

    def label_config(self, seed: int) -> LabelConfig:
        """What the labeller is told."""
        shared = {f.name for f in fields(self)} & {f.name for f in fields(LabelConfig)}
        return LabelConfig(seed=seed, **{name: getattr(self, name) for name in shared})

    def inputs(self) -> dict[str, Any]:
        """What the labels depend on: not on a model that is not asked, nor on how its answers come here."""
        transport = {"api_key_env", "attempts", "parallel", "answer_timeout_s"}
        unused = transport if self.name != "rules" else {f.name for f in fields(LlmConfig)}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in unused}


@dataclass
class SftConfig:
    """Supervised fine-tuning on the references."""

    problems: int = option(400, "Training problems whose references are learnt.", low=1)
    epochs: int = option(1, "Passes over them.", low=1)
    batch_size: int = option(16, "Programs an optimizer step.", low=1)
    learning_rate: float = option(2e-4, "Peak learning rate; linear warm-up, then cosine to a tenth.", low=0)
    warmup_share: float = option(0.1, "Share of the steps that warm up.", low=0, high=1)
    weight_decay: float = option(0.0, "AdamW weight decay.", low=0)


@dataclass
class PrmConfig:
    """Reward models: a score a line (PRM) and a score a program (ORM)."""

    epochs: int = option(1, "Passes over the labelled programs.", low=1)
    batch_size: int = option(32, "Programs an optimizer step.", low=1)
    learning_rate: float = option(2e-4, "Peak learning rate.", low=0)
    warmup_share: float = option(0.1, "Share of the steps that warm up.", low=0, high=1)
    weight_decay: float = option(0.0, "AdamW weight decay.", low=0)
    held_out_share: float = option(
        0.1, "Share of the labelled problems kept for calibration and for the reported AUROC.", low=0.01, high=0.5
    )
    balance: bool = option(
        True, "Weigh negative labels so that both classes count the same, in training and calibration."
    )
    init: str = option("sft", "What the reward model starts from.", choices=("sft", "base"))
    rollouts: int = option(
        0, "Labelled problems on which samples of the sft policy are labelled too, and learnt; 0 for none.", low=0
    )
    rollout_samples: int = option(4, "Programs a problem of `rollouts`.", low=1)


@dataclass
class RewardConfig:
    """Verdicts and line scores -> per-token rewards (design: one function a shaping)."""

    name: str = option("process_mean", "Shaping, a name in prl_ray.rewards.shaping.SHAPINGS.")
    alpha: float = option(0.5, "Weight of the line scores beside the outcome.", low=0)
    lines: int = option(8, "Lines that a program is read as by the means over lines.", low=1)
    eta: float = option(0.0, "Threshold of clip_delta.")
    tau: float = option(0.1, "Temperature of min_form.", low=1e-6)
    theta: float = option(0.5, "A line below this probability counts as wrong (first_error, located).", low=0, high=1)
    passed: float = option(1.0, "Outcome of a program that passes.")
    failed: float = option(-0.3, "Outcome of a program that answers wrongly.")
    runtime_error: float = option(-0.6, "Outcome of a program that raises, or breaks a limit.")
    compile_error: float = option(-1.0, "Outcome of a program that does not compile.")
    control: str = option("none", "Control experiment: a name in prl_ray.rewards.controls.CONTROLS, or none.")

    def params(self, gamma: float) -> ShapingParams:
        """The numbers that shape the reward. Raises ConfigError where a failure could earn more than a success."""
        shared = {f.name for f in fields(self)} & {f.name for f in fields(ShapingParams)}
        return ShapingParams(gamma=gamma, **{name: getattr(self, name) for name in shared})


@dataclass
class AlgorithmConfig:
    """PPO."""

    name: str = option("ppo", "Name, for logs.")
    estimator: str = option("gae", "Advantage estimator.", choices=("gae", "rloo", "grpo"))
    group_baseline: bool = option(
        True, "Take the mean total of a prompt's other samples off a sample's last reward; the critic learns the rest."
    )
    gamma: float = option(1.0, "Discount.", low=0, high=1)
    lam: float = option(
        1.0, "GAE lambda; below 1 an outcome fades over a program's tokens unless the critic is good.", low=0, high=1
    )
    clip_low: float = option(0.2, "Lower clip range of the ratio.", low=0)
    clip_high: float = option(0.2, "Upper clip range of the ratio.", low=0)
    value_clip: float = option(0.2, "Clip range of the value loss.", low=0)
    whiten: bool = option(True, "Whiten advantages over the whole batch.")
    negative_scale: float = option(
        0.2, "Factor on negative advantages: most tokens of a failing program are right.", low=0, high=1
    )
    kl_coef: float = option(
        0.02, "Coefficient of the KL penalty to the SFT policy; 0 also skips the reference model.", low=0
    )
    kl_control: str = option("fixed", "KL controller.", choices=("fixed", "adaptive"))
    kl_target: float = option(0.1, "Mean KL that the adaptive controller aims at, in nats a token.", low=0)
    kl_horizon: int = option(2000, "Horizon of the adaptive controller, in samples.", low=1)
    epochs: int = option(1, "PPO epochs over a batch.", low=1)
    minibatches: int = option(1, "Optimizer steps an epoch.", low=1)
    learning_rate: float = option(5e-5, "Actor learning rate.", low=0)
    warmup_steps: int = option(2, "PPO steps over which the actor's learning rate grows to its full size.", low=0)
    critic: str = option(
        "head",
        "Value head on the scorer's frozen trunk, or a critic with a trunk of its own.",
        choices=("head", "full"),
    )
    critic_init: str = option("prm", "What the critic's trunk is.", choices=("prm", "sft"))
    critic_learning_rate: float = option(1e-3, "Critic learning rate.", low=0)
    critic_epochs: int = option(4, "Passes of the critic over a batch.", low=1)
    critic_warmup: int = option(1, "First PPO steps that train only the critic.", low=0)
    entropy_coef: float = option(0.0, "Weight of the entropy bonus.", low=0)
    is_cap: float = option(
        2.0, "Cap of the importance weight between sampler and learner; 0 turns the correction off.", low=0
    )
    max_grad_norm: float = option(1.0, "Gradient clipping.", low=0)
    zero_stage: int = option(1, "DeepSpeed ZeRO stage.", low=0, high=2)
    micro_batch_tokens: int = option(2048, "Padded tokens of one forward and backward pass.", low=64)


@dataclass
class LoopConfig:
    """How many PPO steps there are and what each one samples."""

    steps: int = option(18, "PPO steps.", low=0)
    prompts_per_step: int = option(24, "Problems a step.", low=1)
    samples_per_prompt: int = option(4, "Programs a problem.", low=1)
    filter_groups: bool = option(
        True, "Learn only from prompts some of whose samples pass and some fail; the others are sampled, not learnt."
    )
    temperature: float = option(1.0, "Sampling temperature in training.", low=1e-3)
    max_staleness: int = option(0, "Weight versions that generation may run ahead by; 0 is on-policy.", low=0, high=8)
    validate_every: int = option(6, "PPO steps between validations; 0 for never.", low=0)
    validation_problems: int = option(100, "Validation problems, one sample each.", low=1)
    checkpoint_every: int = option(4, "PPO steps between checkpoints.", low=1)
    keep_checkpoints: int = option(2, "Newest checkpoints that are kept beside the best one.", low=1)
    samples_every: int = option(4, "PPO steps between tables of sampled programs.", low=1)


@dataclass
class EvaluateConfig:
    """pass@k on held-out problems."""

    split: str = option("test", "Split that is evaluated.", choices=("train", "validation", "test"))
    problems: int = option(200, "Held-out problems.", low=1)
    samples: int = option(2, "Programs a problem at `temperature`; greedy always comes beside them.", low=1)
    temperature: float = option(1.0, "Sampling temperature.", low=1e-3)
    k: list[int] = option([1, 2], "The k of pass@k; none larger than `samples` counts.")
    policies: list[str] = option(["base", "sft", "ppo"], "Checkpoints that are compared.")
    rerank: list[str] = option([], "Reward models that choose one of the samples (best of n): prm, orm.")
    aggregate: str = option(
        DEFAULT_AGGREGATE, "How `prm` makes one score of a program's line scores.", choices=tuple(AGGREGATES)
    )
    prm: str = option("", "Folder of the PRM that reranks; empty takes the run's own.")
    orm: str = option("", "Folder of the ORM that reranks; empty takes the run's own.")

    def rerank_path(self, kind: str) -> str:
        """The folder that was given for ``"prm"`` or ``"orm"``; empty for the run's own."""
        return {"prm": self.prm, "orm": self.orm}[kind]


@dataclass
class SandboxConfig:
    """Limits of one program."""

    wall_s: float = option(3.0, "Wall seconds.", low=0.05)
    memory_mb: int = option(512, "Memory in MB.", low=16)
    attempts: int = option(3, "Times that a lost verdict is asked for elsewhere before its sample is masked.", low=1)


@dataclass
class TrackingConfig:
    """W&B beside metrics.jsonl."""

    mode: str = option("auto", "Online when logged in, else offline.", choices=("auto", "online", "offline", "off"))
    project: str = option("prl_ray", "W&B project.")


@dataclass
class Config:
    """One run."""

    name: str = option("", "Run folder under `runs_dir`; empty makes one from model, problems and reward.")
    runs_dir: str = option("runs", "Where runs lie; artifacts of equal inputs are shared in its `artifacts` folder.")
    seed: int = option(1, "Seed of everything.", low=0)
    stages: list[str] = option(list(STAGES), "Stages that run, in this order.")
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
        """``lines.unit``, as what it is after validation."""
        return cast(Unit, self.lines.unit)

    @property
    def run_name(self) -> str:
        """``name``, or one made of what distinguishes the run."""
        return self.name or "-".join([self.model.name, self.problems.name, self.reward.name])


ConfigStore.instance().store(name="schema", node=Config)


def validate(composed: DictConfig | Mapping[str, Any]) -> Config:
    """A composed config as a :class:`Config`.

    Raises:
        ConfigError: an unknown key (with the nearest right one), a wrong type, a value out of bounds, or settings that
            contradict each other.
    """
    node = composed if isinstance(composed, DictConfig) else OmegaConf.create(dict(composed))
    for path in _leaves(node):
        check_key(path)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), node)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise ConfigError(f"config: {error.full_key or ''}: {str(error).splitlines()[0]}") from error
    assert isinstance(config, Config)
    for path, spec, value in _options(config):
        _check_value(path, spec, value)
    _check_together(config)
    return config


def known_keys() -> list[str]:
    """All dotted keys there are, groups included."""
    return [path for path, _ in _schema(Config, "")]


def check_key(path: str) -> None:
    """Raises ConfigError naming the nearest right key where ``path`` (dotted) is none."""
    known = known_keys()
    # what lies under a mapping is the mapping's own business
    if path in known or path.startswith("teacher.weights."):
        return
    last = path.rsplit(".", 1)[-1]
    by_last = {key.rsplit(".", 1)[-1]: key for key in reversed(known)}
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.75)
    near = near or [by_last[name] for name in difflib.get_close_matches(last, by_last, n=1, cutoff=0.6)]
    near = near or difflib.get_close_matches(path, known, n=1, cutoff=0.0)
    raise ConfigError(f"config: there is no key '{path}'; the nearest is '{near[0]}' (--help lists all)")


def explain() -> str:
    """All keys with defaults, bounds and meaning, as text for ``--help``."""
    lines: list[str] = []
    for path, spec in _schema(Config, ""):
        if not spec.metadata:
            lines.append("")
            continue
        default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
        choices = f" One of: {', '.join(spec.metadata['choices'])}." if spec.metadata["choices"] else ""
        lines.append(f"  {path}={default!s}".ljust(44) + f" {spec.metadata['text']}{choices}")
    return "\n".join(lines)


def _schema(cls: type, prefix: str) -> Iterator[tuple[str, Field[Any]]]:
    hints = get_type_hints(cls)
    for spec in fields(cls):
        path = f"{prefix}{spec.name}"
        yield path, spec
        if is_dataclass(hints[spec.name]):
            yield from _schema(hints[spec.name], f"{path}.")


def _options(config: Any, prefix: str = "") -> Iterator[tuple[str, Field[Any], Any]]:
    for spec in fields(config):
        value = getattr(config, spec.name)
        if is_dataclass(value):
            yield from _options(value, f"{prefix}{spec.name}.")
        else:
            yield f"{prefix}{spec.name}", spec, value


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, node):
        path = f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig):
            yield path
            yield from _leaves(child, f"{path}.")
        else:
            yield path


def _check_value(path: str, spec: Field[Any], value: Any) -> None:
    low, high, choices = (spec.metadata[k] for k in ("low", "high", "choices"))
    if choices and value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)[0]
        raise ConfigError(f"config: {path}={value} is none of {', '.join(choices)}; did you mean '{near}'?")
    if value is None:
        return
    if low is not None and value < low:
        raise ConfigError(f"config: {path}={value} is below its least value {low:g}")
    if high is not None and value > high:
        raise ConfigError(f"config: {path}={value} is above its greatest value {high:g}")


def _check_together(config: Config) -> None:
    _check_members("stages", config.stages, STAGES)
    _check_members("evaluate.policies", config.evaluate.policies, ("base", "sft", "ppo"))
    _check_rerank(config.evaluate)
    _check_members("reward.name", [config.reward.name], tuple(SHAPINGS))
    _check_members("reward.control", [config.reward.control], ("none", *CONTROLS))
    config.reward.params(config.algorithm.gamma)
    config.teacher.label_config(config.seed)
    if config.teacher.name != "rules":
        config.teacher.check_llm()
    if not re.fullmatch(r"\w[\w.+-]*", config.run_name) or config.run_name == "artifacts":
        raise ConfigError(
            f"config: name={config.run_name!r} must be a plain folder name (letters, digits, . + - _), not artifacts"
        )
    if config.problems.min_difficulty > config.problems.max_difficulty:
        raise ConfigError("config: problems.min_difficulty is above problems.max_difficulty")
    if config.problems.name == "humaneval" and set(config.stages) != {"evaluate"}:
        raise ConfigError("config: problems=humaneval is for evaluation only; use python -m prl_ray.evaluate")
    if any(k < 1 for k in config.evaluate.k):
        raise ConfigError(f"config: evaluate.k={config.evaluate.k}: pass@k needs k of at least 1")
    if config.loop.prompts_per_step % config.algorithm.minibatches:
        raise ConfigError(
            f"config: loop.prompts_per_step={config.loop.prompts_per_step} problems a step do not divide into "
            f"algorithm.minibatches={config.algorithm.minibatches} equal parts"
        )
    if config.reward.name == "group_gated" and config.loop.filter_groups:
        raise ConfigError(
            "config: reward=group_gated pays line scores where a prompt's samples share one outcome, which "
            "loop.filter_groups=true leaves out; give it loop.filter_groups=false"
        )
    if config.algorithm.estimator != "gae" and config.loop.samples_per_prompt < 2:
        raise ConfigError(
            f"config: algorithm.estimator={config.algorithm.estimator} needs loop.samples_per_prompt >= 2"
        )


def _check_rerank(evaluate: EvaluateConfig) -> None:
    _check_members("evaluate.rerank", evaluate.rerank, REWARD_MODELS)
    if evaluate.rerank and evaluate.samples < 2:
        raise ConfigError(f"config: evaluate.rerank={evaluate.rerank} chooses: evaluate.samples must be at least 2")
    for kind in REWARD_MODELS:
        if evaluate.rerank_path(kind) and kind not in evaluate.rerank:
            raise ConfigError(f"config: evaluate.{kind} is given and not used; add {kind} to evaluate.rerank")


def _check_members(path: str, values: Sequence[str], allowed: Sequence[str]) -> None:
    for value in values:
        if value not in allowed:
            near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.0)[0]
            raise ConfigError(f"config: {path}: '{value}' is none of {', '.join(allowed)}; did you mean '{near}'?")
