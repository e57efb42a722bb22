"""A demand that the cluster cannot hold is an error that says what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.actors.placement import Demand, check_fits, demands
from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError


def nodes(*cpus_and_gpus: tuple[float, float]) -> list[dict[str, float]]:
    return [{"CPU": cpus, "GPU": gpus} for cpus, gpus in cpus_and_gpus]


def test_the_defaults_fit_two_cores() -> None:
    check_fits(demands(ClusterConfig()), [{"CPU": 2.0, "memory": 1e9}])


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
    assert "Nodes: 2 CPU, 1 GPU" in said
    assert "cluster.learners" in said and "cluster.learner_gpus" in said


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
