import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, read_result, write_result


def test_a_result_is_written_whole_and_reads_back(tmp_path):
    repeats = [{"per_second": np.float32(2.5), "times": np.arange(2)}, {"per_second": 3}]
    path = write_result("speed_test", {"ratio": 1.5, "n": np.int64(3)}, {"path": Path("x")}, repeats, folder=tmp_path)
    assert path == tmp_path / "speed_test.json"
    result = read_result("speed_test", tmp_path)
    assert list(result) == ["headline", "environment", "config", "repeats"]
    assert result["headline"] == {"ratio": 1.5, "n": 3} and result["config"] == {"path": "x"}
    assert result["repeats"] == [{"per_second": 2.5, "times": [0, 1]}, {"per_second": 3}]


@pytest.mark.parametrize("value", ["0.5", None, True, math.nan, math.inf, [1.0]])
def test_a_headline_is_a_finite_number(tmp_path, value):
    with pytest.raises(ValueError, match="headline ratio"):
        write_result("x", {"ratio": value}, {}, [{}], folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_json_cannot_say_leaves_the_old_file(tmp_path):
    path = write_result("x", {"ratio": 1.0}, {}, [{}], folder=tmp_path)
    for config, repeats in [({}, [{"loss": math.nan}]), ({"what": object()}, [{}]), ({}, [])]:
        with pytest.raises((ValueError, TypeError)):
            write_result("x", {"ratio": 2.0}, config, repeats, folder=tmp_path)
    assert json.loads(path.read_text())["headline"] == {"ratio": 1.0}
    with pytest.raises(ValueError, match="name"):
        write_result("../x", {"ratio": 1.0}, {}, [{}], folder=tmp_path)


def test_every_stored_result_is_of_this_form():
    for path in RESULTS.glob("*.json"):
        result = json.loads(path.read_text())
        assert set(result) >= {"headline", "environment", "config", "repeats"}, path.name
        assert all(isinstance(v, int | float) and math.isfinite(v) for v in result["headline"].values()), path.name
        assert result["repeats"] and result["environment"]["date"], path.name
