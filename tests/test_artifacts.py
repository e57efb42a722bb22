"""Artifacts are found by what they are made from, and appear whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from prl_ray.artifacts import Artifact
from prl_ray.config import PrmConfig, SftConfig, validate
from prl_ray.errors import DataError, ModelError
from prl_ray.inputs import RunInputs
from prl_ray.stages import label, prm, rollouts, sft


@dataclass
class Odd:
    value: int = 1


def test_an_artifact_is_found_again_by_the_same_inputs_only(tmp_path: Path) -> None:
    made = Artifact.of(tmp_path, "sft", sft=SftConfig(), seed=1, base=Path("models/x"))
    assert not made.exists
    with made.write() as folder:
        (folder / "weights").write_text("w")
    assert made.exists
    assert made.need() == made.folder
    assert (made.folder / "weights").read_text() == "w"
    again = Artifact.of(tmp_path, "sft", base=Path("models/x"), seed=1, sft=SftConfig())
    assert again == made and again.exists
    others = [
        Artifact.of(tmp_path, "sft", sft=replace(SftConfig(), epochs=2), seed=1, base=Path("models/x")),
        Artifact.of(tmp_path, "sft", sft=SftConfig(), seed=2, base=Path("models/x")),
        Artifact.of(tmp_path, "prm", sft=SftConfig(), seed=1, base=Path("models/x")),
        Artifact.of(tmp_path, "sft", sft=SftConfig(), seed=1),
    ]
    assert not any(other.exists for other in others)
    assert len({other.key for other in [*others, made]}) == 5


def test_its_inputs_are_stored_with_it(tmp_path: Path) -> None:
    upstream = Artifact.of(tmp_path, "label", seed=1)
    made = Artifact.of(tmp_path, "prm", labels=upstream, odd=Odd(3), stages=["a"])
    with made.write():
        pass
    inputs = json.loads((made.folder / "inputs.json").read_text())
    assert inputs["labels"] == upstream.key
    assert inputs["odd"] == {"value": 3}
    assert inputs["stages"] == ["a"]


def test_another_upstream_artifact_makes_another_one(tmp_path: Path) -> None:
    first, second = (Artifact.of(tmp_path, "label", seed=seed) for seed in (1, 2))
    assert Artifact.of(tmp_path, "prm", labels=first).key != Artifact.of(tmp_path, "prm", labels=second).key


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    made = Artifact.of(tmp_path, "sft", seed=1)

    def half() -> None:
        with made.write() as folder:
            (folder / "weights").write_text("half")
            raise error

    with pytest.raises(error):
        half()
    assert not made.exists
    assert list(tmp_path.iterdir()) == []


def test_a_missing_one_names_the_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"stages=\[prm\]"):
        Artifact.of(tmp_path, "prm", seed=1).need()


def test_only_models_that_learn_from_rollouts_depend_on_them(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()

    def keys(**settings: int) -> dict[str, str]:
        config = validate(
            {"runs_dir": str(tmp_path), "problems": {"train": 40}, "teacher": {"problems": 8}, "prm": settings}
        )
        inputs = RunInputs(config)
        inputs.base = tmp_path / "model"  # type: ignore[misc]
        return {stage.name: stage.artifact(inputs).key for stage in (label, sft, rollouts, prm)}

    without, with_some = keys(), keys(rollouts=4)
    assert keys(rollout_samples=9)["prm"] == without["prm"] != with_some["prm"]
    assert keys(rollouts=4, rollout_samples=9)["prm"] != with_some["prm"]
    assert keys(rollouts=4)["label"] == without["label"] and with_some["sft"] == without["sft"]
    assert keys(rollouts=4, epochs=2)["rollouts"] == with_some["rollouts"] != keys(rollouts=5)["rollouts"]
    assert PrmConfig().rollouts == 0


def test_a_given_prm_is_known_by_its_contents(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    inputs = RunInputs(validate({"runs_dir": str(tmp_path), "prm": {"path": str(folder)}}))
    inputs.base = tmp_path  # type: ignore[misc]
    with pytest.raises(ModelError, match=r"mine holds no readable config\.json .* a reward model is needed"):
        prm.check(inputs)
    (folder / "config.json").write_text('{"prl_kind": "prm"}')
    first = prm.artifact(inputs).key
    assert (
        prm.artifact(RunInputs(validate({"runs_dir": str(tmp_path), "prm": {"path": str(folder)}, "seed": 2}))).key
        == first
    )
    (folder / "weights").write_text("other ones")
    assert prm.artifact(inputs).key != first
    moved = folder.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="mine"):
        prm.artifact(inputs)
    assert moved.is_dir()
