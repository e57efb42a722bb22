"""The stored start of the experiments on long programs: one model on every machine."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.composed_start import FOLDER, main, store
from prl_ray.experiment.plan import read_experiment
from prl_ray.models.policy import load_policy, load_tokenizer


def test_it_is_small_and_the_experiment_begins_with_it() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 10_000_000
    [start] = read_experiment(FOLDER.with_name("composed_credit.yaml")).starts
    assert start.model == FOLDER


def test_storing_it_again_changes_nothing(tmp_path: Path) -> None:
    store(FOLDER, tmp_path / "again")
    stored, again = (load_policy(folder, torch.float32).state_dict() for folder in (FOLDER, tmp_path / "again"))
    assert stored.keys() == again.keys() and all(torch.equal(stored[name], again[name]) for name in stored)
    assert load_tokenizer(tmp_path / "again").get_vocab() == load_tokenizer(FOLDER).get_vocab()
    for tensor in stored.values():
        assert torch.equal(tensor.half().float(), tensor)


def test_a_stored_start_is_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="records may belong to the model in it"):
        main(["--run", str(tmp_path), "--to", str(FOLDER)])


def test_it_has_learnt_to_write_such_programs() -> None:
    policy, tokenizer = load_policy(FOLDER, torch.float32), load_tokenizer(FOLDER)
    tokens = torch.tensor([tokenizer("    xs = [x + 3 for x in xs]\n    return sum(xs)")["input_ids"]])
    shuffled = tokens[:, torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(0))]
    with torch.no_grad():
        right, wrong = (policy(input_ids=ids, labels=ids).loss.item() for ids in (tokens, shuffled))
    assert right < wrong / 2
