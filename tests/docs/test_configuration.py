"""docs/configuration.md is what the schemas say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from pages import ROOT

from prl_ray.config import known_keys


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_reference", ROOT / "tools" / "config_reference.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(reference: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check"]) == 0, capsys.readouterr().err


def test_every_key_has_a_row(reference: ModuleType) -> None:
    text = reference.page()
    keys = known_keys()
    groups = {key.rpartition(".")[0] for key in keys}
    assert all(f"| `{key}` |" in text for key in keys if key not in groups)
    assert "| `algorithm.gamma` | float | `1.0` | 1e-06 to 1 | Discount. |" in text
    assert "| `problems.train` | int, or empty | empty | at least 1 |" in text


def test_check_changes_nothing_and_the_command_mends(
    reference: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "configuration.md"
    page.write_text("old\n", encoding="utf-8")
    assert reference.main(["--check", "--page", str(page)]) == 1
    assert "not current" in capsys.readouterr().err and page.read_text() == "old\n"
    assert reference.main(["--page", str(page)]) == 0
    assert reference.main(["--check", "--page", str(page)]) == 0
