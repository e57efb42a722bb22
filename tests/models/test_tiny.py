import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SHAPE, TEXTS

from prl_ray.models.policy import load_policy, load_tokenizer
from prl_ray.models.tiny import TinyShape, random_llama, tiny_folder, train_tokenizer

TOKENIZER = train_tokenizer(TEXTS, 400)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.sampled_from(" \n\t'\"()=:_x1"), st.characters(exclude_categories=["Cs"]))))
def test_the_tokenizer_gives_any_text_back(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text, add_special_tokens=False)) == text


def test_special_tokens_are_apart_and_every_digit_is_a_token():
    assert (TOKENIZER.pad_token_id, TOKENIZER.bos_token_id, TOKENIZER.eos_token_id) == (0, 1, 2)
    assert len(TOKENIZER.encode("123", add_special_tokens=False)) == 3
    assert TOKENIZER.encode("return x") == TOKENIZER.encode("return x", add_special_tokens=False)


def test_indented_statements_cost_a_token_a_word():
    tokens = TOKENIZER.convert_ids_to_tokens(TOKENIZER.encode("\n    return x"))
    assert tokens == ["ĊĠĠĠ", "Ġreturn", "Ġx"]


def test_the_folder_is_what_it_should_be_and_is_made_once(tmp_path):
    folder = tiny_folder(TEXTS, seed=3, shape=SHAPE, cache_dir=tmp_path)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert tiny_folder(iter(TEXTS), seed=3, shape=SHAPE, cache_dir=tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    assert tiny_folder(TEXTS, seed=4, shape=SHAPE, cache_dir=tmp_path) != folder
    model, tokenizer = load_policy(folder, torch.float32), load_tokenizer(folder)
    assert model.config.tie_word_embeddings
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.vocab_size == len(tokenizer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(0)
    a = random_llama(TOKENIZER, 5, SHAPE).state_dict()
    first = torch.rand(1)
    torch.manual_seed(0)
    assert torch.rand(1) == first, "making a model moved torch's global generator"
    b = random_llama(TOKENIZER, 5, SHAPE).state_dict()
    c = random_llama(TOKENIZER, 6, SHAPE).state_dict()
    key = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(a[key], b[key])
    assert not torch.equal(a[key], c[key])


def test_the_default_shape_is_a_few_million_parameters():
    parameters = sum(p.numel() for p in random_llama(TOKENIZER, 0, TinyShape()).parameters())
    assert 3e6 < parameters < 8e6
