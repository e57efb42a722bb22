"""Tokens of a problem and a program.

Prompt and response are tokenized separately, so no token spans their boundary: learner and scorer see exactly the
prompt tokens that the sampler continued, whatever the response starts with. The response's text is what its tokens
decode to *after the prompt*. Every tokenization is checked: it must decode to the same text, or it is refused. Special
tokens that are spelt out in a prompt or a program are text, never special.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import DataError, ModelError
from prl_ray.lines import Unit, line_end_tokens, text_behind, token_ends, units
from prl_ray.problems.problem import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptStyle = Literal["plain", "chat"]

_CONTEXTS = ("", "\n", ":", "x")
"""Texts put before a response while it is tokenized; their own tokens are then removed. SentencePiece-style tokenizers
add a blank before a text on its own, but not after another text."""


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
    the code prefix are not included; ``labels[line_index]`` selects the labels of these lines."""
    unit: Unit = "line"
    """The scored unit; with ``block``, "line" above means block."""


def prompt_text(problem: Problem) -> str:
    """The model's input in the plain style: the prompt, a line break, the code prefix."""
    prompt = problem.prompt.rstrip("\n")
    return (prompt + "\n" if prompt else "") + problem.code_prefix


def render_prompt(tokenizer: PreTrainedTokenizerBase, problem: Problem, *, style: PromptStyle = "plain") -> list[int]:
    """Prompt tokens, ``code_prefix`` included; at least one.

    ``plain`` is the unchanged prompt: short, and equal for all models. ``chat`` wraps it in the tokenizer's own chat
    template (``ModelError`` if it has none), with the code prefix at the start of the assistant's turn.
    """
    if style == "chat":
        if not answers_in_chat(tokenizer):
            raise ModelError("the chat prompt style needs a tokenizer with a chat template; use the plain style")
        return _user_turn(tokenizer, problem.prompt, problem.code_prefix)
    return _open_ended(tokenizer, prompt_text(problem))


def render_chat(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a question: a user's turn in the tokenizer's chat template, or the plain text without a template."""
    if answers_in_chat(tokenizer):
        return _user_turn(tokenizer, text)
    return _open_ended(tokenizer, text)


def answers_in_chat(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model is a chat model, whose answers may contain prose and code fences."""
    return bool(getattr(tokenizer, "chat_template", None))


def _user_turn(tokenizer: PreTrainedTokenizerBase, content: str, answer: str = "") -> list[int]:
    """Tokens of a user's turn and the start of the answer. Only the template's special tokens are special, not those
    spelt out in the texts."""

    def rendered(content: str) -> str:
        turns = [{"role": "user", "content": content}]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    whole = rendered(content)
    if not any(token in content + answer for token in tokenizer.all_special_tokens):
        tokens: list[int] = tokenizer.encode(whole + answer, add_special_tokens=False)
        return tokens
    before, _, after = rendered(_MARKER).partition(_MARKER)
    if not (whole.startswith(before) and whole.endswith(after)):
        raise ModelError("the chat template depends on the text: its special tokens cannot be identified")
    return [
        *tokenizer.encode(before, add_special_tokens=False),
        *_plain_tokens(tokenizer, whole[len(before) : len(whole) - len(after)]),
        *tokenizer.encode(after, add_special_tokens=False),
        *_plain_tokens(tokenizer, answer),
    ]


_MARKER = "prl-ray-content"


def _plain_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a text without special tokens, neither parsed nor added."""
    return tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) if text else []


def _open_ended(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokens of a text for continuation, at least one: some tokenizers add an end token to every text."""
    tokens = tokenizer.encode(text, split_special_tokens=True)
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
    does not reproduce the program's text.
    """
    prefix = problem.code_prefix
    if not program.startswith(prefix):
        raise DataError(f"{problem.task_id}: the program does not start with the problem's code prefix")
    prompt = render_prompt(tokenizer, problem, style=style)
    try:
        response = encode_response(tokenizer, program[len(prefix) :], prompt)
    except ModelError as error:
        raise ModelError(f"{problem.task_id}: {error}") from None
    ends = token_ends(tokenizer, response, behind=prompt)
    lines = units(program, unit)
    line_ends, keep = line_end_tokens(ends, lines, len(prefix))
    neutral = np.array([line.neutral for line in lines], dtype=np.bool_)
    return EncodedProgram(
        prompt_tokens=prompt,
        response_tokens=[*response, tokenizer.eos_token_id],
        line_ends=np.append(line_ends, len(response)).astype(np.int32),
        line_neutral=np.append(neutral[keep], False),
        line_index=np.append(np.flatnonzero(keep), len(lines)).astype(np.int32),
        unit=unit,
    )


def tokenizer_texts(problems: Iterable[Problem]) -> Iterator[str]:
    """Training texts for the tiny model's tokenizer, split where texts are tokenized: at the end of the code prefix."""
    for problem in problems:
        yield prompt_text(problem)
        for reference in problem.references:
            yield reference[len(problem.code_prefix) :]


def encode_response(tokenizer: PreTrainedTokenizerBase, text: str, prompt: Sequence[int]) -> list[int]:
    """Tokens that decode to exactly ``text`` after the tokens of ``prompt``, without the end-of-sequence token. Raises
    ``ModelError`` if the tokenizer has no such tokens.
    """
    for context in _CONTEXTS:
        apart = _plain_tokens(tokenizer, context)
        tokens = _plain_tokens(tokenizer, context + text)
        if tokens[: len(apart)] == apart and text_behind(tokenizer, prompt, tokens[len(apart) :]) == text:
            return tokens[len(apart) :]
    raise ModelError("the tokenizer changes this program's text; its lines cannot be aligned")
