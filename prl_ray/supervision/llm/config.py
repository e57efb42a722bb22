"""Settings of the LLM teacher."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from prl_ray.errors import ConfigError
from prl_ray.options import option


@dataclass
class LlmConfig:
    """Which language model proposes variants, and how it is asked (``teacher=llm``, ``teacher=mixed``)."""

    endpoint: str = option(
        "", "LLM teacher: base URL of an OpenAI-compatible server (http://…/v1); empty takes our own vLLM engines."
    )
    model: str = option(
        "", "LLM teacher: the server's name for the model, or folder or hub name; empty takes the run's base policy."
    )
    api_key_env: str = option("", "LLM teacher: environment variable that holds the server's key; empty sends none.")
    llm_share: float = option(0.5, "teacher=mixed: share of the proposals that the LLM is asked for.", low=0, high=1)
    temperature: float = option(0.8, "LLM teacher: sampling temperature.", low=0, high=2)
    max_prompt_tokens: int = option(1024, "LLM teacher: our engines answer no longer question.", low=64)
    max_answer_tokens: int = option(96, "LLM teacher: length limit of an answer.", low=8)
    rounds: int = option(
        2, "LLM teacher: number of rounds in which missing variants are asked for again.", low=1, high=10
    )
    attempts: int = option(3, "LLM teacher: times that a request is sent before it counts as failed.", low=1, high=10)
    parallel: int = option(8, "LLM teacher: requests that a server is given at the same time.", low=1, high=256)
    answer_timeout_s: float = option(120.0, "LLM teacher: seconds that a server may take to answer.", low=1)

    @property
    def key(self) -> str:
        """The server's key, empty if none is sent. Raises ``ConfigError`` if its variable is not set."""
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
        """Raises ``ConfigError`` if the settings cannot work, before anything is asked."""
        if not self.endpoint:
            return
        if urlsplit(self.endpoint).scheme not in ("http", "https") or not urlsplit(self.endpoint).netloc:
            raise ConfigError(f"teacher.endpoint={self.endpoint}: must be a URL such as http://localhost:8000/v1")
        if not self.model:
            raise ConfigError("teacher.endpoint needs teacher.model, the name of the model that the server is to use")
        _ = self.key
