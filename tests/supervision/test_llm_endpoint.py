"""Requests over HTTP: what fails is sent again and counted, and what cannot work is an error at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply, completion, serving

from prl_ray.errors import ConfigError, DataError
from prl_ray.supervision.llm import Answer, CachedChat, Endpoint, Request


def request(prompt: str = "hello", seed: int = 1) -> Request:
    return Request("test-model", prompt, seed, 0.5, 20)


def in_turn(*replies: Reply) -> Callable[[dict[str, Any]], Reply]:
    """The replies in order, the last one for ever."""
    left = list(replies)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def echo() -> Iterator[ChatServer]:
    with serving(ChatServer(lambda body: completion("you said " + body["messages"][0]["content"]))) as server:
        yield server


def test_answers_come_in_order_with_what_they_cost(echo: ChatServer) -> None:
    endpoint = Endpoint(echo.url + "/", "secret", parallel=4)
    endpoint.check("test-model")
    answers = endpoint.ask([request(str(i), seed=i) for i in range(20)])
    assert [a.text for a in answers] == [f"you said {i}" for i in range(20)]
    assert all(a.cost == {"requests": 1, "prompt_tokens": 100, "completion_tokens": 10} for a in answers)
    assert {h["Authorization"] for h in echo.headers} == {"Bearer secret"}
    body = next(b for b in echo.bodies if b["seed"] == 7)
    assert body == {
        "model": "test-model",
        "messages": [{"role": "user", "content": "7"}],
        "seed": 7,
        "temperature": 0.5,
        "max_tokens": 20,
    }


@pytest.mark.parametrize(
    ("replies", "text", "attempts", "sent"),
    [
        ([(500, "oops"), (429, "slow down"), completion("here")], "here", 3, 3),
        ([(200, "not json"), completion("here")], "here", 2, 2),
        ([(200, {"choices": []}), completion("here")], "here", 2, 2),
        ([(500, "oops")], "", 3, 3),
        ([(400, "too long")], "", 1, 1),  # the same request would fail again
    ],
)
def test_what_may_work_later_is_sent_again(replies: list[Reply], text: str, attempts: int, sent: int) -> None:
    with serving(ChatServer(in_turn(*replies))) as server:
        answer = Endpoint(server.url, attempts=3, pause_s=0.01).ask([request()])[0]
        assert (answer.text, answer.attempts, len(server.bodies)) == (text, attempts, sent)
        assert bool(answer.error) == (not text)
        assert answer.cost["retried"] == attempts - 1 and answer.cost["failed"] == (not text)


def test_an_answer_that_was_cut_off_says_so() -> None:
    with serving(ChatServer(in_turn(completion("retur", "length")))) as server:
        assert Endpoint(server.url).ask([request()]) == [Answer("retur", False, 100, 10)]


def test_a_server_that_is_gone_is_an_error_in_the_end() -> None:
    with serving(ChatServer(in_turn((503, "down")))) as server:
        endpoint = Endpoint(server.url, attempts=1, parallel=1)
        assert all(a.error for a in endpoint.ask([request()] * 15))
        with pytest.raises(DataError, match=r"16 requests in a row; the last error: HTTP 503: down"):
            endpoint.ask([request()])


def test_an_endpoint_that_cannot_be_reached_is_one_clear_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ConfigError, match=rf"teacher\.endpoint={url} cannot be reached .*refused"):
        Endpoint(url).check("m")


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ((401, "who?"), "teacher.api_key_env"),
        ((200, {"data": [{"id": "a"}, {"id": "b"}]}), "not one of the models .* a, b"),
    ],
)
def test_a_key_or_a_model_that_the_server_refuses_is_an_error_at_start(models: Reply, said: str) -> None:
    with serving(ChatServer(in_turn(completion("")), models)) as server, pytest.raises(ConfigError, match=said):
        Endpoint(server.url).check("m")


def test_a_server_that_lists_no_models_will_do() -> None:
    with serving(ChatServer(in_turn(completion("")), (404, "no"))) as server:
        Endpoint(server.url).check("m")


def test_the_cache_answers_what_was_answered_before(echo: ChatServer, tmp_path: Path) -> None:
    endpoint = Endpoint(echo.url)
    first = CachedChat(endpoint, tmp_path).ask([request("a"), request("b")])
    again = CachedChat(endpoint, tmp_path).ask([request("b"), request("c"), request("a")])
    assert [a.text for a in again] == ["you said b", "you said c", "you said a"]
    assert [b["messages"][0]["content"] for b in echo.bodies[2:]] == ["c"]
    assert first[0].cost["requests"] == 1 and again[0].cost == {"cached": 1}
    CachedChat(endpoint, tmp_path).ask([request("a", seed=2)])
    assert len(echo.bodies) == 4


def test_failures_are_not_cached(tmp_path: Path) -> None:
    with serving(ChatServer(in_turn((400, "no"), completion("yes")))) as server:
        chat = CachedChat(Endpoint(server.url), tmp_path)
        assert [chat.ask([request()])[0].text for _ in range(3)] == ["", "yes", "yes"]
        assert len(server.bodies) == 2
