"""The tables about the verifier, made of results with figures that are easy to follow by hand."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import verifier_attacks
from benchmarks._cpu import cpu_s
from benchmarks._layers import bars, layers
from benchmarks._results import write_result
from benchmarks.readme_tables import table
from sandbox_workers import Sandbox, TestSuite, attacks


def repeat(ours, raw):
    return {
        "per_second": ours,
        "raw_per_second": raw,
        "layers_per_second": {"clone": raw, "+ limits": raw / 2},
        "peers": {"bubblewrap": {"per_second": ours / 10}},
        "ratio_bubblewrap": 10.0,
    }


def test_a_layer_costs_what_it_adds():
    costs = layers([repeat(500, 2000), repeat(500, 4000), repeat(500, 2500)])
    assert costs == pytest.approx({"clone": 400, "+ limits": 400})  # medians: 2500 and 1250 a second


def test_the_longest_bar_is_the_largest_value():
    chart = ET.fromstring(bars("a & b", {"one": 10.0, "two": 40.0, "less": -1.0}, "s"))
    widths = [float(bar.get("width", "0")) for bar in chart.iter("{http://www.w3.org/2000/svg}rect") if bar.get("x")]
    assert widths == [pytest.approx(widths[1] / 4, abs=0.1), max(widths), 0.0]


def test_throughput_table(tmp_path):
    headline = {"per_second": 900, "share_of_raw_fork": 0.3, "p50_ms": 1.1, "p99_ms": 1.9, "scaling_2_workers": 1.8}
    growth = {"soak_growth_mb": 0.25, "soak_growth_processes": 0, "soak_growth_mounts": 0}
    soak = {"soak_programs": 100_000, **growth, "soak_growth_descriptors": 0}
    write_result("verifier_throughput", {**headline, **soak}, {}, [repeat(900, 3000)], folder=tmp_path)
    text = table("verifier_throughput", tmp_path)
    assert "| sandbox_workers | 900 |  |" in text
    assert "| bubblewrap | 90 | 10.0 × |" in text
    assert "| fork, exit and wait alone | 3,000 | 0.30 × |" in text
    assert "| + limits | 333 |" in text and "verifier_layers.svg" in text
    assert "100,000 programs later: 0.2 MB, 0 processes, 0 mounts, 0 descriptors more" in text


def test_throughput_table_tells_the_cpu(tmp_path):
    headline = {"per_second": 900, "share_of_raw_fork": 0.3, "p50_ms": 1.1, "p99_ms": 1.9, "scaling_2_workers": 1.8}
    cost = {"cpu_ms_per_program": 1.456, "per_second_2_cores": 1620.4, "http_per_second": 1234.0}
    write_result("verifier_throughput", {**headline, **cost}, {}, [repeat(900, 3000)], folder=tmp_path)
    text = table("verifier_throughput", tmp_path)
    assert "A program takes 1.46 ms of CPU, of all processes together; two workers run 1,620 a second" in text
    assert "a server of two 1,234 requests." in text


def test_the_cpu_of_a_sandbox_is_that_of_its_programs_too():
    burn = "import time\nwhile time.process_time() < {}:\n    pass\ndef f(n):\n    return n\n"
    suite = TestSuite(tests=("assert f(1) == 1",))
    with Sandbox() as sandbox:
        before = cpu_s(sandbox)
        assert sandbox.run(burn.format(0.4), suite).ok
        assert sandbox.run("def f(n):\n    return n\n", suite).ok  # now the one before has been waited for
        assert 0.35 < cpu_s(sandbox) - before < 1.0


def test_agreement_table(tmp_path):
    headline = {"references": 1138, "references_passed": 1138, "honest_programs": 26, "false_rejects": 1}
    write_result("verifier_agreement", {**headline, "mutants": 1500, "disagreements": 2}, {}, [{}], folder=tmp_path)
    text = table("verifier_agreement", tmp_path)
    assert "| 1,138 of 1,138 |" in text and "| 25 of 26 |" in text and "| 1,498 of 1,500 |" in text


def test_attacks_table(tmp_path):
    held = {"sandbox_workers": {"escape": "2/2", "forging": "3/3"}, "evalplus": {"forging": "1/3"}}
    headline = {"attacks": 5, "held": 5, "held_best_peer": 1, "mixed": 1000, "honest_verdicts_changed": 0}
    write_result("verifier_attacks", headline, {}, [{"held": held, "broken": {}}], folder=tmp_path)
    text = table("verifier_attacks", tmp_path)
    assert "| escape | 2/2 | not run |" in text and "| forging | 3/3 | 1/3 |" in text
    assert "1,000 attacks queued among as many honest programs changed 0" in text


def test_a_category_counts_what_was_run_of_it():
    suite = [attack for attack in attacks.load() if attack.category in ("forging", "network")]
    names = [f"{attack.category}/{attack.name}" for attack in suite if attack.category == "forging"]
    counted = verifier_attacks._table({"sandbox_workers": names, "evalplus": names[:2]}, suite)
    forging, network = len(names), len(suite) - len(names)
    assert counted["sandbox_workers"] == {"forging": f"{forging}/{forging}", "network": f"0/{network}"}
    assert counted["evalplus"] == {"forging": f"2/{forging}"}
