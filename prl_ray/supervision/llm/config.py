"""Settings of the LLM teacher."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from prl_ray.errors import ConfigError
from prl_ray.options import option


@dataclass
class LlmConfig:
    """The language model that proposes variants, and its requests (``teacher=llm``, ``teacher=mixed``)."""

    endpoint: str = option(
        "", "LLM teacher: base URL of an OpenAI-compatible server (http://…/v1); empty for the run's own vLLM engines."
    )
    model: str = option(
        "", "LLM teacher: name of the model on the server, or a folder or hub name; empty for the run's base policy."
    )
    api_key_env: str = option("", "LLM teacher: environment variable with the server's API key; empty for none.")
    llm_share: float = option(0.5, "teacher=mixed: share of the proposals from the LLM.", low=0, high=1)
    temperature: float = option(0.8, "LLM teacher: sampling temperature.", low=0, high=2)
    max_prompt_tokens: int = option(1024, "LLM teacher: length limit of a question to our own engines.", low=64)
    max_answer_tokens: int = option(96, "LLM teacher: length limit of an answer.", low=8)
    rounds: int = option(2, "LLM teacher: maximum number of rounds of questions for missing variants.", low=1, high=10)
    attempts: int = option(3, "LLM teacher: times that a request is sent before it counts as failed.", low=1, high=10)
    parallel: int = option(8, "LLM teacher: number of concurrent requests to a server.", low=1, high=256)
    answer_timeout_s: float = option(120.0, "LLM teacher: seconds to wait for an answer of a server.", low=1)

    @property
    def key(self) -> str:
        """The server's key; empty if none is configured. Raises ``ConfigError`` if its variable is not set."""
        if not self.api_key_env:
            return ""
        key = os.environ.get(self.api_key_env, "")
        if not key:
            raise ConfigError(
                f"teacher.api_key_env={self.api_key_env}: the environment variable is empty or not set; put the key of "
                f"{self.endpoint} into it"
            )
        return key

    def check_llm(self) -> None:
        """Raises ``ConfigError`` for settings that cannot work."""
        if not self.endpoint:
            return
        if urlsplit(self.endpoint).scheme not in ("http", "https") or not urlsplit(self.endpoint).netloc:
            raise ConfigError(f"teacher.endpoint={self.endpoint}: must be a URL such as http://localhost:8000/v1")
        if not self.model:
            raise ConfigError("teacher.endpoint needs teacher.model, the name of a model of that server")
        _ = self.key
