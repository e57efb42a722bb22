"""Ray's futures and actor handles with types: what an actor's method takes and returns is checked where it is called.

``ask(learner, Learner.step, rollout, number)`` is ``learner.step.remote(rollout, number)`` with the types of
``Learner.step``. At run time a ``Handle`` is Ray's own ``ActorHandle`` and a ``Ref`` its ``ObjectRef``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from typing import Concatenate, Generic, Never, ParamSpec, Protocol, TypeVar, overload

import ray
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from prl_ray.actors.faults import no_room_for_objects

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Ref(Protocol[T_co]):
    """A value in the object store that may not exist yet."""

    def __await__(self) -> Generator[object, None, T_co]:
        """Inside an asyncio actor: the value."""
        ...


class RefStream(Protocol[T_co]):
    """The refs of the values that a generator method yields, as they come. Hashable; ``ray.wait`` takes it."""

    def __next__(self) -> Ref[T_co]:
        """The next ref; blocks until it is known. Raises ``StopIteration`` at the end."""
        ...

    def completed(self) -> Ref[None]:
        """Ready once the method has returned; holds the error that ended it."""
        ...


class Handle(Generic[A_co]):
    """An actor of class ``A``: only a name for the type checker, never instantiated."""


def actor_id(actor: Handle[A]) -> str:
    """Ray's id of an actor, hexadecimal."""
    return str(actor._actor_id.hex())  # type: ignore[attr-defined]  # Ray has no public name for it


@overload
def ask(
    actor: Handle[A],
    method: Callable[Concatenate[A, P], Coroutine[object, Never, T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Ref[T]: ...
@overload
def ask(actor: Handle[A], method: Callable[Concatenate[A, P], T], *args: P.args, **kwargs: P.kwargs) -> Ref[T]: ...
def ask(actor: Handle[A], method: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Calls a method of an actor; a plain method or a coroutine."""
    return getattr(actor, method.__name__).remote(*args, **kwargs)


def ask_in(
    group: str, actor: Handle[A], method: Callable[Concatenate[A, P], T], *args: P.args, **kwargs: P.kwargs
) -> Ref[T]:
    """Calls a method of an actor in one of its concurrency groups: in a thread of that group, while another call of
    the actor may be going on."""
    ref: Ref[T] = getattr(actor, method.__name__).options(concurrency_group=group).remote(*args, **kwargs)
    return ref


def this_actor(cls: type[A]) -> Handle[A]:
    """Inside an actor of class ``cls``: its own handle."""
    actor: Handle[A] = ray.get_runtime_context().current_actor
    return actor


def ask_stream(
    actor: Handle[A], method: Callable[Concatenate[A, P], Iterator[T]], *args: P.args, **kwargs: P.kwargs
) -> RefStream[T]:
    """Calls a generator method of an actor."""
    stream: RefStream[T] = getattr(actor, method.__name__).options(num_returns="streaming").remote(*args, **kwargs)
    return stream


def call(actor: Handle[A], function: Callable[[A], T]) -> Ref[T]:
    """Calls a function with the actor's own object inside the actor."""
    ref: Ref[T] = actor.__ray_call__.remote(function)  # type: ignore[attr-defined]  # Ray's own, of every handle
    return ref


def restarted() -> bool:
    """Whether this process is an actor that Ray started anew after a death; False in drivers and without Ray."""
    context = ray.get_runtime_context() if ray.is_initialized() else None
    return bool(context and context.get_actor_id() and context.was_current_actor_reconstructed)


def put(value: T) -> Ref[T]:
    """Puts a value into the object store. Raises ``ResourceError`` where neither it nor the disk has room."""
    try:
        ref: Ref[T] = ray.put(value)
    except (OutOfDiskError, ObjectStoreFullError) as error:
        raise no_room_for_objects(ray.util.get_node_ip_address(), error) from error
    return ref


@overload
def get(refs: Ref[T], timeout_s: float | None = None) -> T: ...
@overload
def get(refs: Sequence[Ref[T]], timeout_s: float | None = None) -> list[T]: ...
def get(refs: Ref[object] | Sequence[Ref[object]], timeout_s: float | None = None) -> object:
    """``ray.get`` with types. The driver uses ``prl_ray.actors.waiting``, which never waits forever."""
    return ray.get(refs if not isinstance(refs, Sequence) else list(refs), timeout=timeout_s)
