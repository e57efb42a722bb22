"""The real sandbox, and a judge of lines on it."""

from collections.abc import Iterator
from functools import partial

import pytest

from prl_ray.credit.verdicts import LineJudge
from sandbox_workers import Limits, Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(wall_s=1.5, cpu_s=1.0)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def judge(sandbox: Sandbox) -> LineJudge:
    return LineJudge(partial(sandbox.run, stop_at_first_failure=True), sandbox.call)
