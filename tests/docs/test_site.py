"""The documentation builds without a warning, its links lead somewhere, and the code that it names is there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import PAGES, ROOT, broken, code_references, definitions, links


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", str(source), str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT / "docs", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    built = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"README"} <= built


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("train.md", "[nowhere](nothing.md)"),
        ("train.md", "[no such heading](metrics.md#nothing)"),
        ("orphan.md", "# A page without a place in index.rst"),
    ],
)
def test_the_build_fails_for(page: str, text: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / page).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    done = build(tmp_path / "docs", tmp_path / "site")
    assert done.returncode != 0
    assert page in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not [target for target in links(page) if broken(page, target)]


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = ROOT / "docs" / "train.md"
    assert broken(page, "nothing.md") and broken(page, "metrics.md#nothing") and broken(page, "../../outside")
    assert not broken(page, "metrics.md#policy") and not broken(page, "#stages") and not broken(page, "../conf")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for path, name in code_references(page):
        file = ROOT / path
        if not file.exists() or (name and name not in definitions(file)):
            missing.append(f"{path}:{name}" if name else path)
    assert not missing


def test_definitions_are_found() -> None:
    found = definitions(ROOT / "tests" / "docs" / "pages.py")
    assert {"ROOT", "prose"} <= found and "nothing" not in found
    assert "TrajectoryBatch.take" in definitions(ROOT / "prl_ray" / "trajectory.py")


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
