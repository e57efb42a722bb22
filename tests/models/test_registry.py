import json

import pytest
from tiny_model import TEXTS

from prl_ray.errors import ConfigError, ModelError
from prl_ray.models.registry import check_causal_lm, resolve_model


def test_a_local_folder_is_taken_where_it_lies(tiny):
    assert resolve_model(path=str(tiny)) == tiny.resolve()
    assert resolve_model("anything", path=str(tiny)) == tiny.resolve()


def test_the_tiny_model_is_made_in_the_given_cache(tmp_path):
    folder = resolve_model("tiny", cache_dir=tmp_path, texts=TEXTS)
    assert folder.is_relative_to(tmp_path)
    check_causal_lm(folder)


def test_the_tiny_model_needs_texts(tmp_path):
    with pytest.raises(ModelError, match="no text"):
        resolve_model("tiny", cache_dir=tmp_path)
    assert not any((tmp_path / "models").glob("*"))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="smollm2, tiny"):
        resolve_model("smolm2")


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/model", "~/nowhere-at-all", "a/b/c"])
def test_a_folder_that_is_not_there_is_said_so_without_asking_the_hub(path):
    with pytest.raises(ModelError, match="no such folder"):
        resolve_model(path=path)


def test_a_file_is_not_a_folder(tiny):
    with pytest.raises(ModelError, match="is a file"):
        resolve_model(path=str(tiny / "config.json"))


def test_a_hub_name_that_cannot_be_had_is_a_clear_error(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"some-owner/some-model.*hub cannot be reached"):
        resolve_model(path="some-owner/some-model")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration"),
        ({"model_type": "vit"}, "vit"),
        ({"model_type": "llama", "architectures": ["LlamaForTokenClassification"]}, "LlamaForTokenClassification"),
    ],
)
def test_what_is_no_causal_lm_is_refused_by_name(tmp_path, config, said):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"{said}.*not a causal"):
        resolve_model(path=str(tmp_path))


@pytest.mark.parametrize(
    ("gone", "said"), [("config.json", "no config"), ("model.safetensors", "no weights"), ("tokenizer", "no tokenizer")]
)
def test_what_is_missing_is_named(tiny, tmp_path, gone, said):
    for file in tiny.iterdir():
        if not file.name.startswith(gone):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match=said):
        resolve_model(path=str(tmp_path))


def test_a_broken_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json.*cannot be read"):
        resolve_model(path=str(tmp_path))
