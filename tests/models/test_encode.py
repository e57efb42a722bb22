import numpy as np
import pytest
from tiny_model import TEXTS
from tokenizers import processors

from prl_ray.errors import DataError, ModelError
from prl_ray.examples import Example, as_batch
from prl_ray.lines import segment
from prl_ray.models.encode import encode_program, prompt_text, render_prompt, tokenizer_texts
from prl_ray.models.tiny import train_tokenizer
from prl_ray.problems.problem import Problem
from sandbox_workers import TestSuite

PREFIX = "def f(x):\n"
BODY = "    x = x + 1\n    # double it\n    x = (x *\n        2)\n    return x\n"
TOKENIZER = train_tokenizer([*TEXTS, BODY * 2], 400)


def problem(prompt: str = "# Add 1, double.", prefix: str = PREFIX) -> Problem:
    return Problem(
        "t/1", prompt, "f", TestSuite(kind="assert", tests=("assert f(1) == 4",)), (PREFIX + BODY,), "train", 0, prefix
    )


def test_a_program_becomes_prompt_response_and_lines():
    encoded = encode_program(TOKENIZER, problem(), PREFIX + BODY)
    assert TOKENIZER.decode(encoded.prompt_tokens) == "# Add 1, double.\ndef f(x):\n"
    assert TOKENIZER.decode(encoded.response_tokens[:-1]) == BODY
    assert encoded.response_tokens[-1] == TOKENIZER.eos_token_id
    # Five segmented lines: the header lies in the prefix; then the end.
    assert encoded.line_index.tolist() == [1, 2, 3, 4, 5]
    assert encoded.line_neutral.tolist() == [False, True, False, False, False]
    texts = [TOKENIZER.decode(encoded.response_tokens[: end + 1]) for end in encoded.line_ends]
    for text, line in zip(texts, segment(PREFIX + BODY)[1:], strict=False):
        assert (PREFIX + text).startswith((PREFIX + BODY)[: line.end])
    assert [t.rstrip().splitlines()[-1].strip() for t in texts[:4]] == ["x = x + 1", "# double it", "2)", "return x"]
    assert encoded.line_ends[-1] == len(encoded.response_tokens) - 1


def test_labels_of_a_program_are_picked_by_line_index():
    labels = np.array([9, 1, -1, 0, 1, 7])  # five lines and the end
    encoded = encode_program(TOKENIZER, problem(), PREFIX + BODY)
    assert labels[encoded.line_index].tolist() == [1, -1, 0, 1, 7]


def test_without_a_prefix_every_line_is_the_responses():
    encoded = encode_program(TOKENIZER, problem(prefix=""), PREFIX + BODY)
    assert encoded.line_index.tolist() == [0, 1, 2, 3, 4, 5]
    assert TOKENIZER.decode(encoded.prompt_tokens) == "# Add 1, double.\n"


def test_the_prompt_does_not_depend_on_what_follows():
    prompts = {
        tuple(encode_program(TOKENIZER, problem(), PREFIX + r).prompt_tokens) for r in ("", "    return x", "\n")
    }
    assert len(prompts) == 1


def test_an_empty_response_has_only_its_end():
    encoded = encode_program(TOKENIZER, problem(), PREFIX)
    assert encoded.response_tokens == [TOKENIZER.eos_token_id]
    assert (encoded.line_ends.tolist(), encoded.line_index.tolist()) == ([0], [1])


def test_a_program_without_its_prefix_is_an_error():
    with pytest.raises(DataError, match="t/1"):
        encode_program(TOKENIZER, problem(), "return 1")


def test_special_tokens_that_open_a_text_stay_and_those_that_close_it_go():
    tokenizer = train_tokenizer(TEXTS, 400)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    tokens = render_prompt(tokenizer, problem())
    assert tokens[0] == tokenizer.bos_token_id
    assert tokenizer.eos_token_id not in tokens
    encoded = encode_program(tokenizer, problem(), PREFIX + BODY)
    assert encoded.response_tokens.count(tokenizer.eos_token_id) == 1
    assert tokenizer.bos_token_id not in encoded.response_tokens


def test_an_empty_prompt_still_has_a_token_to_start_from():
    assert render_prompt(TOKENIZER, problem(prompt="", prefix="")) == [TOKENIZER.bos_token_id]
    assert prompt_text(problem(prompt="")) == PREFIX


def test_the_chat_style_needs_a_template():
    with pytest.raises(ModelError, match="chat template"):
        render_prompt(TOKENIZER, problem(), style="chat")
    tokenizer = train_tokenizer(TEXTS, 400)
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    assert tokenizer.decode(render_prompt(tokenizer, problem(), style="chat")) == (
        "<user># Add 1, double.<assistant>def f(x):\n"
    )


def test_a_tokenizer_is_trained_on_texts_cut_where_they_are_tokenized():
    assert list(tokenizer_texts([problem()])) == ["# Add 1, double.\ndef f(x):\n", BODY]


def test_blocks_are_scored_where_they_end():
    program = PREFIX + "    x = x + 1\n    if x:\n        x = x * 2\n    return x\n"
    encoded = encode_program(TOKENIZER, problem(), program, unit="block")
    # The first block begins with the header in the prefix and ends in the response.
    assert encoded.unit == "block" and encoded.line_index.tolist() == [0, 1, 2, 3]
    assert encoded.line_neutral.tolist() == [False] * 4
    texts = [TOKENIZER.decode(encoded.response_tokens[: end + 1]) for end in encoded.line_ends]
    assert [t.rstrip().splitlines()[-1].strip() for t in texts[:3]] == ["x = x + 1", "x = x * 2", "return x"]
    assert encoded.line_ends[-1] == len(encoded.response_tokens) - 1
    assert as_batch([Example(problem(), program)], [encoded]).unit == "block"
