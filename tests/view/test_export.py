"""The exported file, as text. What a browser makes of it is in ``test_in_browser``."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from view_run import HOSTILE

from prl_ray.errors import DataError
from prl_ray.view.export import bundle, export
from prl_ray.view.runs import Runs
from prl_ray.view.server import static_files


@pytest.fixture(scope="module")
def page(runs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("export") / "page.html"
    assert export(Runs([runs_folder]), path, 20) == path.stat().st_size
    return path.read_text()


def test_the_policy_names_exactly_the_scripts_of_the_file(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#x27;", "'")
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes and len(scripts) == 2
    assert "connect-src" not in policy and "default-src 'none'" in policy


def test_it_holds_the_newest_samples_and_no_markup_of_theirs(page: str) -> None:
    packed = re.search(r'id="data">([^<]*)</script>', page)[1]
    carried = json.loads(gzip.decompress(base64.b64decode(packed)))
    samples = [where for where in carried["answers"] if where.startswith("sample?")]
    assert len(samples) == 20 and "sample?row=0&run=one&step=7" in samples
    assert any(HOSTILE in json.dumps(value).replace('\\"', '"') for value in carried["answers"].values())
    assert HOSTILE not in page and "onerror" not in page.split("<script>")[0]
    assert not re.search(r"(src|href)=\"https?:", page.split("<script>")[0])


def test_an_export_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run"):
        export(Runs([tmp_path]), tmp_path / "x.html", 5)


def test_modules_become_one_script_in_the_order_of_their_imports() -> None:
    files = {
        "main.js": b'import { b } from "./b.js";\nb();\n',
        "b.js": b'import { c } from "./c.js";\nexport function b() { return c; }\n',
        "c.js": b"// c\nexport const c = 1;\n",
    }
    assert bundle(files) == '"use strict";\n(() => {\n// c\nconst c = 1;\nfunction b() { return c; }\nb();\n})();\n'
    files["c.js"] = b"export const c = 1;\nconst b = 2;\n"
    with pytest.raises(ValueError, match="both have the top-level name b"):
        bundle(files)
    assert "import " not in re.sub(r"//.*", "", bundle(static_files()))
