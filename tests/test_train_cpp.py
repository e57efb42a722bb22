"""The recipe on problems in C++ goes through: learnt, sampled, compiled and judged, rewarded and evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_train import environment

PROGRAM = '#include <iostream>\nint main() {{\n    int n;\n    std::cin >> n;\n    std::cout << n * {k} << "\\n";\n}}\n'


@pytest.mark.slow
def test_a_run_on_cpp_problems(tmp_path: Path) -> None:
    rows = [
        {
            "task_id": f"times/{k}",
            "prompt": f"// Read n, print n * {k}.",
            "language": "cpp",
            "stdio": [{"input": f"{n}\n", "output": f"{n * k}\n"} for n in (1, 7)],
            "references": [PROGRAM.format(k=k)],
            "split": split,
        }
        for k, split in enumerate(["train"] * 8 + ["validation"] * 2 + ["test"] * 2, 2)
    ]
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    overrides = ["+experiment=smoke", "+cluster=local", "cluster.threads=1", "tracking=off", "name=cpp"]
    overrides += ["problems.name=jsonl", f"problems.path={tmp_path / 'problems.jsonl'}", "lines.unit=physical"]
    overrides += ["stages=[sft,ppo,evaluate]", "reward=outcome", "algorithm.estimator=rloo", "sandbox.wall_s=20"]
    overrides += ["loop.steps=1", "loop.prompts_per_step=2", "loop.samples_per_prompt=2", "sft.epochs=2"]
    overrides += ["model.dtype=float32", "model.max_response_tokens=96", "sandbox.memory_mb=1024"]
    overrides += ["evaluate.policies=[ppo]"]
    done = subprocess.run(
        [sys.executable, "-m", "prl_ray.train", *overrides],
        cwd=tmp_path,
        env=environment(tmp_path / "cache"),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    evaluation = json.loads((tmp_path / "runs" / "cpp" / "evaluation.json").read_text())
    verdicts = evaluation["policies"]["ppo"]["verdicts"]
    ours = {"compile_error", "wrong_answer", "runtime_error", "timeout", "output_limit", "passed"}
    assert verdicts and set(verdicts) <= ours, "the compiler judged them, not a sandbox that lacks the language"
    rows = [json.loads(line) for line in (tmp_path / "runs" / "cpp" / "metrics.jsonl").read_text().splitlines()]
    learnt = [row["metrics"] for row in rows if row["stage"] == "ppo" and "actor/kl" in row["metrics"]]
    assert len(learnt) == 1 and learnt[0]["line/per_sample"] > 1
    assert learnt[0]["training/rollout_logprob_gap_max"] < 1e-3
