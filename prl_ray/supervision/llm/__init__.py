"""The LLM teacher: a language model proposes variants of one line at a time; execution labels them like all others.

- ``teacher``: asks about marked lines of a program and keeps the answers that are variants;
- ``questions``: the prompts;
- ``answers``: parses an answer into a line, or into the reason for rejecting it;
- ``chat``: requests, answers, and a cache of answers on disk;
- ``endpoint``: an OpenAI-compatible HTTP server (the project's own engines: ``prl_ray.actors.chat``);
- ``mixed``: shares the budget with the rule teacher;
- ``config``: the settings.
"""

from prl_ray.supervision.llm.chat import Answer, CachedChat, Chat, Request
from prl_ray.supervision.llm.config import LlmConfig
from prl_ray.supervision.llm.endpoint import Endpoint
from prl_ray.supervision.llm.mixed import MixedTeachers
from prl_ray.supervision.llm.teacher import LlmTeachers

__all__ = ["Answer", "CachedChat", "Chat", "Endpoint", "LlmConfig", "LlmTeachers", "MixedTeachers", "Request"]
