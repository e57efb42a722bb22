"""The code that Ray carries to the nodes is the driver's, whole, and runs where nothing of it is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prl_ray.actors import shipping
from prl_ray.actors.shipping import environment, runtime_env, staged
from prl_ray.config import ClusterConfig, compose
from prl_ray.errors import ResourceError
from prl_ray.fingerprints import code_version, module_version
from prl_ray.options import plugin_modules

CLUSTER = ClusterConfig(address="auto")
JUDGE = """
from sandbox_workers import Sandbox, TestSuite
with Sandbox(isolation="full") as sandbox:
    print(sandbox.run("def f(x):\\n    return x + 1\\n", TestSuite(tests=("assert f(1) == 2",))).status)
"""
ACTORS = """
import os, sys
sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
import ray
from prl_ray.actors.shipping import runtime_env
from prl_ray.config import ClusterConfig

class Actor:
    def code(self):
        import prl_ray, sandbox_workers
        return prl_ray.__file__, sandbox_workers.__file__, os.environ["PYTHONPATH"].split(":")[0]

    def code_of_another(self):
        return ray.get(ray.remote(num_cpus=0)(Actor).remote().code.remote())

with runtime_env(ClusterConfig(address="auto"), []) as carried:
    ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR", runtime_env=carried)
actor = ray.remote(num_cpus=0, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})(Actor).remote()
for found in ray.get([actor.code.remote(), actor.code_of_another.remote()]):
    print(*found)
"""
REWARD = """
from own_helpers import WEIGHT
from prl_ray.rewards.inputs import Floats, RewardInputs
from prl_ray.rewards.shaping import shaping

@shaping(needs="tests")
def mine(x: RewardInputs) -> Floats:
    return WEIGHT * x.outcomes
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a plug-in, a module that it imports, one that nothing imports, and files of no use."""
    folder = tmp_path / "work"
    (folder / "own_package" / ".git").mkdir(parents=True)
    (folder / "own_package" / "__pycache__").mkdir()
    for name, text in {
        "own_rewards.py": REWARD,
        "own_helpers.py": "WEIGHT = 0.5\n",
        "own_unused.py": "",
        "own_package/__init__.py": "",
        "own_package/operators.py": "",
        "own_package/words.txt": "a\n",
        "own_package/.git/large": "x",
        "own_package/__pycache__/operators.cpython-311.pyc": "x",
    }.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in ("own_rewards", "own_helpers", "own_package", "own_package.operators"):
        sys.modules.pop(name, None)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python as a node of a cluster has it: another working directory, and only the carried code in PYTHONPATH."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder.parent)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_carried_code_is_the_drivers_and_runs_by_itself(tmp_path: Path) -> None:
    names = {entry.name for entry in staged(tmp_path / "code", [])}
    assert names == {"prl_ray", "sandbox_workers"}
    asked = (
        "import prl_ray, sandbox_workers; from prl_ray.config import compose; from prl_ray.fingerprints import "
        "code_version; print(prl_ray.__file__, sandbox_workers.__file__, code_version(('prl_ray', 'sandbox_workers')), "
        "compose(['+cluster=multi_node']).cluster.name)"
    )
    done = run(tmp_path / "code", "-c", asked)
    assert done.returncode == 0, done.stderr
    code = tmp_path / "code"
    assert done.stdout.split() == [
        f"{code}/prl_ray/__init__.py",
        f"{code}/sandbox_workers/__init__.py",
        code_version(("prl_ray", "sandbox_workers")),
        "multi_node",
    ]
    judged = run(code, "-c", JUDGE)
    assert judged.returncode == 0 and judged.stdout.strip() == "passed", judged.stderr


def test_in_a_submitted_job_each_package_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Before: ``FileNotFoundError`` of the doctor, which looked for ``sandbox_workers`` next to ``prl_ray``."""
    code = tmp_path / "code"
    staged(code, [])
    (tmp_path / "other").mkdir()
    (code / "sandbox_workers").rename(tmp_path / "other" / "sandbox_workers")
    asked = (
        "import sys; sys.path.append(sys.argv[1]); from prl_ray.fingerprints import code_version; "
        "print(code_version(('prl_ray', 'sandbox_workers')))"
    )
    done = run(code, "-c", asked, str(tmp_path / "other"))
    assert done.stdout.strip() == code_version(("prl_ray", "sandbox_workers")), done.stderr


def test_actors_and_those_that_they_start_run_it_whatever_lies_in_the_drivers_working_directory(tmp_path: Path) -> None:
    """Ray has actors import from there first, which on another node may hold other code. Before: ``ImportError``."""
    (tmp_path / "prl_ray").mkdir()
    (tmp_path / "prl_ray" / "__init__.py").write_text("raise ImportError('other code')\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(shipping.__file__).parents[2]), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ACTORS], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 2
    for code, sandbox, first in lines:
        assert "/working_dir_files/" in first and (code, sandbox) == (
            f"{first}/prl_ray/__init__.py",
            f"{first}/sandbox_workers/__init__.py",
        )


def test_plugins_come_with_what_they_import_from_the_same_folder(work: Path, tmp_path: Path) -> None:
    config = compose(["reward.name=own_rewards:mine", "tracking=off"])
    assert plugin_modules(config) == {"own_rewards"} == set(config.plugins)
    names = {entry.name for entry in staged(tmp_path / "code", config.plugins)}
    assert names == {"prl_ray", "sandbox_workers", "own_rewards.py", "own_helpers.py"}


def test_a_package_is_carried_whole_but_for_what_is_hidden_or_compiled(work: Path, tmp_path: Path) -> None:
    staged(tmp_path / "code", ["own_package.operators"])
    carried = tmp_path / "code" / "own_package"
    assert {p.relative_to(carried).as_posix() for p in carried.rglob("*")} == {
        "__init__.py",
        "operators.py",
        "words.txt",
    }


def test_hidden_folders_do_not_change_the_digest_by_which_nodes_are_compared(work: Path) -> None:
    before = module_version("own_package")
    (work / "own_package" / ".git" / "hook.py").write_text("x = 1\n")
    assert module_version("own_package") == before


def test_installed_packages_stay_the_nodes_own(tmp_path: Path) -> None:
    assert {entry.name for entry in staged(tmp_path / "code", ["numpy.linalg", "yaml"])} == {
        "prl_ray",
        "sandbox_workers",
    }


def test_too_much_code_is_refused_by_its_largest_file(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (work / "own_package" / "data.bin").open("wb") as file:
        file.truncate(shipping.MOST_BYTES)
    with pytest.raises(ResourceError, match=r"its largest file is .*/own_package/data\.bin.*ship_code=false"):
        staged(tmp_path / "code", ["own_package"])
    assert not (tmp_path / "code").exists(), "refused before anything is copied"


def test_nothing_is_carried_on_one_machine_or_where_the_nodes_own_code_is_asked_for() -> None:
    for cluster in (ClusterConfig(), ClusterConfig(address="auto", ship_code=False)):
        with runtime_env(cluster, []) as given:
            assert given == {"env_vars": environment(cluster)}


def test_the_configured_environment_reaches_all_actors() -> None:
    given = environment(ClusterConfig(env={"HF_HOME": "/shared/hf", "N": 3}))  # type: ignore[dict-item]
    assert given["HF_HOME"] == "/shared/hf" and given["N"] == "3" and given["TOKENIZERS_PARALLELISM"] == "false"


def test_alone_the_code_is_the_working_directory_of_all_actors() -> None:
    with runtime_env(CLUSTER, []) as given:
        assert given.keys() == {"env_vars", "working_dir"}
        folder = Path(given["working_dir"])
        assert (folder / "prl_ray" / "conf" / "config.yaml").is_file()
    assert not folder.exists()


@pytest.mark.parametrize("theirs", [[], ["gcs://_ray_pkg_0.zip"]])
def test_a_submitted_job_keeps_its_working_directory_its_modules_and_its_environment(
    theirs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"working_dir": "gcs://_ray_pkg_1.zip", "env_vars": {"TOKENIZERS_PARALLELISM": "true", "A": "job", "B": "2"}}
    if theirs:
        job["py_modules"] = theirs
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps({"runtime_env": job, "metadata": {}}))
    monkeypatch.setenv("RAY_OVERRIDE_JOB_RUNTIME_ENV", "0")
    with runtime_env(ClusterConfig(address="auto", env={"A": "run"}), []) as given:
        assert "working_dir" not in given
        assert [Path(module).name for module in given["py_modules"]] == [
            "prl_ray",
            "sandbox_workers",
            *(uri.rpartition("/")[2] for uri in theirs),
        ]
        assert given["env_vars"] == {"RAY_DEDUP_LOGS": "1", "TOKENIZERS_PARALLELISM": "true", "A": "run", "B": "2"}
        assert merged_by_ray(job, dict(given)).keys() == {"working_dir", "py_modules", "env_vars"}


def merged_by_ray(job: dict[str, object], ours: dict[str, object]) -> dict[str, object]:
    """What ``ray.init`` makes of both."""
    from ray.runtime_env.runtime_env import _merge_runtime_env

    found = _merge_runtime_env(job, ours, override=os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] == "1")
    assert found is not None, "Ray refuses keys that both have"
    return dict(found)
