"""A pool grows and shrinks: as it is told, as its queue asks, and as far as the cluster has room."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import ray
from fragile import RIGHT, SLOW, SUITE, HastyPool, MakePool, run, stats, statuses

from prl_ray.actors.verifier import VerifierSetup
from prl_ray.actors.verifier_pool import VerifierPool
from prl_ray.actors.waiting import wait
from prl_ray.errors import ResourceError


def test_the_pool_grows_and_shrinks_while_it_works(make_pool: MakePool) -> None:
    free = ray.available_resources()["CPU"]
    pool = make_pool(1)
    refs = [pool.run.remote([(SLOW, SUITE)]) for _ in range(6)]
    assert ray.get(pool.resize.remote(3)) == 1
    assert stats(pool)["wanted"] == 3
    assert ray.get(pool.resize.remote(1)) == 3
    assert stats(pool)["wanted"] == 1
    assert [statuses(v) for v in ray.get(refs, timeout=60)] == [["passed"]] * 6
    assert statuses(run(pool, RIGHT)) == ["passed"]
    deadline = time.monotonic() + 30
    while ray.available_resources()["CPU"] < free - 0.25 - 1e-6:
        assert time.monotonic() < deadline, "workers that were sent home still hold their CPUs"
        time.sleep(0.2)


def test_a_pool_that_may_follows_the_queue_up_to_its_most_and_back(ray_here: None) -> None:
    pool = ray.remote(num_cpus=0, max_concurrency=1000)(HastyPool).remote(VerifierSetup(), 1, 0.25, 3)
    ray.get(pool.ready.remote(), timeout=60)
    refs = [pool.run.remote([(SLOW, SUITE)]) for _ in range(8)]
    sizes = [stats(pool)["wanted"]]
    deadline = time.monotonic() + 90
    while stats(pool)["workers"] < 3:
        assert time.monotonic() < deadline, f"the pool does not grow to its most: {sizes}"
        if len(ray.wait(refs, num_returns=len(refs), timeout=0.1)[1]) < 8:
            refs += [pool.run.remote([(SLOW, SUITE)])]  # requests wait until all workers have started, however slowly
        sizes.append(stats(pool)["wanted"])
    refs += [pool.run.remote([(SLOW, SUITE)]) for _ in range(10)]
    while len(ray.wait(refs, num_returns=len(refs), timeout=0.1)[1]):
        sizes.append(stats(pool)["wanted"])
    assert sizes == sorted(sizes) and (sizes[0], sizes[-1]) == (1, 3)
    assert {s for v in ray.get(refs) for s in statuses(v)} == {"passed"}
    deadline = time.monotonic() + 20
    while stats(pool)["workers"] > 1:
        assert time.monotonic() < deadline, "idle workers are not stopped"
        time.sleep(0.2)
    assert statuses(run(pool, RIGHT)) == ["passed"]
    ray.get(pool.resize.remote(0), timeout=30)
    ray.kill(pool)


def test_one_without_room_in_the_cluster_keeps_its_size(ray_here: None) -> None:
    free = ray.available_resources()["CPU"]
    pool = ray.remote(num_cpus=0, max_concurrency=1000)(HastyPool).remote(VerifierSetup(), 1, 0.6 * free, 3)
    ray.get(pool.ready.remote(), timeout=60)
    refs = [pool.run.remote([(SLOW, SUITE)]) for _ in range(4)]
    assert [statuses(v) for v in ray.get(refs, timeout=60)] == [["passed"]] * 4
    assert stats(pool)["workers"] == 1
    ray.get(pool.resize.remote(0), timeout=30)
    ray.kill(pool)


def test_a_size_without_room_is_refused_with_the_largest_that_fits(make_pool: MakePool) -> None:
    pool = make_pool(1, cpus=2.0)
    free = int(ray.available_resources()["CPU"] / 2.0)
    with pytest.raises(ResourceError, match=rf"the cluster has room for {1 + free} now \(2 CPU each\); give --wait"):
        wait(pool.resize.remote(2 + free), "the resize", 60)
    assert stats(pool)["wanted"] == 1


def test_workers_that_wait_for_room_get_no_work(make_pool: MakePool) -> None:
    pool = make_pool(1, cpus=2.0)
    free = int(ray.available_resources()["CPU"] / 2.0)
    wait(pool.resize.remote(1 + free + 6, True), "the resize", 60)
    refs = [pool.run.remote([(RIGHT, SUITE)]) for _ in range(40)]
    assert [statuses(v) for v in ray.get(refs, timeout=60)] == [["passed"]] * 40, "none is given to a pending worker"
    assert stats(pool)["wanted"] == 1 + free + 6 > stats(pool)["workers"]
    wait(pool.resize.remote(1), "the resize", 60)
    assert statuses(run(pool, RIGHT)) == ["passed"]


def test_the_command_scales_a_run_by_its_name(ray_here: None) -> None:
    pool = (
        ray.remote(num_cpus=0, max_concurrency=100)(VerifierPool)
        .options(name="verifiers-scaled")
        .remote(VerifierSetup(), 1, 0.1)
    )
    ray.get(pool.ready.remote(), timeout=60)
    address = ray.get_runtime_context().gcs_address

    def command(run: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prl_ray.scale", f"run={run}", "verifiers=3", f"address={address}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = command("scaled")
    assert (done.returncode, done.stdout.strip()) == (0, "verifiers of scaled: 1 -> 3"), done.stderr
    assert stats(pool)["wanted"] == 3
    missing = command("nobody")
    assert missing.returncode == 1
    assert "no run 'nobody'" in missing.stderr and "Traceback" not in missing.stderr
    ray.get(pool.resize.remote(0), timeout=30)
    ray.kill(pool)
