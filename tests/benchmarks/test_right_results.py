"""The count of mended kinds: a kind with a failed or a skipped test is not right."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import right_results
from benchmarks._results import read_result

MODULES = {
    "test_mended.py": '"""It holds."""\n\ndef test_one():\n    assert True\n\ndef test_two():\n    assert True\n',
    "test_broken.py": '"""It breaks."""\n\ndef test_one():\n    assert False\n',
    "test_left_out.py": '"""Nothing shown."""\n\nimport pytest\n\n@pytest.mark.skip\ndef test_one():\n    pass\n',
    "test_unreadable.py": '"""No test."""\n\nraise RuntimeError\n',
}


def test_kinds_are_counted_by_what_their_tests_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(right_results, "TESTS", tmp_path)
    right_results.main(["--results", str(tmp_path)])
    result = read_result("right_results", tmp_path)
    assert result["headline"] == {"kinds": 4, "right": 1}
    rows = {row["kind"]: row for row in result["repeats"]}
    assert rows["mended"] == {
        "kind": "mended",
        "promise": "It holds.",
        "tests": 2,
        "failed": 0,
        "skipped": 0,
        "right": True,
    }
    assert rows["broken"]["failed"] == 1 and rows["left_out"]["skipped"] == 1 and rows["unreadable"]["failed"] == 1


def test_the_stored_comparison_of_the_main_job_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_mended.py").write_text(MODULES["test_mended.py"])
    monkeypatch.setattr(right_results, "TESTS", tmp_path)
    right_results.main(["--results", str(tmp_path)])
    assert "main_job" not in read_result("right_results", tmp_path)["config"]
    file = tmp_path / "right_results.json"
    stored = json.loads(file.read_text())
    stored["config"]["main_job"] = {"before": {"gain": 0.1}}
    file.write_text(json.dumps(stored))
    right_results.main(["--results", str(tmp_path)])
    assert read_result("right_results", tmp_path)["config"]["main_job"] == {"before": {"gain": 0.1}}
