"""What an experiment file must have."""

from pathlib import Path

import pytest

from prl_ray.errors import ConfigError
from prl_ray.experiment.plan import read_experiment
from tests.experiment.toy import FILE


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("baseline: outcome", "baseline: none_such", "baseline must be one of the arms"),
        ("says: the gate", "against: outcome", "other than itself and the baseline"),
        ("says: the gate", "against: gate", "other than itself and the baseline"),
        ("says: the gate", "against: none_such", "other than itself and the baseline"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "seeds has a duplicate"),
        ("seeds: [1, 2]", "seeds: [one]", "list of non-negative integers"),
        ("common:", "comon:", "unknown keys"),
        ("[loop.steps=2]", "[seed=3]", "set by the experiment"),
        ("[loop.steps=2]", "loop.steps=2", "must be a list of KEY=VALUE"),
        ('hypothesis: "Lines & outcomes: < 5 points."', "hypothesis: ''", "must state the expected result"),
        ('hypothesis: "Lines & outcomes: < 5 points."', "hypothesis: [one, 2]", "must state the expected result"),
        ("  gate:", "  a-gate:", "letters, digits and _"),
        ("name: toy", "name: [", "is not YAML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(file: Path, old: str, new: str, message: str) -> None:
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        read_experiment(file)
