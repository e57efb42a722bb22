import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from prl_ray.errors import ModelError
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import check_head, hidden_states, load_policy, load_tokenizer
from prl_ray.models.saving import save_model


def test_selected_positions_have_the_models_own_logits(tiny):
    model = load_policy(tiny, torch.float32)
    ids = torch.randint(3, model.config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        hidden = hidden_states(model, ids, mask)
        ours = output_head(model).logits(hidden[:, 3:5])
        assert torch.allclose(ours, model(input_ids=ids, attention_mask=mask).logits[:, 3:5], atol=1e-5)
        # right padding changes nothing before it
        alone = hidden_states(model, ids[1:, :6])
    assert torch.allclose(hidden[1, :6], alone[0], atol=1e-5)
    check_head(model)


def test_models_that_transform_their_logits_in_an_unknown_way_are_refused(monkeypatch):
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=0.01,
    )
    model = Gemma2ForCausalLM(config).eval()
    check_head(model)
    monkeypatch.setattr("prl_ray.models.output_head._cap", lambda config: 0.0)
    with pytest.raises(ModelError, match="Gemma2ForCausalLM transforms its logits"):
        check_head(model)


def test_a_policy_has_no_dropout_even_in_training_mode(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=32)).save_pretrained(tmp_path)
    model = load_policy(tmp_path, torch.float32).train()
    ids = torch.arange(8).unsqueeze(0)
    assert torch.equal(hidden_states(model, ids), hidden_states(model, ids))
    check_head(model)


def test_saving_and_loading_keeps_weights_and_tokenizer(tiny, tmp_path):
    model, tokenizer = load_policy(tiny, torch.float32), load_tokenizer(tiny)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(2)
    save_model(model, tokenizer, tmp_path / "again")
    again = load_policy(tmp_path / "again", torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert load_tokenizer(tmp_path / "again").get_vocab() == tokenizer.get_vocab()
    with pytest.raises(FileExistsError):
        save_model(model, tokenizer, tmp_path / "again")


def test_missing_weights_are_an_error_not_random_numbers(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tiny / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight"):
        load_policy(tmp_path, torch.float32)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_changes_code_is_refused(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "<eos>": 1, "def": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="changes code"):
        load_tokenizer(tmp_path)
