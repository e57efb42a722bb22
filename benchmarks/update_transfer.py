"""What a few updates on some prompts change for others, by the weight of negative advantages.

The SFT policy of a finished run samples training problems; those with both outcomes are split in two. From the same
start, each variant takes the same optimizer steps on the first part (leave-one-out advantages of the tests' outcome,
whitened, negative ones times ``scale``). Nothing is sampled again: on the second part, whose prompts no update has
seen, the change of pass@1 is estimated by self-normalised importance weights, ``sum(w ok) / sum(w) - mean(ok)`` over a
prompt's samples with ``w = p_new(sample) / p_old(sample)``. ``gain_S`` is its mean over prompts for ``scale = S``,
``gain_se_S`` the standard error.

  python benchmarks/update_transfer.py                 policy of the run that `python -m prl_ray.train` made
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks._results import RESULTS, write_result

if TYPE_CHECKING:
    import torch

    from prl_ray.actors.rollout import Experience

HELD_OUT_SHARE = 0.4
MAX_LOG_WEIGHT = 5.0


@dataclass(frozen=True)
class Work:
    """The starting point of every variant."""

    policy: Path
    dtype: torch.dtype
    batch: Any
    """``TrajectoryBatch`` of the prompts with both outcomes."""
    ok: np.ndarray
    """bool ``[samples]``."""
    learning_rate: float
    steps: int
    budget: int
    seed: int

    @property
    def held_out(self) -> np.ndarray:
        """bool ``[samples]``: of the prompts that no update sees."""
        prompts = np.unique(self.batch.prompt_ids)
        return np.isin(self.batch.prompt_ids, prompts[round(len(prompts) * (1 - HELD_OUT_SHARE)) :])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps, each on its share of the prompts")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 0.2, 0.0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    import ray

    from benchmarks._actors import bench
    from benchmarks._runs import stated

    with bench(options.overrides) as b:
        models = b.models()
        experience = sampled(b, models.policy, options.prompts, options.samples)
        work = make_work(b, models.policy, experience, options.steps)
        threads = {"env_vars": {"OMP_NUM_THREADS": str(b.config.cluster.threads or os.cpu_count() or 1)}}
        rows = []
        for scale in options.scales:
            actor = ray.remote(num_cpus=b.config.cluster.learner_cpus, runtime_env=threads)(Variant).remote(work)
            rows.append({"scale": scale, **ray.get(actor.run.remote(scale))})
            print(rows[-1], flush=True)
            ray.kill(actor)
    headline = {f"gain_{row['scale']:g}": row["gain"] for row in rows}
    headline |= {f"gain_se_{row['scale']:g}": row["gain_se"] for row in rows}
    config = {
        "overrides": stated(options.overrides),
        "models": models.source,
        "prompts": options.prompts,
        "samples": options.samples,
        "steps": options.steps,
        "learning_rate": work.learning_rate,
        "prompts_learnt": len(np.unique(work.batch.prompt_ids[~work.held_out])),
        "prompts_held_out": len(np.unique(work.batch.prompt_ids[work.held_out])),
    }
    print(write_result("update_transfer", headline, config, rows, folder=options.results))


def sampled(b: Any, policy: Path, prompts: int, samples: int) -> Experience:
    """Samples and verdicts of the policy, without scores; the engine and the verifiers are ended again."""
    from prl_ray.actors.generator import Sampling
    from prl_ray.actors.rollout import gather
    from prl_ray.sampling import sample

    config = b.config
    problems = b.problems[:prompts]
    b.fleet.start_verifiers(problems)
    b.fleet.start_generators(b.generator_setup(policy))
    b.fleet.wait_ready()
    sampling = Sampling(samples, config.loop.temperature, config.model.max_response_tokens, config.seed)
    rollout = sample(b.fleet, problems, sampling, config.cluster.request_timeout_s).rollout
    experience = gather(rollout)
    b.fleet.close()
    return experience


def make_work(b: Any, policy: Path, experience: Experience, steps: int) -> Work:
    """The samples of the prompts that have both outcomes."""
    ids, ok = experience.batch.prompt_ids, experience.verdicts.ok
    mixed = [p for p in np.unique(ids) if ok[ids == p].any() and not ok[ids == p].all()]
    rows = np.flatnonzero(np.isin(ids, mixed) & experience.verdicts.valid)
    algorithm = b.config.algorithm
    return Work(
        policy=policy,
        dtype=b.inputs.dtype,
        batch=experience.batch.take(rows),
        ok=ok[rows],
        learning_rate=algorithm.learning_rate,
        steps=steps,
        budget=algorithm.micro_batch_tokens,
        seed=b.config.seed,
    )


class Variant:
    """One policy that learns with one scale, in a Ray actor."""

    def __init__(self, work: Work) -> None:
        from prl_ray.actors.engine import Engine, EngineSettings, join_group
        from prl_ray.actors.forward import Forward
        from prl_ray.actors.meeting import RankInfo
        from prl_ray.models.policy import load_policy

        join_group(RankInfo())
        self.work = work
        model = load_policy(work.policy, work.dtype)
        self.engine = Engine(model, EngineSettings(work.learning_rate, dtype=work.dtype))
        self.forward = Forward(model, work.budget)

    def run(self, scale: float) -> dict[str, float]:
        """Learns on the first part; what that changes on the second."""
        from prl_ray.actors.forward import logprobs
        from prl_ray.ppo.advantages import sample_totals

        work, rows = self.work, np.flatnonzero(self.work.held_out)
        before = logprobs(self.forward, work.batch, np.arange(len(work.batch)), 1.0)
        self.learn(weighed(work, scale), before)
        change = logprobs(self.forward, work.batch, rows, 1.0) - before
        totals = sample_totals(change, work.batch.token_offsets)[rows]
        gain, se = importance_gain(totals, work.ok[rows], work.batch.prompt_ids[rows])
        return {"gain": gain, "gain_se": se, "kl": float(-totals.mean())}

    def learn(self, advantages: np.ndarray, old: np.ndarray) -> None:
        """One pass over the prompts of the first part, in ``steps`` optimizer steps."""
        import torch

        from prl_ray.ppo.collate import flat_rows, token_rows
        from prl_ray.ppo.logprobs import token_logprobs
        from prl_ray.ppo.losses import clipped_surrogate
        from prl_ray.ppo.packing import minibatches
        from prl_ray.trajectory import take_ragged

        work = self.work
        prompts = np.unique(work.batch.prompt_ids[~work.held_out])
        head: Any = self.engine.module.get_output_embeddings()  # type: ignore[operator]
        for chosen in minibatches(len(prompts), -(-len(prompts) // work.steps), work.seed):
            rows = np.flatnonzero(np.isin(work.batch.prompt_ids, prompts[chosen]))
            total = len(take_ragged(work.batch.token_offsets, rows)[0])
            parts = self.forward.micro_batches(work.batch, rows, 0, 1)
            for i, padded in enumerate(parts):
                states = flat_rows(self.forward.hidden(padded), padded.predicts)
                new, _ = token_logprobs(states, head.weight, padded.targets, bias=head.bias, with_entropy=False)
                was, advantage = (token_rows(work.batch.token_offsets, padded.rows, c) for c in (old, advantages))
                loss = clipped_surrogate(new - was, advantage, torch.ones_like(was))
                self.engine.backward(loss.total / total, last=i == len(parts) - 1)
            self.engine.step()


def weighed(work: Work, scale: float) -> np.ndarray:
    """Scaled leave-one-out advantages of the outcome, float32 ``[tokens]``, negative ones times ``scale``."""
    from prl_ray.ppo.advantages import ESTIMATORS, AdvantageInputs
    from prl_ray.ppo.whitening import scale_of, scaled, weigh_negative

    batch = work.batch
    rewards = np.zeros(len(batch.tokens), dtype=np.float32)
    rewards[batch.token_offsets[1:] - 1] = work.ok
    estimator = ESTIMATORS["rloo"]
    advantages = estimator(AdvantageInputs(rewards, batch.token_offsets, batch.prompt_ids)).advantages
    counted = np.ones(len(advantages), dtype=bool)
    return weigh_negative(scaled(advantages, counted, scale_of(advantages, counted, sparse=estimator.sparse)), scale)


def importance_gain(change: np.ndarray, ok: np.ndarray, prompts: np.ndarray) -> tuple[float, float]:
    """Estimated change of pass@1 and its standard error over prompts.

    ``change`` is float ``[samples]``, ``log p_new - log p_old`` of each whole sample. It is held within
    ``MAX_LOG_WEIGHT``, so that no sample speaks for all.
    """
    weights = np.exp(np.clip(change, -MAX_LOG_WEIGHT, MAX_LOG_WEIGHT))
    gains = []
    for prompt in np.unique(prompts):
        mine = prompts == prompt
        gains.append(np.average(ok[mine], weights=weights[mine]) - ok[mine].mean())
    return float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(len(gains)))


if __name__ == "__main__":
    main()
