"""Settings of the base model, the problems, their lines and the labels of lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import get_args

from prl_ray.lines import UNITS
from prl_ray.models.registry import NAMES
from prl_ray.options import Params, option
from prl_ray.plugins import parameters
from prl_ray.problems import LOADERS
from prl_ray.problems.problem import Extract
from prl_ray.seeds import derive
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.llm.config import LlmConfig


@dataclass
class LoraConfig:
    """Low-rank adapters, trained instead of all weights (arXiv 2106.09685)."""

    rank: int = option(0, "Rank of the LoRA adapters that are trained; 0 trains all weights.", low=0)
    alpha: float = option(0.0, "Scale of the adapters, divided by the rank; 0 for twice the rank.", low=0)
    dropout: float = option(
        0.0, "Dropout before the adapters in SFT; PPO uses none, so that its ratios start at 1.", low=0, high=0.9
    )
    targets: list[str] = option(
        [], "Names of the linear layers that get adapters, such as [q_proj,v_proj]; empty for all but the head."
    )


@dataclass
class ModelConfig:
    """The policy that is trained."""

    name: str = option("smollm2", "Embedded model; with `path`, a name for run folders in place of the path's.")
    path: str = option("", "Folder, URL or hub name of any Hugging Face causal language model; overrides `name`.")
    dtype: str = option(
        "auto", "Number format of forward and backward passes.", choices=("auto", "bfloat16", "float32")
    )
    attention: str = option(
        "auto",
        "Attention kernels of trained models: torch's fused ones on GPUs and plain products on CPUs (auto), or one of "
        "transformers' implementations. flash_attention_2 needs GPUs and the package flash-attn.",
        choices=("auto", "eager", "sdpa", "flash_attention_2"),
    )
    lora: LoraConfig = field(default_factory=LoraConfig)
    gradient_checkpointing: bool = option(
        False, "Recompute activations in the backward pass: much less memory for about a third more time."
    )
    max_prompt_tokens: int = option(256, "Problems with longer prompts are left out, with a warning.", low=8)
    max_response_tokens: int = option(112, "Length limit of a sampled program.", low=4)

    @property
    def label(self) -> str:
        """The model's part of a run's default name: ``name``, or the last part of ``path`` if ``name`` is an embedded
        model. The last part of a run's own policy (``runs/NAME/ppo``) tells nothing and does not count.
        """
        last = re.sub(r"[^\w.+-]+", "-", self.path.rstrip("/").rpartition("/")[2]).strip("-.+")
        foreign = last not in ("", "sft", "ppo") and self.name in NAMES
        return last if foreign else self.name


@dataclass
class ProblemsConfig:
    """The problems."""

    name: str = option(
        "composed",
        "Problem set: a registered name, or package.module:attribute.",
        registry="prl_ray.problems:LOADERS",
    )
    extract: str = option(
        "auto",
        "How a program is taken from an answer: from its code fence (fence), the whole answer (none), or auto: fence "
        "for models with a chat template, else none. Other lines of the answer become comments.",
        choices=get_args(Extract),
    )
    params: Params = option({}, "Options of the problem set's loader: problems.params.NAME=VALUE.")
    path: str = option("", "File to read, instead of the hub or the installed package.")
    train: int | None = option(None, "Number of training problems; all when empty.", low=1)
    validation: int | None = option(None, "Number of validation problems; all when empty.", low=1)
    test: int | None = option(None, "Number of test problems; all when empty.", low=1)
    min_difficulty: int = option(2, "Minimum number of steps of a generated problem.", low=1, high=8)
    max_difficulty: int = option(7, "Maximum number of steps of a generated problem.", low=1, high=8)

    @property
    def options(self) -> dict[str, object]:
        """The loader's own options: ``params``, and the difficulties if it supports them."""
        own = parameters(LOADERS.find(self.name))
        difficulties = {"min_difficulty": self.min_difficulty, "max_difficulty": self.max_difficulty}
        return {**{name: value for name, value in difficulties.items() if name in own}, **self.params}


@dataclass
class LinesConfig:
    """The unit that is labelled, scored and rewarded."""

    unit: str = option(
        "line",
        "What gets one score: a statement line, a block (a header with the statements directly below it), or a "
        "physical line (for languages other than Python).",
        choices=UNITS,
    )


@dataclass
class TeacherConfig(LlmConfig, LabelConfig):
    """The teacher, which proposes variants of reference lines, and the number of labels."""

    name: str = option(
        "rules", "Teacher: rules, a language model (llm), or both (mixed).", choices=("rules", "llm", "mixed")
    )
    problems: int = option(160, "Number of training problems to label.", low=1)
    borrowed_share: float = option(
        0.0, "Share of the rules' mutations that borrow a line from another problem.", low=0, high=1
    )

    def label_config(self, seed: int) -> LabelConfig:
        """The labeller's part of these settings; ``seed`` is the run's."""
        own = {f.name: getattr(self, f.name) for f in fields(LabelConfig)}
        return LabelConfig(**{**own, "seed": derive(seed, "variants", self.seed) if self.seed else seed})

    def inputs(self) -> dict[str, object]:
        """The settings that the labels depend on: without an unused model, and without its transport."""
        transport = {"api_key_env", "attempts", "parallel", "answer_timeout_s"}
        unused = transport if self.name != "rules" else {f.name for f in fields(LlmConfig)}
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {*unused, "retries", "chunk"}}
