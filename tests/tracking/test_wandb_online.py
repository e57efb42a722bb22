"""The real W&B client against a server on this machine, which stands for the one that tests cannot reach."""

import gzip
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prl_ray.tracking import Tracker

ROOT = Path(__file__).parents[2]


class Server(ThreadingHTTPServer):
    """Answers what a client asks that opens, resumes and finishes one run, and keeps the rows of its history."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows = []
        self.run_ids = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, query, variables):
        run = {"id": "x", "name": variables.get("name"), "displayName": "n", "historyLineCount": len(self.rows)}
        run["project"] = {"name": "p", "entity": {"name": "me"}}
        if "RunResumeStatus" in query:
            tail = json.dumps([json.dumps(row) for row in self.rows[-1:]])
            state = {"summaryMetrics": "{}", "logLineCount": 0, "eventsLineCount": 0, "historyTail": tail}
            state |= {"eventsTail": "[]", "config": "{}", "tags": [], "wandbConfig": '{"t": 1}'}
            bucket = run | state if variables["name"] in self.run_ids else None
            return {"model": {"id": "m", "name": "p", "entity": {"id": "e", "name": "me"}, "bucket": bucket}}
        if "UpsertBucket" in query:
            self.run_ids.append(variables["name"])
            return {"upsertBucket": {"bucket": run, "inserted": True}}
        if "CreateRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
        if "viewer" in query:
            return {"viewer": {"id": "v", "entity": "me", "flags": "{}", "teams": {"edges": []}}}
        return {"serverInfo": {"features": []}}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def reply(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def do_GET(self):
        self.reply({})

    def do_PUT(self):
        self.body()
        self.reply({})

    def do_POST(self):
        body = self.body()
        if self.path.endswith("/graphql"):
            question = json.loads(body)
            self.reply({"data": self.server.answer(question["query"], question.get("variables", {}))})
            return
        if self.path.endswith("/file_stream"):
            history = json.loads(body).get("files", {}).get("wandb-history.jsonl", {"content": []})
            self.server.rows += [json.loads(line) for line in history["content"]]
        self.reply({})


@contextmanager
def serving():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server


def test_a_resumed_run_goes_on_on_the_server_and_sends_each_row_once(server, tmp_path, capfd):
    with Tracker(tmp_path, "n", "auto", "p", {"seed": 1}) as first:
        assert first.mode == "online" and first.wandb_id in first.url
        first.log(5, {"loss": 2.0}, stage="sft")
        for step in (1, 2, 3):
            first.log(step, {"x": float(step)})
    with Tracker(tmp_path, "n", "online", "p", {"seed": 1}, resume_id=first.wandb_id) as second:
        second.rewind("ppo", 2)
        for step in (3, 4):
            second.log(step, {"x": 10.0 * step})
    assert [row["_step"] for row in server.rows] == [0, 1, 2, 3, 4]
    assert server.rows[0]["sft/loss"] == 2.0 and server.rows[0]["sft/step"] == 5
    assert [(row["ppo/step"], row["x"]) for row in server.rows[1:]] == [(1, 1), (2, 2), (3, 3), (4, 40)]
    assert set(server.run_ids) == {first.wandb_id}
    assert capfd.readouterr() == ("", ""), "W&B says nothing itself"


def test_rows_that_the_server_missed_are_sent_on_resume(server, tmp_path):
    Tracker(tmp_path, "n", "off", "p", {}).log(1, {"x": 1.0})
    with Tracker(tmp_path, "n", "online", "p", {}) as tracker:
        tracker.log(2, {"x": 2.0})
    assert [(row["_step"], row["ppo/step"]) for row in server.rows] == [(0, 1), (1, 2)]


def test_a_lost_server_neither_stops_nor_delays_the_run(server, tmp_path):
    script = f"""
import sys, time
from pathlib import Path
from prl_ray.tracking import Tracker, wandb_run
wandb_run.FINISH_TIMEOUT_S = 2.0
tracker = Tracker(Path({str(tmp_path)!r}), "n", "auto", "p", {{}})
tracker.log(1, {{"x": 1.0}})
print(tracker.mode, flush=True)
sys.stdin.readline()
for step in (2, 3):
    tracker.log(step, {{"x": 1.0}})
tracker.close()
"""
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as run:
        assert run.stdout.readline() == "online\n"
        server.shutdown()
        server.server_close()
        out, err = run.communicate("go\n", timeout=60)
    assert (run.returncode, out) == (0, "")
    assert err.count("warning:") == 1 and "wandb sync" in err and "Traceback" not in err
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
