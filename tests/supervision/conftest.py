"""The real sandbox for all tests of this folder that execute programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prl_ray.supervision.local import LocalExecution
from sandbox_workers import SandboxUnavailable


@pytest.fixture(scope="module")
def execution() -> Iterator[LocalExecution]:
    try:
        local = LocalExecution()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with local:
        yield local
