"""A demand that the cluster cannot hold is an error that says what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.actors.placement import Demand, Node, by_node, check_fits, demands
from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError


def nodes(*cpus_and_gpus: tuple[float, float]) -> list[Node]:
    return [Node(f"host{i} (10.0.0.{i})", cpus, gpus) for i, (cpus, gpus) in enumerate(cpus_and_gpus, 1)]


def test_the_defaults_fit_two_cores() -> None:
    check_fits(demands(ClusterConfig()), nodes((2, 0)))


def test_fractions_fill_a_node_to_the_brim() -> None:
    check_fits([Demand("verifier", 10, 0.1, 0), Demand("scorer", 1, 1.0, 0)], nodes((2, 0)))


def test_a_node_takes_what_others_have_no_room_for() -> None:
    check_fits([Demand("verifier", 2, 1, 0), Demand("learner", 1, 4, 0)], nodes((2, 0), (4, 0)))


def test_two_halves_on_two_nodes_are_no_whole() -> None:
    with pytest.raises(ResourceError, match=r"no room for 1 generator\(s\)"):
        check_fits([Demand("generator", 1, 2, 0)], nodes((1, 0), (1, 0)))


def test_the_shortfall_is_counted_and_explained() -> None:
    wanted = [Demand("learner", 2, 1, 1), Demand("verifier", 3, 1, 0)]
    with pytest.raises(ResourceError) as error:
        check_fits(wanted, nodes((2, 1)))
    said = str(error.value)
    assert "1 learner(s), 2 verifier(s)" in said
    assert "2 learner(s) of 1 CPU, 1 GPU; 3 verifier(s) of 1 CPU, 0 GPU" in said
    assert "Free: host1 (10.0.0.1): 2 CPU, 1 GPU" in said
    assert "cluster.learners" in said and "cluster.learner_gpus" in said


def test_the_ranks_of_an_engine_are_on_one_node() -> None:
    cluster = ClusterConfig(generator_gpus=1, generator_tensor_parallel=2, generator_pipeline_parallel=2)
    (engine,) = [demand for demand in demands(cluster) if demand.role == "generator"]
    assert (engine.count, engine.gpus) == (1, 4)
    check_fits([engine], nodes((8, 4)))
    with pytest.raises(ResourceError, match=r"no room for 1 generator\(s\)"):
        check_fits([engine], nodes((8, 2), (8, 2)))


def test_an_empty_cluster_is_named() -> None:
    with pytest.raises(ResourceError, match="no nodes"):
        check_fits(demands(ClusterConfig()), [])


def test_every_setting_that_the_message_names_exists() -> None:
    for demand in demands(ClusterConfig()):
        for name in (f"{demand.role}s", f"{demand.role}_cpus"):
            assert hasattr(ClusterConfig(), name)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_what_is_passed_over_never_exceeds_a_total(sizes: Sequence[int], asked: Sequence[int]) -> None:
    wanted = [Demand(f"role{i}", 1, cpus, 0) for i, cpus in enumerate(asked)]
    there = nodes(*((size, 0) for size in sizes))
    try:
        check_fits(wanted, there)
    except ResourceError:
        return
    assert sum(asked) <= sum(sizes)


@pytest.mark.parametrize(
    ("bundles", "order"),
    [
        ({0: "b", 1: "a", 2: "b", 3: "a"}, [1, 3, 0, 2]),
        ({0: "a", 1: "b", 2: "b"}, [1, 2, 0]),
        ({0: "z"}, [0]),
    ],
)
def test_ranks_of_one_node_follow_each_other_the_fullest_node_first(bundles: dict[int, str], order: list[int]) -> None:
    assert by_node(bundles) == order


def test_the_role_that_needs_most_is_packed_on_the_nodes_with_most_room() -> None:
    """Eight ranks fill one node of eight GPUs, and do not take four of each."""
    wanted = [Demand("generator", 8, 1, 1), Demand("learner", 1, 1, 8)]
    check_fits(wanted, nodes((16, 8), (16, 8)))


def test_what_needs_nothing_fits_everywhere() -> None:
    check_fits([Demand("generator", 5, 0, 0)], nodes((0, 0)))
