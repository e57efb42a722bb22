"""What ended an actor, told from Ray's own words, and what may be asked for again."""

from __future__ import annotations

from errno import ENOSPC

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayActorError,
    RayTaskError,
)

from prl_ray.actors.faults import cause_of_death, is_loss, lost_with_its_node
from prl_ray.actors.waiting import explained
from prl_ray.errors import ActorLostError, ModelError, OutdatedEngineError, ResourceError

ADVICE = (
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker "
    "unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was "
    "killed by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed."
)
FIELDS = "\tclass_name: Verifier\n\tactor_id: 0a\n\tpid: 12\n\tnamespace: prl_ray\n\tip: 10.0.0.3\n"


def died(text: str) -> RayActorError:
    return RayActorError(error_msg=f"{ActorDiedError.BASE_ERROR_MSG}\n{FIELDS}{text}")


@pytest.mark.parametrize(
    ("error", "with_node"),
    [
        (died(ADVICE), False),
        (died("The actor died because its node has died. Node Id: 1f"), True),
        (died("The actor is dead because its owner has died. Owner Id: 1f"), True),
        (died("Task was killed due to the node running low on memory."), True),
        (ActorUnavailableError("The actor is temporarily unavailable", b"0" * 16), True),
    ],
)
def test_a_worker_that_went_with_its_node_is_not_held_against_a_program(error: RayActorError, with_node: bool) -> None:
    assert lost_with_its_node(error) is with_node


def test_actor_and_host_are_named() -> None:
    said = cause_of_death(died("The actor died because its node has died."))
    assert said.startswith("Verifier on node 10.0.0.3: ") and said.endswith("its node has died.")
    assert "actor_id" not in said and "\n" not in said


def task_error(cause: Exception) -> RayTaskError:
    return RayTaskError("verify", "traceback", cause)


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (died(ADVICE), True),
        (task_error(died(ADVICE)), True),
        (task_error(task_error(died(ADVICE))), True),
        (task_error(ObjectLostError("0" * 56, "10.0.0.3:1", "")), True),
        (OutdatedEngineError("restarted"), True),
        (task_error(OutdatedEngineError("restarted")), True),
        (task_error(ValueError("a bug")), False),
        (task_error(ModelError("no such folder")), False),
        (ActorLostError("waited 900 s"), False),
        (died("The actor died because of an error raised in its creation task, ..."), False),
    ],
)
def test_what_was_lost_is_told_from_what_failed(error: Exception, loss: bool) -> None:
    assert is_loss(error) is loss


TRACEBACK = "ray::Learner.save() (pid=7, ip=10.0.0.3, actor_id=0a)\n  File learner.py, line 1\n"


def raised(error: RayTaskError) -> Exception:
    with pytest.raises(Exception) as found, explained("the learners' save"):
        raise error.as_instanceof_cause()  # as Ray does, which drops the address
    return found.value


def test_a_full_disk_names_its_node_and_stays_a_full_disk() -> None:
    error = raised(
        RayTaskError("save", TRACEBACK, OSError(ENOSPC, "No space left on device", "/x/a.pt"), ip="10.0.0.3")
    )
    assert isinstance(error, OSError) and error.errno == ENOSPC
    assert str(error) == f"[Errno {ENOSPC}] on node 10.0.0.3: No space left on device: '/x/a.pt'"


@pytest.mark.parametrize("cause", [OutOfDiskError("no room"), ObjectStoreFullError("no room")])
def test_a_full_object_store_is_one_message_with_its_node(cause: Exception) -> None:
    error = raised(RayTaskError("weights", TRACEBACK, cause))
    assert isinstance(error, ResourceError)
    assert str(error).startswith("node 10.0.0.3: Ray has no room for another object (no room).")


def test_errors_of_our_own_and_bugs_come_as_they_are() -> None:
    ours, bug = ModelError("no such folder"), RayTaskError("save", "traceback", ValueError("a bug"))
    assert raised(task_error(ours)) is ours and isinstance(raised(bug), ValueError | RayTaskError)
