"""How a problem and a program become tokens.

The prompt and the response are tokenized apart, so no token ever spans their boundary: what the sampler continues from
is exactly what the learner and the scorer see, whatever the response starts with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import DataError, ModelError
from prl_ray.lines import Unit, line_end_tokens, token_ends, units
from prl_ray.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptStyle = Literal["plain", "chat"]


@dataclass(frozen=True, slots=True)
class EncodedProgram:
    """One program as tokens and scored lines. The last line is the *end*: the end-of-sequence token."""

    prompt_tokens: list[int]
    response_tokens: list[int]
    """Of ``program[len(code_prefix):]``, then the end-of-sequence token."""
    line_ends: NDArray[np.int32]
    """``[lines]``: index into ``response_tokens`` of the token that holds a line's last character."""
    line_neutral: NDArray[np.bool_]
    """``[lines]``: comments, docstrings, ``pass``. The end is not neutral."""
    line_index: NDArray[np.int32]
    """``[lines]``: index into ``units(program, unit)``; the end has the index one past its last line. Lines that end in
    the code prefix are not here, so a label per unit is picked by ``labels[line_index]``."""
    unit: Unit = "line"
    """What is scored; with ``block``, read blocks for lines above."""


def prompt_text(problem: Problem) -> str:
    """What the model reads in the plain style: the prompt, a line break, the code prefix."""
    prompt = problem.prompt.rstrip("\n")
    return (prompt + "\n" if prompt else "") + problem.code_prefix


def render_prompt(tokenizer: PreTrainedTokenizerBase, problem: Problem, *, style: PromptStyle = "plain") -> list[int]:
    """Prompt tokens, ``code_prefix`` included; at least one.

    ``plain`` is the prompt as it is: short, and the same for every model. ``chat`` wraps it in the tokenizer's own chat
    template (``ModelError`` if it has none), the code prefix opening the assistant's turn.
    """
    if style == "chat":
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError("the chat prompt style needs a tokenizer with a chat template; take the plain style")
        text = _user_turn(tokenizer, problem.prompt)
        return tokenizer.encode(text + problem.code_prefix, add_special_tokens=False)
    return _open_ended(tokenizer, prompt_text(problem))


def render_chat(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a question to be answered: a turn of the tokenizer's chat template, or the plain text without one."""
    if getattr(tokenizer, "chat_template", None):
        return tokenizer.encode(_user_turn(tokenizer, text), add_special_tokens=False)
    return _open_ended(tokenizer, text)


def _user_turn(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    turns = [{"role": "user", "content": text}]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _open_ended(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a text that is to be continued, at least one: some tokenizers close every text."""
    tokens = tokenizer.encode(text)
    while tokens and tokens[-1] in (tokenizer.eos_token_id, getattr(tokenizer, "sep_token_id", None)):
        tokens = tokens[:-1]
    return tokens or [tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id]


def encode_program(
    tokenizer: PreTrainedTokenizerBase,
    problem: Problem,
    program: str,
    *,
    style: PromptStyle = "plain",
    unit: Unit = "line",
) -> EncodedProgram:
    """Prompt, response and scored lines (or blocks) of a whole program (``code_prefix`` included).

    Raises ``DataError`` if the program does not start with the problem's code prefix, ``ModelError`` if the tokenizer
    does not give the program's text back.
    """
    prefix = problem.code_prefix
    if not program.startswith(prefix):
        raise DataError(f"{problem.task_id}: the program does not start with the problem's code prefix")
    response = encode_response(tokenizer, program[len(prefix) :])
    ends = token_ends(tokenizer, response)
    if (int(ends[-1]) if len(ends) else 0) != len(program) - len(prefix):
        raise ModelError(f"{problem.task_id}: the tokenizer changes this program's text; its lines cannot be aligned")
    lines = units(program, unit)
    line_ends, keep = line_end_tokens(ends, lines, len(prefix))
    neutral = np.array([line.neutral for line in lines], dtype=np.bool_)
    return EncodedProgram(
        prompt_tokens=render_prompt(tokenizer, problem, style=style),
        response_tokens=[*response, tokenizer.eos_token_id],
        line_ends=np.append(line_ends, len(response)).astype(np.int32),
        line_neutral=np.append(neutral[keep], False),
        line_index=np.append(np.flatnonzero(keep), len(lines)).astype(np.int32),
        unit=unit,
    )


def tokenizer_texts(problems: Iterable[Problem]) -> Iterator[str]:
    """The texts that a tokenizer of our own is trained on, cut as they are tokenized: at the end of the code prefix."""
    for problem in problems:
        yield prompt_text(problem)
        for reference in problem.references:
            yield reference[len(problem.code_prefix) :]


def encode_response(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a response's text, without special tokens and without the end-of-sequence token."""
    return tokenizer.encode(text, add_special_tokens=False)
