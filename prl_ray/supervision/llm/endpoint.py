"""An OpenAI-compatible HTTP server (vLLM, llama.cpp, Ollama, OpenAI, …) as a chat."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NotRequired, TypedDict

from prl_ray.errors import ConfigError, DataError
from prl_ray.supervision.llm.chat import Answer, Request

_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses after which a request is retried."""
_LONGEST_PAUSE_S = 30.0
_GIVE_UP_AFTER = 16


class Endpoint:
    """Asks ``POST {url}/chat/completions``, up to ``parallel`` requests at a time over all threads.

    A failed request is retried after a growing pause (or the pause that the server requests). A request that fails on
    every attempt gets an answer with an error. After many failures in a row ``ask`` raises, since the server is down.

    Args:
        url: base URL, with its version (``http://localhost:8000/v1``).
        key: sent as a bearer token; empty sends none.
        timeout_s: time limit of one attempt.
        attempts: times that a request is sent before it counts as failed.
        parallel: maximum number of requests in flight.
        pause_s: before the second attempt; doubles with each.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout_s: float = 120,
        attempts: int = 3,
        parallel: int = 8,
        pause_s: float = 1,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout_s, self.attempts, self.pause_s = timeout_s, attempts, pause_s
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._threads = ThreadPoolExecutor(parallel, "llm-requests")
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    def check(self, model: str) -> None:
        """Raises ``ConfigError`` if the server cannot be reached, refuses the key, or does not have the model."""
        try:
            listed = json.loads(self._send("/models", None))
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise ConfigError(
                    f"teacher.endpoint={self.url} refuses access (HTTP {error.code}); name the environment variable "
                    "that holds its key in teacher.api_key_env"
                ) from error
            return  # reachable; not every server lists its models
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ConfigError(
                f"teacher.endpoint={self.url} cannot be reached ({reason}); start the server or correct the URL"
            ) from error
        entries = listed.get("data") if isinstance(listed, dict) else None
        names = [str(e["id"]) for e in entries or () if isinstance(e, dict) and "id" in e]
        if names and model not in names:
            raise ConfigError(f"teacher.model={model} is not one of the models of {self.url}: {', '.join(names[:20])}")

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            DataError: the server has failed on many requests in a row.
        """
        return list(self._threads.map(self._ask_one, requests))

    def _ask_one(self, request: Request) -> Answer:
        answer = Answer()
        for attempt in range(self.attempts):
            answer, again, pause_s = self._attempt(request)
            answer = replace(answer, attempts=attempt + 1)
            if not again:
                break
            if attempt + 1 < self.attempts:
                time.sleep(min(_LONGEST_PAUSE_S, max(pause_s, self.pause_s * 2**attempt)))
        with self._lock:
            self._failed_in_a_row = self._failed_in_a_row + 1 if answer.error else 0
            if self._failed_in_a_row >= _GIVE_UP_AFTER:
                raise DataError(
                    f"teacher.endpoint={self.url} failed on {_GIVE_UP_AFTER} requests in a row; the last error: "
                    f"{answer.error}. Received answers are cached: give the same command again to continue"
                )
        return answer

    def _attempt(self, request: Request) -> tuple[Answer, bool, float]:
        """The answer, whether to retry, and the pause that the server requests."""
        body = {
            "model": request.model,
            "messages": [{"role": "user", "content": request.prompt}],
            "seed": request.seed,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }
        try:
            completion: _Completion = json.loads(self._send("/chat/completions", body))
            return _answer(completion), False, 0.0
        except urllib.error.HTTPError as error:
            said = error.read(300).decode("utf-8", "replace")
            return Answer(error=f"HTTP {error.code}: {said}"), error.code in _BUSY, _seconds(error)
        except (OSError, http.client.HTTPException) as error:
            return Answer(error=f"{type(error).__name__}: {error}"), True, 0.0
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            return Answer(error=f"the reply is not a chat completion: {error!r}"), True, 0.0

    def _send(self, path: str, body: object) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers)
        with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
            found: bytes = reply.read()
            return found


class _Message(TypedDict, total=False):
    content: str | None


class _Choice(TypedDict):
    message: _Message
    finish_reason: NotRequired[str | None]


class _Usage(TypedDict, total=False):
    prompt_tokens: int | None
    completion_tokens: int | None


class _Completion(TypedDict):
    """The used fields of a reply; a malformed reply raises when it is read."""

    choices: list[_Choice]
    usage: NotRequired[_Usage | None]


def _answer(reply: _Completion) -> Answer:
    choice = reply["choices"][0]
    usage = reply.get("usage") or {}
    return Answer(
        text=str(choice["message"].get("content") or ""),
        whole=choice.get("finish_reason") != "length",
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
    )


def _seconds(error: urllib.error.HTTPError) -> float:
    """``Retry-After`` if it is a number of seconds."""
    wanted = (error.headers.get("Retry-After") or "").strip()
    return float(wanted) if wanted.isdigit() else 0.0
