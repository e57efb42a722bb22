"""Alignment on small tokenizers of each kind, trained here on code."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from prl_ray.lines import Line, line_end_tokens, segment, token_ends

PREFIX = "def f(xs):\n"
BODY = """    # größer 🎉
    xs = [x + 3 for x in xs]
    if not xs:
        return '日本'
    ys = [
        x * x
        for x in xs
    ]

    return ys
"""
CORPUS = [PREFIX + BODY, "    xs = sorted(xs)\n    return xs\n", "        return 1\n    return 2\n"] * 4


def byte_level() -> Tokenizer:
    """Byte-level BPE whose merges go across newlines and indentation."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=["<|end|>"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def word_level() -> Tokenizer:
    """Words and single newlines or blanks; text is joined by blanks, as such tokenizers decode."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=["<unk>", "<|end|>"]))
    return tokenizer


def metaspace() -> Tokenizer:
    """As sentencepiece: blanks are ``▁``, unknown characters fall back to bytes, one blank is stripped."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<|end|>", *(f"<0x{b:02X}>" for b in range(256))]
    corpus = ["".join(c for c in text if ord(c) < 128) for text in CORPUS]
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=400, special_tokens=special))
    # Byte tokens are in the vocabulary now, but must not be special, or decoding would drop them.
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [t for t in state["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(state))


BYTE_LEVEL = byte_level()
TOKENIZERS = {
    "byte_level": BYTE_LEVEL,
    "transformers": PreTrainedTokenizerFast(tokenizer_object=BYTE_LEVEL, eos_token="<|end|>"),
    "word_level": word_level(),
    "metaspace": metaspace(),
}
EXACT = ("byte_level", "transformers", "metaspace")
"""Those whose decoding gives the text back."""


def encode(name: str, text: str) -> list[int]:
    tokenizer = TOKENIZERS[name]
    return tokenizer.encode(text) if name == "transformers" else tokenizer.encode(text).ids


def decode(name: str, tokens: list[int]) -> str:
    return TOKENIZERS[name].decode(tokens, skip_special_tokens=False)


def test_the_tokenizers_are_hard_enough() -> None:
    """Some tokens span a newline and the next line's indentation, some hold a part of a character."""
    tokens = encode("byte_level", BODY)
    pieces = [decode("byte_level", [t]) for t in tokens]
    assert any(piece[0] == "\n" and piece[-1] == " " for piece in pieces)
    assert any("\ufffd" in decode("byte_level", [t]) for t in encode("byte_level", "ü猫🦊"))
    assert len(encode("metaspace", "🎉")) >= 4


@pytest.mark.parametrize("name", EXACT)
def test_round_trip(name: str) -> None:
    body = BODY if name != "metaspace" else BODY.lstrip()
    assert decode(name, encode(name, body)) == body


@pytest.mark.parametrize("name", EXACT)
@settings(deadline=None)
@given(text=st.text(alphabet="x =\n:[]é日🎉(", min_size=1).filter(lambda t: not t.startswith(" ")))
def test_ends_are_the_complete_characters(name: str, text: str) -> None:
    tokens = encode(name, text)
    ends = token_ends(TOKENIZERS[name], tokens)
    # Oracle: what decoding the tokens so far gives, less the replacement marks of a character that is not whole yet
    # (byte fallback marks the whole run of bytes then, so what was complete before counts too).
    so_far = [len(decode(name, tokens[: n + 1]).rstrip("\ufffd")) for n in range(len(tokens))]
    assert ends.tolist() == np.maximum.accumulate(so_far).tolist()
    assert ends.dtype == np.int64


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None)
@given(data=st.data())
def test_any_tokens_give_rising_ends_up_to_the_text(name: str, data: st.DataObject) -> None:
    size = len(TOKENIZERS[name].get_vocab())
    tokens = data.draw(st.lists(st.integers(0, size - 1), max_size=30))
    for skip in (False, True):
        ends = token_ends(TOKENIZERS[name], tokens, skip_special_tokens=skip)
        text = TOKENIZERS[name].decode(tokens, skip_special_tokens=skip)
        assert len(ends) == len(tokens)
        assert (np.diff(ends) >= 0).all()
        assert not tokens or ends[-1] == len(text)


def test_bytes_that_are_no_text_count_from_their_own_token() -> None:
    spelled = {BYTE_LEVEL.id_to_token(i): i for i in range(BYTE_LEVEL.get_vocab_size())}
    a, lead, follow = spelled["a"], spelled["ð"], spelled["Ł"]  # the bytes 0x61, 0xF0, 0x9F
    assert decode("byte_level", [a, lead, follow, a, lead]) == "a\ufffda\ufffd"
    assert token_ends(BYTE_LEVEL, [a, lead, follow, a, lead]).tolist() == [1, 1, 2, 3, 4]


def test_special_tokens_count_as_text_unless_skipped() -> None:
    tokens = [*encode("byte_level", "xs"), BYTE_LEVEL.token_to_id("<|end|>")]
    assert token_ends(BYTE_LEVEL, tokens)[-1] == len("xs<|end|>")
    assert token_ends(BYTE_LEVEL, tokens, skip_special_tokens=True)[-1] == len("xs")
    assert token_ends(BYTE_LEVEL, []).tolist() == []


@pytest.mark.parametrize("name", TOKENIZERS)
def test_each_line_ends_at_the_token_with_its_last_character(name: str) -> None:
    tokens = encode(name, BODY)
    response = decode(name, tokens)
    lines = segment(PREFIX + response)
    index, keep = line_end_tokens(token_ends(TOKENIZERS[name], tokens), lines, len(PREFIX))
    assert keep.tolist() == [line.end > len(PREFIX) for line in lines]
    assert len(index) == keep.sum() > 3 or name == "word_level"
    for token, line in zip(index, np.array(lines, object)[keep], strict=True):
        last = line.end - len(PREFIX)
        assert decode(name, tokens[: token + 1])[:last] == response[:last]
        assert decode(name, tokens[:token]).rstrip("\ufffd")[:last] != response[:last]


def test_hand_computed_ends() -> None:
    # tokens:        "    x" "s = 1" "\n    " "return" " xs"   characters 5, 11, 16, 22, 25
    program = PREFIX + "    xs = 1\n    return xs"
    ends = np.array([5, 10, 15, 21, 24])
    index, keep = line_end_tokens(ends, segment(program), len(PREFIX))
    assert keep.tolist() == [False, True, True]
    assert (index.tolist(), index.dtype, keep.dtype) == ([1, 4], np.int32, np.bool_)
    # One token may hold the newline, the indentation and the end of the line before.
    index, _ = line_end_tokens(np.array([9, 17, 24]), segment(program), len(PREFIX))
    assert index.tolist() == [1, 2]
    # A header whose beginning is in the prefix ends in the response.
    index, keep = line_end_tokens(np.array([5, 16]), segment("def f(xs):\n    pass"), 3)
    assert (index.tolist(), keep.tolist()) == ([1, 1], [True, True])


def test_lines_of_another_text_are_refused() -> None:
    with pytest.raises(ValueError, match="is not prefix"):
        line_end_tokens(np.array([3]), [Line(0, 4, False)], 0)
    index, keep = line_end_tokens(np.array([], np.int64), [], 0)
    assert (len(index), len(keep)) == (0, 0)
