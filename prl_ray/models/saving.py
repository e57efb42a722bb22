"""Saved models: Hugging Face folders that are written atomically; large and sharded ones shard by shard."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from prl_ray.models.folders import written_whole
from prl_ray.models.named_weights import Weight, in_main_memory, in_shards
from prl_ray.models.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER_FOLDER = "adapter"
"""Subfolder with the adapters of a folder of merged weights, in PEFT's format."""
SHARD_BYTES = 2 << 30


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    weights: Iterable[Weight] | None = None,
    adapters: AbstractContextManager[object] | None = None,
) -> None:
    """Writes weights, config and tokenizer atomically as a Hugging Face folder.

    ``weights`` replace the model's own: those of a sharded model, or with merged adapters. They are read one at a time,
    with at most one shard of 2 GiB in memory. ``adapters`` is a context in which the adapters are gathered; if given,
    they are written too.

    Raises ``FileExistsError`` if ``folder`` exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; a saved model is never overwritten")
    if (generation := getattr(model, "generation_config", None)) is not None:
        # users of the folder end texts at the same tokens as in training
        known = generation.eos_token_id
        known = known if isinstance(known, list) else [] if known is None else [known]
        ends = list(dict.fromkeys([tokenizer.eos_token_id, *known]))
        generation.eos_token_id = ends if len(ends) > 1 else ends[0]
    with quiet_loading(), written_whole(folder) as aside:
        if weights is None:
            model.save_pretrained(str(aside))
        else:
            _save_in_shards(model, weights, aside)
        if adapters is not None:
            with adapters:
                model.save_pretrained(str(aside / ADAPTER_FOLDER))
        tokenizer.save_pretrained(str(aside))


def _save_in_shards(model: PreTrainedModel, weights: Iterable[Weight], folder: Path) -> None:
    write_shards(weights, folder)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(str(folder))
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.save_pretrained(str(folder))


def write_shards(weights: Iterable[Weight], folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes weights as ``model-00001.safetensors``, … with an index, each file at most ``shard_bytes`` large, unless a
    single weight is larger. Tied weights are written once, as in transformers."""
    from safetensors.torch import save_file

    places: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(in_shards(in_main_memory(weights), shard_bytes, {}), start=1):
        file = f"model-{number:05d}.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, file)
        total += sum(tensor.nbytes for tensor in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
