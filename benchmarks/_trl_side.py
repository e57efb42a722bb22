"""TRL's online trainer as the other side of ``step_anatomy``: one question, one whole step.

TRL's ``GRPOTrainer`` on the same policy folder, with the same order of prompts, samples per prompt, length limit,
temperature, KL coefficient, optimizer steps per batch and number format. Its reward is the outcome, by our own sandbox
in its process. Open choices of TRL are set to the fast option: no gradient checkpointing, weights in the compute format
(without float32 masters), micro-batches as large as ours. It has no critic and no process reward model.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._side import receive, send
from prl_ray.problems import Problem


@dataclass(frozen=True)
class TrlWork:
    """TRL's task; ``problems`` hold the prompts of all steps, in order."""

    policy: Path
    dtype: str
    problems: list[Problem]
    prompts_per_step: int
    samples: int
    max_tokens: int
    temperature: float
    learning_rate: float
    kl_coef: float
    clip: float
    max_grad_norm: float
    optimizer_steps: int
    """Optimizer steps on the samples of one step."""
    micro_batch: int
    """Samples of one forward and backward pass."""
    isolation: str
    seed: int
    threads: int


def main(spec: Path) -> None:
    work: TrlWork = pickle.loads(spec.read_bytes())
    import torch
    from datasets import Dataset
    from trl import GRPOTrainer

    from prl_ray.models.encode import prompt_text
    from prl_ray.models.policy import load_tokenizer

    torch.set_num_threads(work.threads or os.cpu_count() or 1)
    tokenizer = load_tokenizer(work.policy)
    rows = [{"prompt": prompt_text(p), "task": i} for i, p in enumerate(work.problems)]
    outcome = Outcome(work)
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=str(work.policy),
            reward_funcs=outcome,
            args=trainer_config(work, folder),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[turns(work, outcome)],
        )
        send({"ready": True})
        trainer.train()


def trainer_config(work: TrlWork, folder: str) -> Any:
    """The same step as TRL's configuration."""
    import torch
    from trl import GRPOConfig

    samples = work.prompts_per_step * work.samples
    micro_batches = samples // work.micro_batch
    return GRPOConfig(
        output_dir=folder,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        model_init_kwargs={"dtype": work.dtype, "attn_implementation": "sdpa"},
        per_device_train_batch_size=work.micro_batch,
        gradient_accumulation_steps=micro_batches // work.optimizer_steps,
        steps_per_generation=micro_batches,
        num_generations=work.samples,
        max_completion_length=work.max_tokens,
        temperature=work.temperature,
        top_k=0,
        beta=work.kl_coef,
        epsilon=work.clip,
        learning_rate=work.learning_rate,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        max_grad_norm=work.max_grad_norm,
        num_iterations=1,
        max_steps=len(work.problems) // work.prompts_per_step * work.optimizer_steps,
        gradient_checkpointing=False,
        shuffle_dataset=False,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        seed=work.seed,
    )


class Outcome:
    """Reward 1 for a program that passes, and a count of the tokens that were sampled."""

    __name__ = "outcome"

    def __init__(self, work: TrlWork) -> None:
        from sandbox_workers import Sandbox

        self.problems = work.problems
        self.sandbox = Sandbox(work.isolation)
        self.tokens = 0
        self.passed = 0

    def __call__(
        self, completions: list[str], completion_ids: list[list[int]], task: list[int], **rest: Any
    ) -> list[float]:
        self.tokens = sum(map(len, completion_ids))
        problems = [self.problems[i] for i in task]
        pairs = zip(problems, completions, strict=True)
        rewards = [float(self.sandbox.run(p.code_prefix + text, p.tests).ok) for p, text in pairs]
        self.passed = int(sum(rewards))
        return rewards


def turns(work: TrlWork, outcome: Outcome) -> Any:
    """A callback that waits for a question before every whole step and answers after it."""
    from transformers import TrainerCallback

    class Turns(TrainerCallback):
        start = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step % work.optimizer_steps == 0:
                if receive() is None:
                    os._exit(0)  # the trainer has no way out of the middle of a loop
                self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step % work.optimizer_steps == 0:
                seconds = time.perf_counter() - self.start
                send({"seconds": seconds, "tokens": outcome.tokens, "passed": outcome.passed})

    return Turns()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
