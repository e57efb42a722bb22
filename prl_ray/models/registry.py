"""Resolves a model's name or path to a local Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from prl_ray.errors import ConfigError, ModelError
from prl_ray.hub import reachable
from prl_ray.models.smollm2 import smollm2_folder
from prl_ray.models.tiny import tiny_folder
from prl_ray.remote import downloaded
from prl_ray.urls import is_url

NAMES = ("smollm2", "tiny")
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length", "seq_length")
_EXPERT_KEYS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


def resolve_model(
    name: str = "smollm2", *, path: str = "", cache_dir: Path | None = None, texts: Iterable[str] = (), seed: int = 0
) -> Path:
    """The local folder of the configured model, downloaded or built on first use.

    ``path``, if given, overrides ``name``: a local folder, a URL that fsspec reads, or the name of a model on the
    Hugging Face hub. ``texts``
    (see ``encode.tokenizer_texts``) and ``seed`` build the tiny model. ``cache_dir`` replaces the user's cache for
    derived models.

    Raises ``ConfigError`` for an unknown name and ``ModelError`` if the model is not available or not a causal LM.
    """
    if path:
        folder = downloaded(path) if is_url(path) else _local_folder(path) or _hub_folder(path)
        check_causal_lm(folder)
        return folder
    if name == "smollm2":
        return smollm2_folder(cache_dir)
    if name == "tiny":
        return tiny_folder(texts, seed=seed, cache_dir=cache_dir)
    raise ConfigError(f"unknown model {name!r}; known: {', '.join(NAMES)}, or model.path=FOLDER_OR_HUB_NAME")


def check_causal_lm(folder: Path) -> None:
    """Raises ``ModelError`` if ``folder`` is not a causal LM with weights and a tokenizer. Reads only small files."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no config.json: it is not a Hugging Face model folder") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}") from error
    _check_kind(folder, config)
    known = {CAUSAL.get(config.get("model_type", ""))}
    architectures = set(config.get("architectures") or known)
    if not architectures & set(CAUSAL.values()):
        kind = ", ".join(sorted(map(str, architectures - {None}))) or config.get("model_type", "an unknown kind")
        raise ModelError(f"{folder} holds {kind}: not a causal language model that transformers can load by itself")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise ModelError(f"{folder} holds no weights (no *.safetensors)")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(f"{folder} holds no tokenizer (none of {', '.join(_TOKENIZER_FILES)})")


def _check_kind(folder: Path, config: dict[str, object]) -> None:
    """Raises ``ModelError`` for models that cannot be trained, or whose new weights an engine cannot load."""
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method", "an unknown method") if isinstance(quantised, dict) else "some method"
        raise ModelError(
            f"{folder} holds quantised weights ({method}): they cannot be trained. Give the original model"
        )
    if any(isinstance(count := text.get(key), int) and count > 1 for key in _EXPERT_KEYS):
        raise ModelError(
            f"{folder} holds a mixture of experts ({config.get('model_type', 'unknown')}): vLLM cannot load new "
            "weights of such a model while it runs, and PPO needs that. Give a dense model"
        )


def context_length(folder: Path) -> int | None:
    """Maximum context of the model in ``folder`` in tokens, from its ``config.json``; None if not given there."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    nested = config.get("text_config")
    text = nested if isinstance(nested, dict) else config
    found = [text[key] for key in _CONTEXT_KEYS if isinstance(text.get(key), int)]
    return int(found[0]) if found else None


def _local_folder(path: str) -> Path | None:
    """The folder that ``path`` names, or None if it can only be a hub name (``owner/name`` or ``name``)."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise ModelError(f"model.path={path} is a file; give the folder that holds config.json")
    if path.startswith((".", "~", "/")) or path.count("/") > 1:
        raise ModelError(f"model.path={path}: there is no such folder")
    return None


def _hub_folder(name: str) -> Path:
    """Downloads a model's configuration, tokenizer and safetensors weights, or finds them in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    small = ["*.json", "*.model", "*.txt", "*.jinja"]
    try:
        here = not reachable()
        folder = Path(snapshot_download(name, allow_patterns=[*small, "*.safetensors"], local_files_only=here))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*small, "*.bin"], local_files_only=here))
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"model.path={name} is not a folder here, and the Hugging Face hub cannot be reached (nor is the "
            f"model in its "
            "cache); copy the model here and give its folder, or use model=smollm2 or model=tiny"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError(f"model.path={name} is neither a folder here nor a model on the Hugging Face hub") from error
    except Exception as error:  # the hub's client raises errors of whichever HTTP library it is built on
        raise ModelError(f"model.path={name} could not be fetched from the Hugging Face hub: {error}") from error
    return folder
