"""Folders whose ``tokenizer_config.json`` names a class that makes another tokenizer than ``tokenizer.json``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_model import TEXTS
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from prl_ray.lines import segment
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems.problem import Problem
from sandbox_workers import TestSuite

BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
PROGRAM = "def f(x):\n    y = 'é日'  # 🎉\n\treturn [x, y]\n"


@pytest.fixture(scope="module")
def deepseek_coder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DeepSeek-Coder's kind: byte-level BPE with splits of its own, under the name of Llama's class."""
    tokenizer = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+")]
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, digits, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS * 5, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in (BEGIN, "<|EOT|>", END)])
    folder = tmp_path_factory.mktemp("deepseek")
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": {**special, "content": BEGIN},
        "clean_up_tokenization_spaces": False,
        "eos_token": {**special, "content": END},
        "legacy": True,
        "model_max_length": 16384,
        "pad_token": {**special, "content": END},
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizerFast",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_the_file_decides_and_the_first_token_stays(deepseek_coder: Path, tmp_path: Path) -> None:
    written = Tokenizer.from_file(str(deepseek_coder / "tokenizer.json"))
    tokenizer = load_tokenizer(deepseek_coder)
    expected = [written.token_to_id(BEGIN), *written.encode(PROGRAM).ids]
    assert tokenizer.encode(PROGRAM) == expected
    assert tokenizer.encode(PROGRAM, add_special_tokens=False) == expected[1:]
    assert (tokenizer.bos_token, tokenizer.eos_token) == (BEGIN, END)
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path).encode(PROGRAM) == expected, "a saved one is loaded as it was"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="x =\n\t:[]1é日🎉(", max_size=30))
def test_any_text_comes_back(deepseek_coder: Path, text: str) -> None:
    tokenizer = load_tokenizer(deepseek_coder)
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(tokens) == text


def test_lines_end_at_their_last_characters(deepseek_coder: Path) -> None:
    tokenizer = load_tokenizer(deepseek_coder)
    suite = TestSuite(kind="assert", tests=("assert f(1)",))
    encoded = encode_program(tokenizer, Problem("t/1", "# Pair.", "f", suite, (PROGRAM,), "train", 0, ""), PROGRAM)
    assert encoded.prompt_tokens[0] == tokenizer.bos_token_id
    for end, line in zip(encoded.line_ends, segment(PROGRAM), strict=False):
        assert tokenizer.decode(encoded.response_tokens[: end + 1])[: line.end] == PROGRAM[: line.end]
        assert not tokenizer.decode(encoded.response_tokens[:end]).startswith(PROGRAM[: line.end])
