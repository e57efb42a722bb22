"""Folders behind a URL: whole or not there, checked, nothing sent twice; every failure names the URL and the remedy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from prl_ray import remote
from prl_ray.artifacts import Artifact
from prl_ray.checkpoints import Checkpoints
from prl_ray.config import validate
from prl_ray.errors import ConfigError, ModelError, StorageError
from prl_ray.inputs import runs_root
from prl_ray.models.registry import resolve_model
from prl_ray.remote import MARKER, NEXT, RemoteFolder, is_whole
from prl_ray.run_records import fetch_records, publish_records
from prl_ray.urls import working_copy


class Breaking(LocalFileSystem):
    """A local file system whose next operations can be made to fail."""

    protocol = "breaking"
    fails: Callable[[str], None] = staticmethod(lambda path: None)

    def put_file(self, path1: Any, path2: Any, **options: Any) -> None:
        type(self).fails(path2)
        super().put_file(path1, path2, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("breaking://"))


fsspec.register_implementation("breaking", Breaking, clobber=True)


@pytest.fixture(params=["file", "memory", "breaking"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place of each kind."""
    MemoryFileSystem.store.clear()
    yield f"{request.param}://{tmp_path}/bucket/runs"
    MemoryFileSystem.store.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Changes to the machine of a name: each has a disk of its own, empty at first."""

    def change(name: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "machines" / name))

    change("first")
    return change


def filled(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def keys(url: str) -> set[str]:
    files, path = fsspec.core.url_to_fs(url)
    files.invalidate_cache()
    return {key.removeprefix(f"{path}/") for key in files.find(path)}


def of(folder: Path) -> RemoteFolder:
    found = RemoteFolder.of(folder)
    assert found is not None
    return found


@pytest.mark.usefixtures("machine")
def test_a_folder_in_a_working_copy_knows_its_url() -> None:
    copy = working_copy("s3://bucket/runs/")
    assert copy.parent.name == "remote" and copy.parent.parent.name == "prl_ray"
    assert of(copy).url == "s3://bucket/runs"
    assert of(copy / "artifacts" / "sft-1").url == "s3://bucket/runs/artifacts/sft-1"
    assert RemoteFolder.of(Path("runs/artifacts")) is None
    assert runs_root("s3://bucket/runs") == copy


def test_another_machine_gets_what_was_published(url: str, machine: Callable[[str], None]) -> None:
    folder = filled(working_copy(url) / "a", **{"weights": "w", "deep/config.json": "{}"})
    assert sorted(of(folder).publish()) == ["deep/config.json", "weights"]
    assert keys(f"{url}/a") == {"weights", "deep/config.json", MARKER}
    machine("second")
    copy = working_copy(url) / "a"
    assert copy != folder and not copy.exists() and is_whole(copy)
    assert of(copy).fetch()
    assert contents(copy) == {"weights": "w", "deep/config.json": "{}"}
    assert not of(working_copy(url) / "b").fetch() and not (working_copy(url) / "b").exists()


@pytest.mark.usefixtures("machine")
def test_nothing_is_sent_twice_and_a_changed_file_never_overwrites_the_one_that_the_marker_lists(url: str) -> None:
    folder = filled(working_copy(url) / "best", weights="old", config="c")
    assert len(of(folder).publish()) == 2
    assert of(folder).publish() == []
    filled(folder, weights="new")
    (sent,) = of(folder).publish()
    assert sent.startswith("weights.") and keys(f"{url}/best") == {sent, "config", MARKER}
    filled(folder, weights="third")
    assert of(folder).publish() == ["weights"], "the plain name is free again"
    assert keys(f"{url}/best") == {"weights", "config", MARKER}


def test_what_is_in_step_is_not_read_again_and_what_others_published_is(
    url: str, machine: Callable[[str], None]
) -> None:
    first = filled(working_copy(url) / "best", weights="1", config="c")
    of(first).publish()
    filled(first, weights="not published")
    assert of(first).fetch() and contents(first)["weights"] == "not published"
    machine("second")
    second = working_copy(url) / "best"
    of(second).fetch()
    of(filled(second, weights="2")).publish()
    assert of(first).fetch() and contents(first)["weights"] == "2"


def test_a_damaged_file_is_found_by_its_checksum(url: str, machine: Callable[[str], None]) -> None:
    of(filled(working_copy(url) / "a", weights="right")).publish()
    files, path = fsspec.core.url_to_fs(f"{url}/a")
    files.pipe_file(f"{path}/weights", b"wrong")
    machine("second")
    copy = working_copy(url) / "a"
    with pytest.raises(StorageError, match=r"/a/weights is damaged: its checksum"):
        of(copy).fetch()
    assert not copy.exists()


def test_a_torn_marker_is_no_marker(url: str, machine: Callable[[str], None]) -> None:
    of(filled(working_copy(url) / "a", weights="w")).publish()
    files, path = fsspec.core.url_to_fs(f"{url}/a")
    whole = files.cat_file(f"{path}/{MARKER}")
    machine("second")
    for torn in (whole[:-20], whole.replace(b'"files"', b'"fuels"'), whole.replace(b"weights", b"wrights"), b""):
        files.pipe_file(f"{path}/{MARKER}", torn)
        assert not of(working_copy(url) / "a").fetch()


def test_an_upload_that_breaks_off_leaves_what_was_there(
    tmp_path: Path, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"breaking://{tmp_path}/bucket"
    folder = filled(working_copy(url) / "best", a="1", b="1", c="1")
    of(folder).publish()
    filled(folder, a="2", b="2", c="2")

    def full(path: str) -> None:
        if "/b" in path.rpartition("best")[2]:
            raise OSError("quota exceeded")

    monkeypatch.setattr(Breaking, "fails", staticmethod(full))
    with pytest.raises(StorageError, match=r"breaking://.*/best cannot be written: OSError: quota exceeded. Check the"):
        of(folder).publish()
    monkeypatch.undo()
    machine("second")
    copy = working_copy(url) / "best"
    assert of(copy).fetch() and contents(copy) == {"a": "1", "b": "1", "c": "1"}
    machine("first")
    of(folder).publish()
    machine("second")
    assert of(copy).fetch() and contents(copy) == {"a": "2", "b": "2", "c": "2"}


PUBLISH = """
import sys, time
from pathlib import Path
from fsspec.implementations.local import LocalFileSystem
from prl_ray.remote import RemoteFolder
from prl_ray.urls import working_copy
put = LocalFileSystem.put_file
def slow(self, source, target, **options):
    put(self, source, target, **options)
    if target.endswith(sys.argv[2]):
        print("half", flush=True)
        time.sleep(60)
LocalFileSystem.put_file = slow
folder = working_copy(sys.argv[1]) / "step_000001"
folder.mkdir(parents=True)
for name in "abc":
    (folder / name).write_text(name)
RemoteFolder.of(folder).publish()
"""


@pytest.mark.parametrize("last", ["a", "c"])
def test_a_process_killed_in_the_middle_leaves_no_whole_folder(
    tmp_path: Path, machine: Callable[[str], None], last: str
) -> None:
    url = f"file://{tmp_path}/bucket"
    run = subprocess.Popen([sys.executable, "-c", PUBLISH, url, last], stdout=subprocess.PIPE, env=dict(os.environ))
    assert run.stdout is not None and run.stdout.readline() == b"half\n"
    run.kill()
    run.wait()
    machine("second")
    assert of(working_copy(url)).whole("step_*") == []
    machine("first")
    of(working_copy(url) / "step_000001").publish()
    assert keys(f"{url}/step_000001") == {"a", "b", "c", MARKER}


def writes(text: str) -> Callable[[Path], None]:
    return lambda folder: filled(folder, weights=text) and None  # type: ignore[func-returns-value]


def checkpoints(url: str, said: list[str] | None = None) -> Checkpoints:
    warn = (said if said is not None else []).append
    return Checkpoints(working_copy(url) / "run" / "checkpoints", 2, "ppo-1", warn)


def test_a_machine_with_an_empty_disk_goes_on_from_the_newest_whole_checkpoint(
    url: str, machine: Callable[[str], None]
) -> None:
    mine = checkpoints(url)
    mine.write_best(4, 0.5, writes("best"))
    for step in (5, 10, 15):
        mine.write(step, {}, writes(str(step)))
    assert {key.partition("/")[0] for key in keys(f"{url}/run/checkpoints")} == {"best", "step_000010", "step_000015"}
    machine("second")
    other = checkpoints(url)
    found = other.newest()
    assert found is not None and found[1]["step"] == 15 and (found[0] / "weights").read_text() == "15"
    assert other.best_score() == 0.5 and (other.best / "weights").read_text() == "best"
    other.write(20, {}, writes("20"))
    machine("first")
    again = checkpoints(url).newest()
    assert again is not None and again[1]["step"] == 20


@pytest.mark.usefixtures("machine")
def test_a_damaged_checkpoint_is_replaced_by_the_uploaded_one(url: str) -> None:
    said: list[str] = []
    folder = checkpoints(url).write(5, {}, writes("right"))
    filled(folder, weights="wrong")
    found = checkpoints(url, said).newest()
    assert found is not None and (found[0] / "weights").read_text() == "right" and said == []


def test_a_checkpoint_that_cannot_be_uploaded_does_not_end_the_run_and_goes_up_with_the_next(
    tmp_path: Path, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, said = f"breaking://{tmp_path}/bucket", list[str]()
    mine = checkpoints(url, said)

    def refuse(path: str) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(Breaking, "fails", staticmethod(refuse))
    mine.write(5, {}, writes("5"))
    assert len(said) == 1 and "stays on this machine for now" in said[0] and "need the right to list" in said[0]
    monkeypatch.undo()
    mine.write(10, {}, writes("10"))
    machine("second")
    assert [p.name for p in checkpoints(url)._found()] == ["step_000005", "step_000010"]


def test_an_artifact_of_another_machine_is_used(url: str, machine: Callable[[str], None]) -> None:
    made = Artifact.of(working_copy(url) / "artifacts", "sft", seed=1)
    with made.write() as folder:
        filled(folder, weights="w")
    machine("second")
    other = Artifact.of(working_copy(url) / "artifacts", "sft", seed=1)
    assert other.exists and not other.folder.exists() and other.reason().startswith("reused")
    assert contents(other.need())["weights"] == "w"


def test_an_artifact_that_could_not_be_uploaded_is_when_it_is_used(
    tmp_path: Path, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Artifact.of(working_copy(f"breaking://{tmp_path}/bucket") / "artifacts", "sft", seed=1)

    def refuse(path: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(Breaking, "fails", staticmethod(refuse))
    with pytest.raises(StorageError, match=r"no route\. Check the network"), made.write() as folder:
        filled(folder, weights="w")
    monkeypatch.undo()
    assert made.exists and not is_whole(made.folder)
    made.need()
    assert is_whole(made.folder)


def test_the_records_follow_the_run(url: str, machine: Callable[[str], None]) -> None:
    run = filled(
        working_copy(url) / "run",
        **{"metrics.jsonl": "1\n", "samples/000001.parquet": "s", ".lock": "x", "checkpoints/best/w": "w"},
    )
    (run / "sft").symlink_to("../artifacts")
    publish_records(run)
    assert keys(f"{url}/run") == {"metrics.jsonl", "samples/000001.parquet", MARKER}
    filled(run, **{"metrics.jsonl": "1\n2\n"})
    publish_records(run)
    machine("second")
    other = working_copy(url) / "run"
    other.mkdir(parents=True)  # the lock is in it
    fetch_records(other)
    assert contents(other) == {"metrics.jsonl": "1\n2\n", "samples/000001.parquet": "s"}


@pytest.mark.usefixtures("machine")
def test_a_place_that_cannot_be_used_is_reported_before_anything_starts(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(working_copy(url)).check()
    assert keys(url) == set()
    wrong = tmp_path / "file"
    wrong.write_text("")
    with pytest.raises(StorageError, match=r"file://.*/file/runs cannot be written, read and removed"):
        of(working_copy(f"file://{wrong}/runs")).check()

    def denied(self: MemoryFileSystem, path: str, value: bytes, mode: str = "overwrite") -> None:
        raise FileNotFoundError("The specified bucket does not exist")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", denied)
    with pytest.raises(StorageError, match=r"memory://nowhere cannot be written.*Is the bucket's name right"):
        of(working_copy("memory://nowhere")).check()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s3://bucket/runs", r"runs_dir=s3://bucket/runs needs the package s3fs.*pip install s3fs"),
        ("gs://bucket/runs", "needs the package gcsfs"),
        ("nosuch://bucket/runs", "no driver for nosuch://"),
        ("file://", "names no bucket"),
        ("memory://" + "x" * 250, "longer than"),
    ],
)
def test_a_url_without_a_driver_is_refused_by_the_name_of_the_package(place: str, message: str) -> None:
    if (package := {"s3": "s3fs", "gs": "gcsfs"}.get(place.partition(":")[0])) and _installed(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(ConfigError, match=message):
        validate({"runs_dir": place})


def _installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


def test_a_model_behind_a_url_is_copied_once(
    tmp_path: Path, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = filled(tmp_path / "bucket" / "model", **{"config.json": "{}", "deep/weights": "w"})
    url = f"file://{bucket}"
    copy = remote.downloaded(url)
    assert contents(copy) == {"config.json": "{}", "deep/weights": "w"}
    (copy / "config.json").write_text("kept")
    assert contents(remote.downloaded(url))["config.json"] == "kept", "not copied again"
    filled(bucket, **{"deep/weights": "changed"})
    assert contents(remote.downloaded(url)) == {"config.json": "{}", "deep/weights": "changed"}
    with pytest.raises(ModelError, match="not a causal language model"):
        resolve_model(path=url)
    with pytest.raises(StorageError, match=r"holds no files\. Is the URL right"):
        resolve_model(path=f"file://{tmp_path}/bucket/other")


def test_an_artifact_is_a_model_too(tmp_path: Path, machine: Callable[[str], None]) -> None:
    url = f"file://{tmp_path}/bucket"
    of(filled(working_copy(url) / "sft", **{"config.json": "{}"})).publish()
    machine("second")
    assert contents(remote.downloaded(f"{url}/sft")) == {"config.json": "{}"}


def test_the_marker_lists_every_file_with_size_and_checksum(tmp_path: Path, machine: Callable[[str], None]) -> None:
    url = f"file://{tmp_path}/bucket"
    of(filled(working_copy(url) / "a", weights="abc")).publish()
    marker = json.loads((tmp_path / "bucket" / "a" / MARKER).read_text())
    assert marker["files"] == {"weights": [3, "06b05ab6733a618578af5f94892f3950", "weights"]}
    shutil.rmtree(working_copy(url) / "a")
    assert of(working_copy(url) / "a").fetch(), "removed here, it is downloaded again"


class Tearing(MemoryFileSystem):
    """A store that replaces a file in place, as servers of files do: what ends meanwhile leaves a part of it."""

    protocol = "tearing"
    tears: Callable[[str], bool] = staticmethod(lambda path: False)

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **options: Any) -> None:
        if type(self).tears(path):
            super().pipe_file(path, value[: len(value) // 2])
            raise ConnectionResetError("killed")
        super().pipe_file(path, value, mode)


fsspec.register_implementation("tearing", Tearing, clobber=True)


@pytest.mark.parametrize(("torn", "counts"), [(f"/{NEXT}", 0.25), (f"/{MARKER}", 0.5)])
def test_a_torn_second_upload_of_the_best_policy_leaves_a_best_policy(
    torn: str, counts: float, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: the marker of the first one was overwritten, and a machine with an empty disk had no best policy."""
    MemoryFileSystem.store.clear()
    url, said = "tearing://bucket/runs", list[str]()
    mine = checkpoints(url, said)
    mine.write_best(4, 0.25, writes("first"))
    mine.write(4, {"ranks": 1}, writes("4"))
    mine.write_best(8, 0.5, writes("second"))
    monkeypatch.setattr(Tearing, "tears", staticmethod(lambda path: path.endswith(f"/best{torn}")))
    mine.write(8, {"ranks": 1}, writes("8"))
    assert "stays on this machine for now" in said[0]
    monkeypatch.undo()
    machine("second")
    other = checkpoints(url)
    found = other.newest()
    assert found is not None and found[1]["step"] == 4 and other.best_score() == counts
    assert (other.best / "weights").read_text() == {0.25: "first", 0.5: "second"}[counts]
    other.write_best(8, 0.75, writes("third"))
    other.write(8, {"ranks": 1}, writes("8"))
    machine("third")
    assert checkpoints(url).newest() is not None and checkpoints(url).best_score() == 0.75
    assert f"best/{NEXT}" not in keys(f"{url}/run/checkpoints")


def test_a_best_policy_that_arrives_in_part_leaves_the_one_that_is_here(
    tmp_path: Path, machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: its files were replaced one by one; killed in between, neither of the two was whole."""
    machine("first")
    url = f"breaking://{tmp_path}/bucket"
    mine = checkpoints(url)
    mine.write_best(4, 0.25, writes("first"))
    mine.write(4, {"ranks": 1}, writes("4"))
    machine("second")
    other = checkpoints(url)
    other.newest()
    other.write_best(8, 0.5, writes("second"))
    other.write(8, {"ranks": 1}, writes("8"))
    machine("first")

    def arrives(self: Breaking, path: str, target: str, **options: Any) -> None:
        if "state.json" in path:
            raise ConnectionError("no route")
        LocalFileSystem.get_file(self, path, target, **options)

    monkeypatch.setattr(Breaking, "get_file", arrives)
    again = checkpoints(url)
    assert again.newest() is not None and again.best_score() == 0.25
    assert (again.best / "weights").read_text() == "first"
    monkeypatch.undo()
    assert checkpoints(url).newest() is not None and checkpoints(url).best_score() == 0.5
