"""Every end token of a model ends a program and is none of its text; every step from text to tokens is exact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from prl_ray.actors.generator import Generator, Sampling
from prl_ray.lines import line_end_tokens, segment, text_behind, token_ends
from prl_ray.models.encode import encode_program, encode_response, render_chat, render_prompt
from prl_ray.models.policy import end_tokens, load_policy, load_tokenizer
from prl_ray.models.saving import save_model
from prl_ray.problems import Problem
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import TestSuite

PREFIX = "def f(x):\n"
PROBLEM = Problem("p", "Add one.", "f", TestSuite(), (PREFIX + "    return x + 1",), "train", code_prefix=PREFIX)
TEMPLATE = "{% for m in messages %}<s>[{{ m['role'] }}] {{ m['content'] }} </s>{% endfor %}"


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """As Llama 2's and Mistral's: blanks are ``▁``, a text gets one at its start and loses it when it is decoded."""
    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    corpus = [" return x + 1 def f(x): if x: for i in range", "Add one. Sort the list"] * 3
    bpe.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=330, special_tokens=special))
    state = json.loads(bpe.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    # newlines are bytes, as in the original vocabularies
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )


LIKE_LLAMA = sentencepiece_like()


def test_all_end_tokens_of_the_folder_are_read(two_ends: Path) -> None:
    tokenizer = load_tokenizer(two_ends)
    ends = end_tokens(two_ends, tokenizer)
    assert ends == (tokenizer.eos_token_id, *range(100, 120))
    (two_ends / "generation_config.json").rename(two_ends / "aside")
    assert end_tokens(two_ends, tokenizer) == (tokenizer.eos_token_id,), "config.json's, where there is no other"
    (two_ends / "aside").rename(two_ends / "generation_config.json")


def test_a_saved_model_ends_where_it_ended_in_training(two_ends: Path, tmp_path: Path) -> None:
    tokenizer, model = load_tokenizer(two_ends), load_policy(two_ends, torch.float32)
    model.generation_config.eos_token_id = list(range(100, 120))
    save_model(model, tokenizer, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())["eos_token_id"]
    assert saved == [tokenizer.eos_token_id, *range(100, 120)]


@pytest.mark.slow
def test_every_end_token_ends_a_program_and_is_no_text(engine: Generator, problems: list[Problem]) -> None:
    """Before: samples that end with another token than the tokenizer's were unfinished, its text in the program."""
    sampling = Sampling(samples=16, temperature=1.0, max_tokens=40, seed=3)
    batch = TrajectoryBatch.concat(list(engine.generate(problems[:2], [0, 1], sampling)))
    others = 0
    for i, program in enumerate(batch.programs):
        tokens = batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]].tolist()
        ended = tokens[-1] in engine.responses.ends
        others += ended and tokens[-1] != engine.tokenizer.eos_token_id
        assert bool(batch.finished[i]) == ended and (ended or len(tokens) == 40)
        assert not set(tokens[:-1]) & set(engine.responses.ends)
        assert program.endswith(engine.tokenizer.decode(tokens[:-1] if ended else tokens))
        lines = batch.line_ends[batch.line_offsets[i] : batch.line_offsets[i + 1]]
        assert not ended or lines[-1] == len(tokens) - 1
    assert others >= 8


def test_leading_blanks_behind_a_code_prefix_stay() -> None:
    """Before: one blank of the first line was lost, an IndentationError in every program."""
    program = PREFIX + "    return x + 1"
    encoded = encode_program(LIKE_LLAMA, PROBLEM, program)
    body = encoded.response_tokens[:-1]
    assert text_behind(LIKE_LLAMA, encoded.prompt_tokens, body) == "    return x + 1"
    assert LIKE_LLAMA.decode(body) != "    return x + 1", "decoded alone, a blank is lost"
    assert encoded.line_ends.tolist() == [len(body) - 1, len(body)]


TEXTS = st.text(st.sampled_from(" \n\tabdefrtx(:)+é漢🙂<s>/"), max_size=30)


@given(TEXTS)
def test_tokens_of_a_response_give_its_text_back(text: str) -> None:
    prompt = render_prompt(LIKE_LLAMA, PROBLEM)
    tokens = encode_response(LIKE_LLAMA, text, prompt)
    assert text_behind(LIKE_LLAMA, prompt, tokens) == text
    ends = token_ends(LIKE_LLAMA, tokens, behind=prompt)
    assert (int(ends[-1]) if len(ends) else 0) == len(text)
    lines = segment(text)
    for line, token in zip(lines, line_end_tokens(ends, lines, 0)[0], strict=True):
        assert (int(ends[token - 1]) if token else 0) < line.end <= int(ends[token])


@given(TEXTS, st.integers(0, 20))
def test_a_response_that_is_cut_within_a_character_keeps_its_other_lines(text: str, cut: int) -> None:
    """Byte fallback gives up whole runs of bytes: a newline of the prompt too, if half an ``é`` follows it."""
    prompt = render_prompt(LIKE_LLAMA, PROBLEM)
    tokens = encode_response(LIKE_LLAMA, "\n" + text + "\né", prompt)
    cut = min(cut, len(tokens))
    found = text_behind(LIKE_LLAMA, prompt, tokens[:cut])
    whole = found.rstrip("\ufffd")
    assert ("\n" + text + "\né").startswith(whole) and len(found) - len(whole) <= 1
    ends = token_ends(LIKE_LLAMA, tokens[:cut], behind=prompt)
    assert (int(ends[-1]) if cut else 0) == len(found)


def test_special_tokens_in_a_text_stay_text(two_ends: Path) -> None:
    """Before: ``</s>`` in a prompt or program became the end token itself."""
    for tokenizer in (LIKE_LLAMA, load_tokenizer(two_ends)):
        spelt = f"x = '{tokenizer.eos_token}{tokenizer.bos_token}'"
        encoded = encode_program(tokenizer, PROBLEM, PREFIX + spelt)
        assert encoded.response_tokens.count(tokenizer.eos_token_id) == 1
        assert text_behind(tokenizer, encoded.prompt_tokens, encoded.response_tokens[:-1]) == spelt
        assert encoded.line_ends[-1] == len(encoded.response_tokens) - 1


def test_special_tokens_of_the_template_are_special_and_those_of_the_text_are_not() -> None:
    plain = render_chat(LIKE_LLAMA, "Add one.")
    spelt = render_chat(LIKE_LLAMA, "Add </s> one.")
    ends = [tokens.count(LIKE_LLAMA.eos_token_id) for tokens in (plain, spelt)]
    assert ends == [1, 1] and [tokens.count(LIKE_LLAMA.bos_token_id) for tokens in (plain, spelt)] == [1, 1]
    assert "Add </s> one." in LIKE_LLAMA.decode(spelt)
