from pathlib import Path

import pytest

from tests.experiment.toy import FILE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(FILE)
    return path
