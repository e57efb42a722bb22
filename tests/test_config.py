"""Every file in conf/ composes, and what cannot be right is an error that names what would be."""

from __future__ import annotations

import importlib.resources
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from prl_ray import cli, compose
from prl_ray.config import STAGES, Config, check_key, known_keys, validate
from prl_ray.config.composition import GROUPS, options
from prl_ray.errors import ConfigError
from prl_ray.rewards.shaping import SHAPINGS

FILES = [(group, option) for group in GROUPS for option in options(group)]


@pytest.mark.parametrize(("group", "option"), FILES)
def test_every_file_composes_and_validates(group: str, option: str) -> None:
    extra = ["stages=[evaluate]"] if option in ("humaneval", "humaneval_plus", "mbpp_plus", "livecodebench") else []
    config = compose([f"{group}={option}", *extra])
    if group in ("model", "problems", "reward", "algorithm", "teacher", "cluster"):
        assert getattr(config, group).name == {"plausible": "rules"}.get(option, option)
    if group == "locator":
        assert config.algorithm.locator == option


def test_no_file_in_conf_is_left_out() -> None:
    folder = importlib.resources.files("prl_ray.conf")
    groups = {entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name != "__pycache__"}
    assert groups == set(GROUPS)
    assert set(options("reward")) == set(SHAPINGS)


def test_without_overrides_the_defaults_of_the_schema_hold() -> None:
    config = compose([])
    assert config.cluster == Config().cluster
    assert config.loop == Config().loop
    assert config.stages == list(STAGES)
    for ours, schemas in ((config.algorithm, Config().algorithm), (config.reward, Config().reward)):
        assert ours == schemas


def test_a_run_is_named_after_what_sets_it_apart() -> None:
    assert compose([]).run_name == "smollm2-composed-gate"
    assert compose(["reward=process", "model=tiny"]).run_name == "tiny-composed-process"
    assert compose(["algorithm=ppo"]).run_name == "smollm2-composed-outcome"
    assert compose(["algorithm=gate", "reward=pass_rate"]).run_name == "smollm2-composed-gate-pass_rate"
    assert compose(["name=mine"]).run_name == "mine"
    paths = {"/models/Qwen2.5-Coder": "Qwen2.5-Coder", "file:///shared/mine/": "mine", "me/my-model": "my-model"}
    for path, label in {**paths, "a folder": "a-folder", "runs/long/ppo": "smollm2"}.items():
        assert compose([f"model.path={path}"]).run_name == f"{label}-composed-gate"
    assert compose(["model.path=/models/x", "model.name=second"]).run_name == "second-composed-gate"


def test_shapings_choose_the_algorithm_that_they_are_for() -> None:
    for name in options("reward"):
        assert compose([f"reward={name}"]).algorithm.estimator == ("gate" if name == "outcome" else "gae")
    config = compose(["reward=process", "algorithm.estimator=rloo"])
    assert (config.reward.name, config.algorithm.estimator) == ("process", "rloo")


def test_lines_are_paid_by_the_shaping_or_by_the_estimator_not_by_both() -> None:
    with pytest.raises(ConfigError, match="set reward=outcome"):
        compose(["algorithm.estimator=gate", "reward=process_mean"])
    config = compose(["algorithm=gate", "locator=surprise", "algorithm.locator_params.threshold=0.4"])
    assert config.algorithm.estimator == "gate" and config.algorithm.locator_params == {"threshold": 0.4}
    with pytest.raises(ConfigError, match=r"algorithm\.locator_params\.threshold=1\.5"):
        compose(["locator=surprise", "algorithm.locator_params.threshold=1.5"])
    with pytest.raises(ConfigError, match=r"algorithm\.estimator_params\.part=all is not one of both, mixed, failing"):
        compose(["algorithm=gate", "algorithm.estimator_params.part=all"])


def test_a_reward_that_was_asked_for_is_never_replaced_by_that_of_the_algorithm() -> None:
    assert compose(["algorithm=gate"]).reward.name == "outcome"
    assert compose(["reward=pass_rate", "algorithm=gate"]).reward.name == "pass_rate"
    for reward in ("process", "process_mean", "located"):
        with pytest.raises(ConfigError, match=f"reward={reward} pays lines too; set reward=outcome"):
            compose([f"reward={reward}", "algorithm=gate"])


def test_cluster_and_experiment_work_with_and_without_the_plus() -> None:
    assert compose(["cluster=multi_node"]) == compose(["+cluster=multi_node"])
    assert compose(["cluster=multi_node"]).cluster.generators == 2
    assert compose(["cluster=local"]) == compose(["+cluster=local"])
    assert compose(["experiment=smoke"]) == compose(["+experiment=smoke"])
    assert compose(["+cluster=multi_node", "cluster.learners=3"]).cluster.learners == 3


def test_the_resolved_config_reads_back(tmp_path: Path) -> None:
    config = compose(["reward=outcome", "teacher.weights.missing_slice=0.5", "evaluate.k=[1,2]"])
    OmegaConf.save(OmegaConf.structured(config), tmp_path / "config.yaml")
    again = validate(OmegaConf.load(tmp_path / "config.yaml"))  # type: ignore[arg-type]
    assert again == config


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+typo=3"], ["no key 'typo'"]),
        (["+loop.stepz=3"], ["no key 'loop.stepz'", "'loop.steps'"]),
        (["loop.stepz=3"], ["no key 'loop.stepz'", "'loop.steps'"]),
        (["lop.steps=3"], ["no key 'lop.steps'", "'loop.steps'"]),
        (["samples_per_prompt=3"], ["no key 'samples_per_prompt'", "'loop.samples_per_prompt'"]),
        (["+learning_rte=3"], ["learning_rate"]),
        (["++algorithm.gama=0.9"], ["'algorithm.gamma'"]),
        (["rewards=outcome"], ["'reward'"]),
        (["+clutser=local"], ["'cluster'"]),
        (["reward=outcom"], ["outcome"]),
        (["+cluster=lokal"], ["local", "multi_node", "single_gpu"]),
        (["cluster=lokal"], ["did you mean 'local'"]),
        (["problems=mbbp"], ["did you mean 'mbpp'"]),
        (["+experiment=smoek"], ["did you mean 'smoke'"]),
        (["loop.steps"], ["'loop.steps' is not an override", "KEY=VALUE"]),
        (["loop.steps=many"], ["loop.steps", "many"]),
        (["algorithm.whiten=7up"], ["algorithm.whiten"]),
        (["loop.samples_per_prompt=0"], ["loop.samples_per_prompt=0", "minimum 1"]),
        (["algorithm.lam=1.5"], ["algorithm.lam=1.5", "maximum 1"]),
        (["algorithm.critic=had"], ["not one of head, full", "'head'"]),
        (["model.dtype=float16"], ["model.dtype=float16", "bfloat16"]),
        (["reward.name=proces"], ["reward.name", "'process'"]),
        (["reward.control=shufled"], ["reward.control", "none"]),
        (["stages=[label,stf]"], ["stages", "'stf'", "'sft'"]),
        (["evaluate.policies=[pppo]"], ["evaluate.policies", "'ppo'"]),
        (["prm.online_replay=2"], ["prm.online_replay=2", "prm.online=true"]),
        (["stages=[]"], ["stages=[]", "label"]),
        (["evaluate.policies=[]"], ["evaluate.policies=[]", "sft"]),
        (["teacher.weights.no_such_operator=1"], ["no_such_operator"]),
        (["teacher=llm", "teacher.endpoint=localhost:8000"], ["teacher.endpoint=localhost:8000", "http://"]),
        (["teacher=mixed", "teacher.endpoint=http://localhost:8000/v1"], ["teacher.model"]),
        (
            ["teacher=llm", "teacher.endpoint=http://x/v1", "teacher.model=m", "teacher.api_key_env=PRL_RAY_NO_KEY"],
            ["PRL_RAY_NO_KEY", "not set"],
        ),
        (["teacher=lm"], ["did you mean 'llm'"]),
        (["lines.unit=blocks"], ["lines.unit=blocks", "'block'"]),
        (["teacher.llm_share=2"], ["teacher.llm_share=2"]),
        (["name=a/b"], ["a/b", "folder name"]),
        (["name=.."], ["folder name"]),
        (["name=artifacts"], ["folder name"]),
        (["model.name=a/b", "model.path=x"], ["folder name"]),
        (["problems.min_difficulty=5", "problems.max_difficulty=2"], ["problems.min_difficulty"]),
        (["problems=humaneval"], ["evaluation only", "prl_ray.evaluate"]),
        (
            ["loop.prompts_per_step=5", "algorithm.minibatches=2"],
            ["loop.prompts_per_step=5", "algorithm.minibatches=2"],
        ),
        (["loop.prompts_per_step=2", "algorithm.minibatches=4"], ["algorithm.minibatches=4"]),
        (["algorithm.estimator=rloo", "loop.samples_per_prompt=1"], ["rloo", "samples_per_prompt"]),
        (["reward.alpha=5"], ["alpha=5"]),
        (["reward=group_gated", "loop.filter_groups=true"], ["group_gated", "loop.filter_groups=false"]),
        (["evaluate.k=[0]"], ["evaluate.k"]),
        (
            ["+cluster=single_gpu", "cluster.generator_tensor_parallel=2"],
            ["cluster.generator_tensor_parallel", "cluster.generator_gpus is 0.4"],
        ),
        (["model.attention=flash_attention_2"], ["model.attention=flash_attention_2", "cluster.learner_gpus"]),
        (["cluster.generator_sleep=1"], ["cluster.generator_sleep=1", "no GPUs for both", "single_gpu"]),
        (
            ["+cluster=single_gpu", "cluster.generator_sleep=2", "loop.max_staleness=1"],
            ["cluster.generator_sleep", "loop.max_staleness=1"],
        ),
        (["loop.in_flight=true"], ["loop.in_flight=true", "loop.max_staleness=0"]),
        (
            ["loop.in_flight=true", "loop.max_staleness=1", "algorithm.estimator=vine"],
            ["algorithm.estimator=vine", "loop.in_flight=true"],
        ),
        (
            ["loop.in_flight=true", "loop.max_staleness=1", "+cluster=single_gpu", "cluster.generator_sleep=1"],
            ["cluster.generator_sleep", "loop.max_staleness=1"],
        ),
        (["algorithm.offload=all"], ["algorithm.offload=all needs algorithm.zero_stage=3"]),
        (["prm.path=runs/x/prm", "prm.rollouts=200"], ["prm.rollouts=200", "prm.path gives one", "set one of them"]),
        (["prm.online=true", "reward=outcome"], ["prm.online=true", "reward=outcome", "reads the PRM"]),
        (["prm.online=true", "reward=process", "algorithm.locator_check=0"], ["algorithm.locator_check=0"]),
    ],
)
def test_what_cannot_be_right_is_an_error_that_names_what_would_be(overrides: list[str], said: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        compose(overrides)
    for words in said:
        assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("override", ["locator=foo", "stages=[xyz]", "reward.control=zzz"])
def test_no_name_is_suggested_where_none_is_near(override: str) -> None:
    with pytest.raises(ConfigError, match=r"not one of|known: .*constant\. An import path") as error:
        compose([override])
    assert "did you mean" not in str(error.value)


def test_labels_depend_on_the_model_only_where_it_is_asked() -> None:
    rules = compose(["teacher.model=m"]).teacher.inputs()
    assert rules == compose(["teacher.attempts=9"]).teacher.inputs() and "model" not in rules
    llm = compose(["teacher=llm", "teacher.model=m"]).teacher.inputs()
    assert llm == compose(["teacher=llm", "teacher.model=m", "teacher.parallel=2"]).teacher.inputs()
    assert llm != compose(["teacher=llm", "teacher.model=n"]).teacher.inputs()
    assert llm != compose(["teacher=llm", "teacher.model=m", "teacher.temperature=0"]).teacher.inputs()


def test_a_slip_of_one_letter_in_any_key_is_led_back_to_it() -> None:
    known = known_keys()
    for key in known:
        name = key.rsplit(".", 1)[-1]
        slipped = key[: -len(name)] + name[:2] + name[3:]
        if len(name) < 6 or slipped in known:
            continue
        with pytest.raises(ConfigError, match=f"the nearest is '{key}'"):
            check_key(slipped)


def test_help_lists_every_key_and_every_option() -> None:
    text = cli.help_text("What it does.")
    leaves = [key for key in known_keys() if not any(other.startswith(f"{key}.") for other in known_keys())]
    for key in leaves:
        assert f"  {key}=" in text
    for group, option in FILES:
        assert option in next(line for line in text.splitlines() if line.lstrip(" +").startswith(f"{group}="))


def test_every_field_has_a_sentence() -> None:
    lines = [line for line in cli.help_text("").splitlines() if "." in line.split("=")[0]]
    assert len(lines) > 80
    for line in lines:
        sentence = line.split(" ", 3)[-1].strip()
        assert sentence[-1] == ".", line


@pytest.mark.parametrize("path", ["/m/a=b", "/m/a,b", "/m/it's", "/m/a{b", "/m/a b=c", "/m/a#b", "/m/模型-é"])
def test_a_path_that_hydra_cannot_read_comes_back_quoted_and_then_works(path: str) -> None:
    with pytest.raises(ConfigError, match="quote it: ") as refused:
        compose([f"model.path={path}"])
    (spelling,) = shlex.split(str(refused.value).partition("quote it: ")[2])
    assert compose([spelling]).model.path == path
