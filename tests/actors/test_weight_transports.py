"""Weight transports: every engine loads what was sent, whatever the transport; a wrong choice is an error at start."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from prl_ray import compose
from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.handles import call
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.transports.filesystem import FilesystemTransport
from prl_ray.actors.waiting import wait
from prl_ray.actors.weights import Route, SentWeights, TransportSetup
from prl_ray.config import ClusterConfig
from prl_ray.errors import ConfigError, ModelError
from prl_ray.models.named_weights import Weight, named_weights
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.models.shard_files import read_folder
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch

SAMPLING = Sampling(samples=2, temperature=1.0, max_tokens=48, seed=11)


def state(seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    shared = torch.randn(40, 25, generator=random)
    return {
        "embed": shared,
        "body": torch.randn(30, 50, generator=random).t(),
        "count": torch.tensor([seed]),
        "empty": torch.zeros(0),
        "head": shared,
    }


@given(shard_bytes=st.integers(1, 20_000), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_every_tensor_comes_back_whatever_the_size_of_a_shard(
    tmp_path_factory: pytest.TempPathFactory, shard_bytes: int, dtype: torch.dtype
) -> None:
    transport = FilesystemTransport(tmp_path_factory.mktemp("run") / "weights", shard_mb=1)
    transport.shard_bytes = shard_bytes
    sent = state(3)
    folder = transport.send(7, named_weights(sent), dtype)
    found = dict(read_folder(folder))
    assert found.keys() == sent.keys()
    for name, tensor in sent.items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.dtype and torch.equal(found[name], expected)
    sizes = [(folder / shard).stat().st_size for shard in json.loads((folder / "index.json").read_text())["shards"]]
    largest = max(tensor.nbytes for tensor in found.values())
    assert max(sizes) <= max(shard_bytes, largest) + 1000, "a shard holds one tensor, or no more than its size"


def test_tied_weights_are_written_once(tmp_path: Path) -> None:
    folder = FilesystemTransport(tmp_path, 1).send(1, named_weights(state(1)), torch.float32)
    with safe_open(folder / "shard_00000.safetensors", framework="pt") as file:
        assert sorted(file.keys()) == ["body", "count", "embed", "empty"]


def test_the_last_two_versions_stay_and_other_files_too(tmp_path: Path) -> None:
    transport = FilesystemTransport(tmp_path / "weights", 1)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "notes").write_text("mine")
    (tmp_path / "weights" / ".version_00000001-killed").mkdir()
    folders = [transport.send(version, named_weights(state(version)), torch.float32) for version in (1, 2, 3)]
    left = {path.name for path in (tmp_path / "weights").iterdir()}
    assert left == {"notes", folders[1].name, folders[2].name}


def test_the_newest_version_stays_whatever_the_clock_of_the_node_that_sent_the_others(tmp_path: Path) -> None:
    transport = FilesystemTransport(tmp_path, 1)
    for version in (7, 8):
        os.utime(transport.send(version, named_weights(state(version)), torch.float32), (2e9, 2e9))
    newest = transport.send(5, named_weights(state(5)), torch.float32)
    assert int(dict(read_folder(newest))["count"]) == 5 and len(list(tmp_path.iterdir())) == 2


def test_nothing_stays_at_the_end_but_what_is_not_ours(tmp_path: Path) -> None:
    transport = FilesystemTransport(tmp_path / "weights", 1)
    transport.remove()  # a run that ended before its first push
    transport.send(1, named_weights(state(1)), torch.float32)
    (tmp_path / "weights" / ".version_00000002-killed").mkdir()
    transport.remove()
    assert list(tmp_path.iterdir()) == []
    transport.send(1, named_weights(state(1)), torch.float32)
    (tmp_path / "weights" / "notes").write_text("mine")
    transport.remove()
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["notes"]


def test_a_version_that_is_sent_again_takes_the_place_of_none(tmp_path: Path) -> None:
    """A learner that resumes from a checkpoint sends a version that was sent before, and not the same weights."""
    transport = FilesystemTransport(tmp_path, 1)
    first, second = (
        transport.send(4, named_weights(state(1)), torch.float32),
        transport.send(4, named_weights(state(2)), torch.float32),
    )
    assert first != second
    assert int(dict(read_folder(first))["count"]) == 1 and int(dict(read_folder(second))["count"]) == 2


class Killed(BaseException):
    """Ends a process in the middle of its work."""


def test_a_learner_that_dies_while_it_writes_leaves_no_version(tmp_path: Path) -> None:
    transport = FilesystemTransport(tmp_path / "weights", 1)
    kept = transport.send(1, named_weights(state(1)), torch.float32)

    def killed() -> Iterator[Weight]:
        yield Weight("embed", torch.zeros(300_000))
        yield Weight("body", torch.zeros(3))
        raise Killed

    with pytest.raises(Killed):
        transport.send(2, killed(), torch.float32)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [kept.name]


@pytest.mark.parametrize("lost", ["index.json", "shard_00000.safetensors"])
def test_what_is_not_there_is_an_error_that_names_the_setting(tmp_path: Path, lost: str) -> None:
    folder = FilesystemTransport(tmp_path, 1).send(1, named_weights(state(1)), torch.float32)
    (folder / lost).unlink()
    with pytest.raises(ModelError, match=r"cluster\.weights_params\.folder"):
        dict(read_folder(folder))


def test_a_cut_file_is_an_error(tmp_path: Path) -> None:
    folder = FilesystemTransport(tmp_path, 1).send(1, named_weights(state(1)), torch.float32)
    file = folder / "shard_00000.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelError, match="no weights to load"):
        dict(read_folder(folder))


def test_the_transport_is_chosen_and_checked_at_start() -> None:
    config = compose(["cluster.weights=filesystem", "cluster.weights_params.folder=/shared"])
    opened = TransportSetup.of(config.cluster, Path("runs/mine")).open()
    assert isinstance(opened, FilesystemTransport) and opened.folder == Path("/shared/mine")
    config.cluster.weights_params["folder"] = "shared"
    with pytest.raises(ConfigError, match=r"folder=shared must be an absolute path"):
        TransportSetup.of(config.cluster, Path("runs/mine")).open()
    with pytest.raises(ConfigError, match=r"no key 'cluster\.weights_params\.foldr'.*did you mean 'folder'"):
        compose(["cluster.weights=filesystem", "+cluster.weights_params.foldr=/shared"])
    with pytest.raises(ConfigError, match="below its minimum"):
        compose(["cluster.weights=filesystem", "cluster.weights_params.shard_mb=0"])
    with pytest.raises(ConfigError, match="did you mean 'object_store'"):
        compose(["cluster.weights=objectstore"])


def test_nccl_needs_gpus() -> None:
    for gpus in (0, 0.5):  # NCCL refuses two ranks on one GPU
        cluster = ClusterConfig(weights="nccl", learner_gpus=gpus, generator_gpus=1)
        with pytest.raises(ConfigError, match=r"cluster\.learner_gpus=1 and cluster\.generator_gpus=1"):
            TransportSetup.of(cluster, Path("run")).open()
    nccl = TransportSetup.of(ClusterConfig(weights="nccl", learner_gpus=1, generator_gpus=1), Path("run")).open()
    assert nccl.settles_engines and not TransportSetup().open().settles_engines


def _use(setup: TransportSetup, engine: Generator) -> None:
    engine.transport = setup.open()


def test_an_engine_serves_the_same_through_files_as_through_the_object_store(
    ray_here: None, base: Path, problems: list[Problem], tmp_path: Path
) -> None:
    model = load_policy(base, torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    tokens = tuple(range(10, 60))
    expected = probe_logprobs(model, tokens)
    engine = ray.remote(num_cpus=1)(Generator).remote(GeneratorSetup(base, "float32", 256, max_num_seqs=8))
    try:
        found = {}
        for name, params in (("object_store", {}), ("filesystem", {"shard_mb": 1})):
            wait(engine.load_folder.remote(base, -1), "the first weights", 500)
            setup = TransportSetup(Route(tmp_path / "weights"), name, params)
            wait(call(engine, partial(_use, setup)), "the transport", 100)
            ticket = setup.open().send(7, named_weights(model.state_dict()), torch.float32)
            served = wait(engine.load.remote(SentWeights(7, ticket, tokens, expected)), "the engine", 100)
            assert served.version == 7 and served.gap_max < 1e-3
            stream = engine.generate.options(num_returns="streaming").remote(problems[:2], [0, 1], SAMPLING)
            batches = sorted((ray.get(ref) for ref in stream), key=lambda batch: int(batch.prompt_ids[0]))
            found[name] = TrajectoryBatch.concat(batches)
        assert found["filesystem"].programs == found["object_store"].programs
        assert found["filesystem"].logprobs.tolist() == found["object_store"].logprobs.tolist()
        wrong = SentWeights(8, ticket, tokens, expected - 1)
        with pytest.raises(ModelError, match="version 8 but serves other weights"):
            wait(engine.load.remote(wrong), "the engine", 100)
    finally:
        ray.kill(engine)
