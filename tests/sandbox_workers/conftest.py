"""One sandbox for many tests: that is what a worker is for, and each test shows that the ones before left nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox_workers import Limits, Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("full", Limits(wall_s=5.0, cpu_s=5.0)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def strict_sandbox() -> Iterator[Sandbox]:
    """Programs cannot choose that tests run in their process."""
    with Sandbox("full", Limits(wall_s=5.0, cpu_s=5.0), shared_fallback=False) as sandbox:
        yield sandbox
