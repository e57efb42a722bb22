import os

import pytest


@pytest.fixture(autouse=True)
def logged_out(monkeypatch, tmp_path):
    """W&B has no credentials, and no service of an earlier test is found."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
