"""The server over HTTP: what it answers, what it refuses, and what no page may do."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from view_run import HOSTILE

from prl_ray.errors import ConfigError, DataError
from prl_ray.view.runs import Runs
from prl_ray.view.server import HEADERS, application, bound


@pytest.fixture
def client(runs: Runs) -> TestClient:
    return TestClient(application(runs), base_url="http://127.0.0.1")


def test_pages_and_files_are_served_with_the_policy(client: TestClient) -> None:
    for address in ("/", "/static/main.js", "/static/style.css", "/static/plotly.min.js", "/api/runs", "/api/nope"):
        response = client.get(address)
        assert response.status_code == (404 if address == "/api/nope" else 200)
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "default-src 'none'" in policy
    assert "<script>" not in client.get("/").text


def test_hostile_text_travels_as_json_only(client: TestClient) -> None:
    response = client.get("/api/sample", params={"run": "one", "step": 3, "row": 0})
    assert response.headers["content-type"] == "application/json" and HOSTILE in response.json()["message"]
    wrong = client.get("/api/overview", params={"run": HOSTILE})
    assert wrong.status_code == 400 and wrong.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "address",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/errors.py",
        "/static//etc/passwd",
        "/../../etc/passwd",
        "/api/../static/main.js/x",
        "/runs/one/config.yaml",
        "/config.yaml",
    ],
)
def test_nothing_else_is_served(client: TestClient, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 404 and "import" not in response.text and "root:" not in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/runs").status_code == 405


def test_other_names_for_this_machine_are_refused(client: TestClient) -> None:
    assert client.get("/api/runs", headers={"host": "attacker.example"}).status_code == 400
    assert client.get("/api/runs", headers={"host": "localhost:7860"}).status_code == 200


def test_what_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/api/problems", params={"run": "one"}).headers["etag"]
    again = client.get("/api/problems", params={"run": "one"}, headers={"if-none-match": tag})
    assert again.status_code == 304 and not again.content


def test_it_listens_on_loopback_and_says_where_it_cannot() -> None:
    with bound(0) as first:
        address, port = first.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(ConfigError, match=f"port {port}"):
            bound(port)


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        Runs([tmp_path / "nothing"])
