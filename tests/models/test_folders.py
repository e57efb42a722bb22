from pathlib import Path

import pytest

from prl_ray.models.folders import user_cache, written_whole


def test_a_folder_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "a" / "model"
    with written_whole(target) as aside:
        (aside / "weights").write_text("x")
        assert not target.exists()
    assert (target / "weights").read_text() == "x"
    assert [p.name for p in target.parent.iterdir()] == ["model"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), written_whole(tmp_path / "model") as aside:
        (aside / "weights").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_wins(tmp_path):
    target = tmp_path / "model"
    with written_whole(target) as late:
        (late / "weights").write_text("late")
        with written_whole(target) as early:
            (early / "weights").write_text("early")
    assert (target / "weights").read_text() == "early"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_users_cache_follows_the_xdg_rules(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache() == Path("/somewhere/prl_ray")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache() == Path.home() / ".cache" / "prl_ray"
