"""Nothing old is taken for new: an artifact's key covers the contents of its inputs and the code of its stage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prl_ray import fingerprints
from prl_ray.artifacts import Artifact
from prl_ray.config import Config, validate
from prl_ray.errors import DataError
from prl_ray.fingerprints import code_version, fingerprint
from prl_ray.inputs import RunInputs
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.rewards.config import RewardConfig
from prl_ray.stages import evaluate, label, ppo, prm, sft

SHAPE = TinyShape(hidden=32, layers=1, heads=2, kv_heads=1, mlp=32, vocab=300, context=512)
PROBLEM = {
    "task_id": "own/0",
    "prompt": "Double x.",
    "entry_point": "f",
    "references": ["def f(x):\n    return 2 * x\n"],
    "tests": ["assert f(2) == 4"],
}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[], RunInputs]:
    """Inputs read anew from a model folder and a problem file that a test changes in place."""
    model = tmp_path / "model"
    write_tiny(model, ["def f(x):\n    return 2 * x\n"] * 8, shape=SHAPE)
    problems = tmp_path / "own.jsonl"
    problems.write_text("".join(json.dumps(PROBLEM | {"task_id": f"own/{i}"}) + "\n" for i in range(4)))
    settings = {
        "runs_dir": str(tmp_path / "runs"),
        "model": {"path": str(model)},
        "problems": {"name": "jsonl", "path": str(problems)},
    }
    return lambda: RunInputs(validate(settings))


def keys(inputs: RunInputs) -> dict[str, str]:
    made = [stage.artifacts(inputs) for stage in (label, sft, prm, ppo, evaluate)]
    return {artifact.key: artifact.stage for stage in made for artifact in stage}


def touch_back(file: Path, change: Callable[[], object]) -> None:
    """Changes a file and gives it the size and time that it had."""
    before = file.stat()
    change()
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(file: Path) -> None:
    contents = bytearray(file.read_bytes())
    contents[-1] ^= 1
    file.write_bytes(contents)


def test_equal_inputs_give_equal_keys_wherever_the_model_lies(config: Callable[[], RunInputs], tmp_path: Path) -> None:
    before = keys(config())
    assert keys(config()) == before
    shutil.copytree(tmp_path / "model", tmp_path / "moved")
    moved = config()
    moved.config.model.path = str(tmp_path / "moved")
    assert fingerprint(moved.base) == fingerprint(tmp_path / "model")


def test_weights_replaced_in_place_are_another_model(config: Callable[[], RunInputs], tmp_path: Path) -> None:
    before = keys(config())
    weights = tmp_path / "model" / "model.safetensors"
    touch_back(weights, lambda: flip(weights))
    after = keys(config())
    assert {k for k, stage in after.items() if stage == "label"} == {k for k, s in before.items() if s == "label"}
    assert not {k for k, stage in before.items() if stage != "label"} & after.keys()


def test_a_chat_template_or_a_tokenizer_is_part_of_the_model(config: Callable[[], RunInputs], tmp_path: Path) -> None:
    before = keys(config())
    (tmp_path / "model" / "chat_template.jinja").write_text("{{ messages }}")
    assert not {k for k, stage in before.items() if stage != "label"} & keys(config()).keys()


def test_a_problem_file_edited_in_place_is_another_problem_set(config: Callable[[], RunInputs], tmp_path: Path) -> None:
    before = keys(config())
    file = tmp_path / "own.jsonl"
    touch_back(file, lambda: file.write_text(file.read_text().replace("f(2) == 4", "f(3) == 6")))
    assert not before.keys() & keys(config()).keys()


def test_code_counts_and_its_comments_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "PACKAGES", tmp_path)
    code = tmp_path / "room" / "module.py"
    code.parent.mkdir()

    def version(text: str) -> str:
        code.write_text(text)
        code_version.cache_clear()
        return code_version(("room",))

    plain = version("def f(x):\n    return x + 1\n")
    assert version('"""New words."""\n\n\ndef f(x):\n    """More."""\n    return x + 1  # why\n') == plain
    assert version("def f(x):\n    return x + 2\n") != plain
    assert version("def f(x):\n    return x + 1\n") == plain
    code_version.cache_clear()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        code_version(("nowhere",))


def test_every_stage_names_code_that_exists() -> None:
    for stage in (label, sft, prm, ppo, evaluate):
        rooms = getattr(stage, "CODE", None) or stage.TRAINING_CODE
        assert len(code_version(tuple(rooms))) == 16


def test_the_number_of_ranks_is_no_input(config: Callable[[], RunInputs]) -> None:
    """A run goes on with another number: what it has made counts, and its checkpoints are its own."""
    before = keys(config())
    wider = config()
    wider.config.cluster.learners = 4
    assert keys(wider) == before


def test_a_missing_file_is_an_error_and_no_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        fingerprint(tmp_path / "gone")


def test_the_reason_names_what_differs(tmp_path: Path) -> None:
    def made(**settings: object) -> Artifact:
        return Artifact.of(tmp_path, "sft", sft={"epochs": 1, "problems": 8} | settings, code="c1", seed=1)

    assert "no artifact" in made().reason()
    with made().write():
        pass
    assert made().reason().startswith("reused: sft-")
    assert "sft.epochs is 2, not 1" in made(epochs=2).reason()
    other = Artifact.of(tmp_path, "sft", sft={"epochs": 1, "problems": 8}, code="c2", seed=1)
    assert "the code of this stage changed" in other.reason()


PLUGIN = """
from prl_ray.rewards.shaping import shaping
from audited_parts.weights import WEIGHT

@shaping()
def late(x):
    return x.at_end(WEIGHT * x.outcome)
"""


def test_the_code_of_a_part_of_your_own_counts_with_its_neighbours(
    config: Callable[[], RunInputs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: keys covered the code of this project only."""
    package = tmp_path / "parts" / "audited_parts"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "late.py").write_text(PLUGIN)
    (package / "weights.py").write_text("WEIGHT = 1\n")
    monkeypatch.syspath_prepend(str(package.parent))

    def found() -> Artifact:
        inputs = config()
        inputs.config.reward = RewardConfig(name="audited_parts.late:late")
        return ppo.artifact(inputs)

    before = found()
    with before.write():
        pass
    (package / "weights.py").write_text("WEIGHT = 1  # a comment\n")
    assert found().key == before.key
    (package / "weights.py").write_text("WEIGHT = 2\n")
    assert found().key != before.key and found().reason().endswith("the code of your own parts changed")


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"algorithm": {"max_grad_norm": 0.5}}, {"sft", "prm", "ppo"}),
        ({"algorithm": {"offload": "optimizer"}}, {"sft", "prm", "ppo"}),
        ({"cluster": {"generator_tensor_parallel": 2, "generator_gpus": 1}}, {"ppo", "evaluate"}),
    ],
)
def test_settings_that_another_group_holds_count_where_they_are_read(
    config: Callable[[], RunInputs], change: dict[str, dict[str, object]], stages: set[str]
) -> None:
    """Before: gradient clipping of PPO's settings also clips SFT, whose key did not hold it."""
    before, other = keys(config()), config()
    for group, values in change.items():
        for name, value in values.items():
            setattr(getattr(other.config, group), name, value)
    changed = {stage for key, stage in keys(other).items() if key not in before}
    assert changed >= stages


def test_the_weights_of_a_teacher_replaced_in_place_are_another_teacher(
    config: Callable[[], RunInputs], tmp_path: Path
) -> None:
    """Before: a teacher's folder counted by its name."""
    teacher = tmp_path / "teacher"
    shutil.copytree(tmp_path / "model", teacher)

    def key() -> str:
        inputs = config()
        inputs.config.teacher.name, inputs.config.teacher.model = "llm", str(teacher)
        return label.artifact(inputs).key

    before, weights = key(), teacher / "model.safetensors"
    assert key() == before
    touch_back(weights, lambda: flip(weights))
    assert key() != before


def test_another_python_or_library_makes_other_results(
    config: Callable[[], RunInputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(config())
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert not before.keys() & keys(config()).keys(), "programs run on it"
    monkeypatch.undo()
    assert keys(config()) == before
    monkeypatch.setattr("prl_ray.inputs.library_versions", lambda *names: dict.fromkeys(names, "0"))
    assert {stage for key, stage in keys(config()).items() if key in before} == {"label"}


def test_a_foreign_folder_next_to_artifacts_is_no_reason_to_fail(tmp_path: Path) -> None:
    made = Artifact.of(tmp_path, "sft", seed=1)
    for name, text in (("sft-torn", '{"seed": '), ("sft-list", "[1]"), ("sft-bytes", "\x00")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inputs.json").write_text(text)
    assert "no artifact" in made.reason()


def test_the_seed_of_a_config_is_part_of_every_key(config: Callable[[], RunInputs]) -> None:
    before = keys(config())
    other = config()
    assert isinstance(other.config, Config)
    other.config.seed = 2
    assert not before.keys() & keys(other).keys()
