"""The recipe: label → sft → reward → ppo → evaluate, each stage an idempotent step with an artifact.

``Run`` is what the stages share: config, run folder, console, tracker, actors. The stages are functions in
``prl_ray/stages``; this module decides which run and in which order.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from prl_ray.actors.fleet import Fleet, start_ray
from prl_ray.actors.generator import GeneratorSetup
from prl_ray.artifacts import Artifact, artifact
from prl_ray.config import STAGES, Config
from prl_ray.errors import DataError, ModelError
from prl_ray.models.dtype import choose_dtype
from prl_ray.models.encode import render_prompt, tokenizer_texts
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.registry import resolve_model
from prl_ray.models.reward_model import check_reward_folder
from prl_ray.problems import Problem, Split, load_problems
from prl_ray.report import write_report
from prl_ray.supervision import canonical
from prl_ray.tracking import Console, Tracker


@dataclass
class Run:
    """One run's configuration and everything that its stages share."""

    config: Config
    console: Console
    tracker: Tracker
    fleet: Fleet

    @property
    def folder(self) -> Path:
        """``runs/NAME``."""
        return Path(self.config.runs_dir).resolve() / self.config.run_name

    @property
    def store(self) -> Path:
        """Where artifacts lie, shared by all runs of ``runs_dir``."""
        return Path(self.config.runs_dir).resolve() / "artifacts"

    @cached_property
    def dtype(self) -> tuple[torch.dtype, str]:
        """Number format, and why."""
        choice = choose_dtype(self.config.model.dtype, on_gpus=self.config.cluster.learner_gpus > 0)
        return choice.dtype, choice.reason

    def problems(self, split: Split, limit: int | None = None) -> list[Problem]:
        """The first problems of a split."""
        c = self.config.problems
        bound = {"train": c.train, "validation": c.validation, "test": c.test}[split]
        limits = [x for x in (limit, bound) if x is not None]
        options = (
            {"min_difficulty": c.min_difficulty, "max_difficulty": c.max_difficulty} if c.name == "composed" else {}
        )
        found = load_problems(
            c.name, path=c.path, split=split, limit=min(limits) if limits else None, seed=self.config.seed, **options
        )
        if not found:
            raise DataError(f"problems={c.name} has no problem in the split '{split}'")
        return found

    @cached_property
    def train_slices(self) -> dict[str, list[Problem]]:
        """Training problems of each stage: three different slices where there are enough, so that the reward model and
        the policy meet programs that sft has not shown them."""
        c = self.config
        train = [p for p in self.problems("train") if p.references]
        if not train:
            raise DataError(f"problems={c.problems.name} has no training problem with a reference solution")
        sft, labelled = c.sft.problems, c.teacher.problems
        rest = train[sft + labelled :]
        enough = len(rest) >= min(c.loop.steps, 8) * c.loop.prompts_per_step
        return {
            "sft": train[:sft],
            "label": train[sft : sft + labelled] if enough else train[:labelled],
            "ppo": rest if enough else train,
        }

    @cached_property
    def base(self) -> Path:
        """Folder of the model that the run starts from."""
        texts: list[str] = []
        if self.config.model.name == "tiny" and not self.config.model.path:
            texts = list(tokenizer_texts(self.train_slices["sft"]))
        return resolve_model(self.config.model.name, path=self.config.model.path, texts=texts, seed=self.config.seed)

    def sampled_from(self, problems: list[Problem]) -> list[Problem]:
        """The problems whose prompt the engine takes; the others are left out, and said.

        Raises ``DataError`` where none is left.
        """
        tokenizer = load_tokenizer(self.base)
        limit = self.config.model.max_prompt_tokens
        fitting = [p for p in problems if len(render_prompt(tokenizer, p)) <= limit]
        left_out = len(problems) - len(fitting)
        if not fitting:
            raise DataError(f"every prompt has more than model.max_prompt_tokens={limit} tokens; raise it")
        if left_out:
            self.console.warn(
                f"{left_out} of {len(problems)} problems are left out: their prompts have more than "
                f"model.max_prompt_tokens={limit} tokens"
            )
        return fitting

    # What each stage's artifact is made from.

    @cached_property
    def sources(self) -> dict[str, Any]:
        """What all artifacts depend on."""
        c = self.config
        problems = asdict(c.problems)
        if c.problems.path:
            stat = Path(c.problems.path).stat()
            problems |= {"bytes": stat.st_size, "modified": stat.st_mtime}
        return {"problems": problems, "seed": c.seed}

    def artifact(self, stage: str) -> Artifact:
        """The artifact of a stage under this configuration (``label``, ``sft``, ``rollouts``, ``prm``, ``orm``,
        ``ppo``)."""
        c = self.config
        if stage == "label":
            first = self.train_slices["label"][0].task_id
            teacher = c.teacher.inputs()
            if c.teacher.name != "rules" and not c.teacher.model:
                teacher["model"] = str(self.base)
            return artifact(self.store, "label", **self.sources, teacher=teacher, sandbox=c.sandbox, first=first)
        model = {"base": str(self.base), "dtype": str(self.dtype[0]), "model": c.model, "ranks": c.cluster.learners}
        if stage == "sft":
            return artifact(
                self.store, "sft", **self.sources, **model, sft=c.sft, budget=c.algorithm.micro_batch_tokens
            )
        sft = self.artifact("sft")
        scored = {"lines": c.lines} if c.unit != "line" else {}
        if stage == "rollouts":
            return artifact(
                self.store,
                stage,
                **model,
                labels=self.artifact("label"),
                sft=sft,
                problems=c.prm.rollouts,
                samples=c.prm.rollout_samples,
                temperature=c.loop.temperature,
                seed=c.seed,
            )
        if stage in ("prm", "orm"):
            learnt: dict[str, Any] = {"labels": self.artifact("label")}
            learnt |= {"rollouts": self.artifact("rollouts")} if c.prm.rollouts else {}
            learnt |= scored if stage == "prm" else {}
            training = {name: value for name, value in vars(c.prm).items() if not name.startswith("rollout")}
            return artifact(self.store, stage, **model, **learnt, sft=sft, prm=training, seed=c.seed)
        models = [self.artifact(kind) for kind in self.reward_models]
        return artifact(
            self.store,
            "ppo",
            **self.sources,
            **model,
            sft=sft,
            first=self.train_slices["ppo"][0].task_id,
            models=[m.key for m in models],
            **scored,
            reward=c.reward,
            algorithm=c.algorithm,
            loop=c.loop,
            sandbox=c.sandbox,
        )

    @property
    def reward_models(self) -> list[str]:
        """Which reward models PPO needs under this configuration."""
        from prl_ray.rewards.shaping import SHAPINGS

        c = self.config
        needs = SHAPINGS.find(c.reward.name).needs
        kinds = []
        if needs == "lines" or (c.algorithm.estimator == "gae" and c.algorithm.critic_init == "prm"):
            kinds.append("prm")
        if needs == "orm":
            kinds.append("orm")
        return kinds

    @property
    def trained_reward_models(self) -> list[str]:
        """Which reward models the reward stage makes: those of PPO, and those of the evaluation that no path names."""
        choose = [k for k in self.config.evaluate.rerank if not self.config.evaluate.rerank_path(k)]
        return list(dict.fromkeys([*self.reward_models, *choose]))

    def rerank_folder(self, kind: str) -> Path:
        """The reward model that chooses among an evaluation's samples: the configured folder, or the run's own.

        Raises ``ModelError`` where there is none, it is of the other kind, or it reads other tokens than the policy.
        """
        given = self.config.evaluate.rerank_path(kind)
        if not given and not self.artifact(kind).exists:
            raise ModelError(
                f"evaluate.rerank={self.config.evaluate.rerank}: this run has no {kind} yet; run its stage "
                f"'reward', or give the folder: evaluate.{kind}=runs/NAME/{kind}"
            )
        folder = (Path(given) if given else self.artifact(kind).folder).resolve()
        check_reward_folder(folder, kind)
        if load_tokenizer(folder).get_vocab() != load_tokenizer(self.base).get_vocab():
            raise ModelError(
                f"{folder} reads other tokens than the policy's ({self.base}): give a {kind} made from that model"
            )
        return folder

    def policy_folder(self, policy: str) -> Path:
        """Folder of ``base``, ``sft`` or ``ppo``."""
        return self.base if policy == "base" else self.artifact(policy).need()

    def link(self, made: Artifact) -> None:
        """Shows an artifact in the run folder under its stage's name."""
        place = self.folder / made.stage
        target = os.path.relpath(made.folder, self.folder)
        if place.is_symlink() and place.readlink() != Path(target):
            place.unlink()
        if not place.is_symlink():
            place.symlink_to(target)

    def generator_setup(self) -> GeneratorSetup:
        """The engine of this run; it starts with the base model's weights and takes up others as it goes."""
        c = self.config
        return GeneratorSetup(
            model=self.base,
            dtype=str(self.dtype[0]).removeprefix("torch."),
            max_model_len=c.model.max_prompt_tokens + c.model.max_response_tokens,
            seed=c.seed,
            unit=c.unit,
        )

    def reference_examples(self, problems: list[Problem]) -> list[Any]:
        """The references of problems, printed the one way in which all programs are printed."""
        from prl_ray.actors.supervised import Example

        return [Example(p, canonical(p.references[0], len(p.code_prefix))) for p in problems]


def run_recipe(config: Config, console: Console) -> dict[str, Any]:
    """Runs the stages of ``config`` and returns what the evaluation found (empty where it did not run)."""
    from prl_ray.stages import STAGE_FUNCTIONS

    folder = Path(config.runs_dir).resolve() / config.run_name
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed, wherever it is imported, says that it found none
    fleet = Fleet(config.cluster, config.sandbox, config.run_name, say=console.note)
    with Tracker(
        folder, config.run_name, config.tracking.mode, config.tracking.project, asdict(config), warn=console.warn
    ) as tracker:
        run = Run(config, console, tracker, fleet)
        OmegaConf.save(OmegaConf.structured(config), folder / "config.yaml")
        dtype, reason = run.dtype
        console.banner(
            f"prl_ray {config.run_name}",
            {
                "folder": folder,
                "model": f"{config.model.path or config.model.name} ({run.base})",
                "dtype": f"{str(dtype).removeprefix('torch.')}: {reason}",
                "problems": config.problems.name,
                "reward": config.reward.name,
                "tracking": tracker.url or tracker.mode,
            },
        )
        for kind in config.evaluate.rerank:
            if config.evaluate.rerank_path(kind):
                run.rerank_folder(kind)  # a wrong folder is said now and not after the training
        start_ray(config.cluster)
        result: dict[str, Any] = {}
        try:
            for stage in [s for s in STAGES if s in config.stages]:
                begin = time.monotonic()
                result = STAGE_FUNCTIONS[stage](run) or result
                tracker.log(0, {"timing_s/stage": time.monotonic() - begin}, stage=stage)
        finally:
            fleet.close()
        console.note(f"report: {write_report(folder)}")
        return result
