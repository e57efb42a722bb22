"""The generator actor compared with bare offline vLLM: tokens per second on the same prompts, seeds and settings.

Ours is the whole path: a Ray actor that samples, decodes, cuts programs into lines and streams ``TrajectoryBatch``es
into the object store. Bare vLLM is one call of ``LLM.generate`` in a separate process, which decodes no text. The two
take turns. Seeds are fixed, so that both sides sample the same tokens, which is checked. ``ratio`` is the median of
ours over bare.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks._runs import stated
from benchmarks._side import Side, alternate, receive, send, tokens_per_second
from prl_ray.actors.generator import Sampling
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.problems import Problem


@dataclass(frozen=True)
class Work:
    """The work of both sides in one repeat."""

    setup: GeneratorSetup
    gpus: float
    problems: list[Problem]
    samples: int
    temperature: float
    max_tokens: int

    def sampling(self, number: int) -> Sampling:
        """How repeat ``number`` samples; -1 warms up."""
        return Sampling(self.samples, self.temperature, self.max_tokens, seed=number + 1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="further config overrides, KEY=VALUE")
    options = parser.parse_args(arguments)
    if options.bare:
        return bare(pickle.loads(options.bare.read_bytes()))
    return compare(options)


def compare(options: argparse.Namespace) -> None:
    """Both sides, in turns, and the result file."""
    from benchmarks._actors import SCRATCH, bench

    overrides = [f"model={options.model}", *options.overrides]
    with bench(overrides) as b:
        models = b.models()
        loop = b.config.loop
        work = Work(
            b.generator_setup(models.policy),
            b.config.cluster.generator_gpus,
            b.problems[: options.prompts],
            loop.samples_per_prompt,
            loop.temperature,
            b.config.model.max_response_tokens,
        )
        generator = b.fleet.start_generators(work.setup)[0]
        b.fleet.wait_ready()
        SCRATCH.mkdir(parents=True, exist_ok=True)
        spec = SCRATCH / "generator_throughput.pickle"
        spec.write_bytes(pickle.dumps(work))
        command = [sys.executable, __file__, "--bare", str(spec)]
        with Side(command, SCRATCH / "generator_throughput.log") as side:
            ours(generator, work, -1)
            side.ask({"number": -1})
            rows = alternate(options.repeats, lambda n: ours(generator, work, n), lambda n: side.ask({"number": n}))
    repeats = [
        {
            **row,
            "ratio": tokens_per_second(row["ours"]) / tokens_per_second(row["theirs"]),
            "same_tokens": row["ours"]["checksum"] == row["theirs"]["checksum"],
        }
        for row in rows
    ]
    headline = {"ratio": statistics.median(r["ratio"] for r in repeats)}
    config = {
        "overrides": stated(overrides),
        "models": models.source,
        "dtype": work.setup.dtype,
        "prompts": options.prompts,
        "samples": work.samples,
        "max_tokens": work.max_tokens,
        "ours_tokens_per_second": statistics.median(tokens_per_second(r["ours"]) for r in repeats),
        "bare_tokens_per_second": statistics.median(tokens_per_second(r["theirs"]) for r in repeats),
    }
    if not all(r["same_tokens"] for r in repeats):
        print("warning: the two sides did not sample the same tokens; the rates still compare", file=sys.stderr)
    print(headline, config, write_result("generator_throughput", headline, config, repeats, folder=options.results))


def ours(generator: Any, work: Work, number: int) -> dict[str, Any]:
    """The actor's rate, from the request until the last batch lies in the object store."""
    import ray

    start = time.perf_counter()
    ids = list(range(len(work.problems)))
    stream = generator.generate.options(num_returns="streaming").remote(work.problems, ids, work.sampling(number))
    refs = list(stream)
    seconds = time.perf_counter() - start
    chunks = ray.get(refs)
    tokens = sum(len(c.tokens) for c in chunks)
    return {"seconds": seconds, "tokens": tokens, "checksum": sum(int(c.tokens.sum()) for c in chunks)}


def bare(work: Work) -> None:
    """The child: offline vLLM as its documentation shows it, with the generator's settings."""
    from prl_ray.actors.sampling_engine import start_engine
    from prl_ray.models.encode import render_prompt
    from prl_ray.models.policy import load_tokenizer

    setup = work.setup
    llm = start_engine(setup, work.gpus)  # first: it sets the environment that vLLM reads
    from vllm import SamplingParams

    tokenizer = load_tokenizer(setup.model)
    prompts = [{"prompt_token_ids": render_prompt(tokenizer, p)} for p in work.problems]
    send({"ready": True})
    while question := receive():
        sampling = work.sampling(question["number"])
        params = [
            SamplingParams(
                n=sampling.samples,
                temperature=sampling.temperature,
                seed=sampling.seed * 1_000_003 + i,
                max_tokens=sampling.max_tokens,
                logprobs=0,
                detokenize=False,
                stop_token_ids=[tokenizer.eos_token_id],
            )
            for i in range(len(prompts))
        ]
        start = time.perf_counter()
        outputs = llm.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - start
        tokens = [o.token_ids for output in outputs for o in output.outputs]
        send({"seconds": seconds, "tokens": sum(map(len, tokens)), "checksum": sum(map(sum, tokens))})


if __name__ == "__main__":
    main()
