"""Runs tests by pytest, in the process that has defined them: fixtures, parameters, marks, classes, coroutines."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    Pytest = Any
    """A type of pytest's, which is not installed with this package."""

PYTEST_HELPER = "__run_pytest__"
"""Name under which test code finds ``run_pytest``."""
_FILE = "tests.suite"  # of no suffix by which a plugin collects files
_PLUGINS = "pytest_asyncio.plugin", "anyio.pytest_plugin"
"""Plugins that are used where programs may import them."""
_LATE_PARTS = ("_argcomplete", "_io.pprint")
_OPTIONS = "-qs", "--noconftest", "--assert=plain", "-pno:cacheprovider", "-pno:doctest"


def load_parts() -> None:
    """Import once the modules that each run would import; its parts differ from version to version."""
    config = importlib.import_module("_pytest.config")
    parts = (f"_pytest.{name}" for name in (*getattr(config, "default_plugins", ()), *_LATE_PARTS))
    for name in ("tempfile", *parts):
        with suppress(ImportError):
            importlib.import_module(name)


def run_pytest(names: list[str]) -> int:
    """Run the tests among what these names of the main module hold, with their fixtures; 0, as ``pytest.main`` says.

    Raises:
        BaseException: of the first test that failed.
        AssertionError: no test has passed, or not all have been run.
    """
    import tempfile
    import types

    module = types.ModuleType("tests")
    held = vars(sys.modules["__main__"])
    vars(module).update({name: held[name] for name in names if name in held})
    outcome = _Outcome(module)
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        path, settings = f"{folder}/{_FILE}", f"{folder}/pytest.ini"
        for empty in (path, settings):
            open(empty, "w").close()  # noqa: PTH123 - as elsewhere here
        plugins = [f"-p{name}" for name in _PLUGINS if name.split(".")[0] in sys.modules]
        importlib.import_module("pytest").main(
            [*_OPTIONS, *plugins, f"-c{settings}", f"--rootdir={folder}", path], plugins=[outcome]
        )
    outcome.raise_failure()
    return 0


class _Outcome:
    """A plugin that gives pytest the module, and notes the ends of its tests."""

    def __init__(self, module: object) -> None:
        self._module = module
        self._raised: BaseException | None = None
        self._complaint = ""
        self._collected = 0
        self._ended = 0
        self._passed = 0

    def pytest_collect_file(self, file_path: Path, parent: Pytest) -> Pytest:
        """Collect the module in the place of our file."""
        if file_path.name != _FILE:
            return None
        held = {"_getobj": lambda _: self._module}  # whose marks it takes
        tests: Pytest = type("Tests", (importlib.import_module("pytest").Module,), held)
        return tests.from_parent(parent, path=file_path)

    def pytest_collection_finish(self, session: Pytest) -> None:
        """Note how many tests there are."""
        self._collected = len(session.items)

    def pytest_runtest_logreport(self, report: Pytest) -> None:
        """Note the end of a test, or of its setup or teardown."""
        self._passed += report.when == "call" and report.passed
        self._ended += report.when == "teardown"
        self._note(report)

    def pytest_collectreport(self, report: Pytest) -> None:
        """Note a failed collection."""
        self._note(report)

    def pytest_exception_interact(self, call: Pytest) -> None:
        """Keep the exception of the first failure."""
        if self._raised is None and call.excinfo is not None:
            self._raised = call.excinfo.value

    def _note(self, report: Pytest) -> None:
        if report.failed and not self._complaint:
            self._complaint = f"{report.nodeid}: {report.longreprtext.strip()[-200:]}"

    def raise_failure(self) -> None:
        """Raise the exception of the first test that failed, if any did.

        Raises:
            BaseException: that; as ``AssertionError`` where it would end the tests, or no test has passed.
        """
        if isinstance(self._raised, Exception):
            raise self._raised
        if self._complaint:
            raise AssertionError(self._complaint)
        if not self._passed:
            raise AssertionError("no test has passed: there is none, or every one was skipped")
        if self._ended < self._collected:
            raise AssertionError("pytest ended before all tests were run")
