from pathlib import Path

from prl_ray.actors.snapshot import LOG_BYTES, LOG_LINES, LOGS, tails


def test_only_the_ends_of_the_newest_logs_are_kept(tmp_path: Path) -> None:
    for i in range(LOGS + 3):
        (tmp_path / f"worker-{i}.err").write_text("".join(f"line {n} <b>\n" for n in range(LOG_LINES + 5)))
    (tmp_path / "worker-empty.err").touch()
    (tmp_path / "raylet.out").write_text("other\n")
    (tmp_path / "worker-0.err").write_bytes(b"\xff" * (2 * LOG_BYTES) + b"\nend\n")
    found = tails(tmp_path)
    assert len(found) == LOGS and all(len(log["lines"]) <= LOG_LINES for log in found)
    (first,) = [log for log in found if log["name"] == "worker-0.err"]
    assert first["lines"][-1] == "end" and len(first["lines"][0]) <= LOG_BYTES
