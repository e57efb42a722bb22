"""Requests to a language model, its answers, and a cache of the answers on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One complete question: equal requests may get the same cached answer."""

    model: str
    """The model's name or folder."""
    prompt: str
    """The user's turn; there are no other turns."""
    seed: int
    temperature: float
    max_tokens: int

    @property
    def key(self) -> str:
        """Hash of its content."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request."""

    text: str = ""
    whole: bool = True
    """False if the length limit truncated it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    """Why there is no answer; empty if there is one."""
    attempts: int = 1
    """Times that the request was sent; 0 for an answer from the cache."""

    @property
    def cost(self) -> Counter[str]:
        """See ``prl_ray.supervision.report.COSTS``."""
        if not self.attempts:
            return Counter(cached=1)
        return +Counter(
            requests=self.attempts,
            retried=self.attempts - 1,
            failed=int(bool(self.error)),
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )


class Chat(Protocol):
    """A language model; thread-safe."""

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order; a request that fails on every attempt gets an answer with ``error`` set."""
        ...


class CachedChat:
    """Sends ``chat`` only the requests that it has not answered before; failed requests are sent again.

    Each answer is one file, named by the hash of the request and written atomically.
    """

    def __init__(self, chat: Chat, folder: str | Path) -> None:
        self.chat = chat
        self.folder = Path(folder)

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order; answers from the cache have 0 attempts."""
        answers = {i: found for i, request in enumerate(requests) if (found := self._read(request))}
        missing = [i for i in range(len(requests)) if i not in answers]
        fresh = self.chat.ask([requests[i] for i in missing]) if missing else []
        for i, answer in zip(missing, fresh, strict=True):
            answers[i] = answer
            if not answer.error:
                self._write(requests[i], answer)
        return [answers[i] for i in range(len(requests))]

    def _path(self, request: Request) -> Path:
        return self.folder / request.key[:2] / f"{request.key[2:32]}.json"

    def _read(self, request: Request) -> Answer | None:
        path = self._path(request)
        if not path.is_file():
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        return Answer(record["text"], record["whole"], attempts=0)

    def _write(self, request: Request, answer: Answer) -> None:
        path = self._path(request)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {**asdict(request), "text": answer.text, "whole": answer.whole}
        aside = path.with_name(f".{path.name}.{os.getpid()}-{id(answer)}")
        aside.write_text(json.dumps(record), encoding="utf-8")
        aside.replace(path)
