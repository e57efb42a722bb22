import os

import pytest


@pytest.fixture(autouse=True)
def logged_out(monkeypatch, tmp_path):
    """Nobody is logged in to W&B, and no service that an earlier test left behind is found."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
