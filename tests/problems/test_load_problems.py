"""The registry names what it knows; loading problems imports nothing heavy."""

import pickle
import subprocess
import sys

import pytest

from prl_ray.errors import ConfigError, DataError
from prl_ray.problems import load_problems


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("compsed", {}, "unknown problem set 'compsed'.*; did you mean 'composed'"),
        ("composed", {"split": "valid"}, "unknown split 'valid'.*; did you mean 'validation'"),
        ("composed", {"max_dificulty": 3}, "no key 'problems.params.max_dificulty'.*; did you mean 'max_difficulty'"),
        ("composed", {"limit": 0}, "limit=0"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        load_problems(name, **options)  # type: ignore[arg-type]


def test_problems_cross_processes() -> None:
    problems = load_problems("composed", limit=5)
    assert pickle.loads(pickle.dumps(problems)) == problems


def test_no_heavy_imports() -> None:
    code = (
        "import sys; from prl_ray.problems import load_problems; from prl_ray.lines import segment;"
        "load_problems('composed', limit=5);"
        "print([m for m in ('ray', 'torch', 'vllm', 'deepspeed', 'transformers', 'datasets') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
