"""The tiny model: a Llama of a few million parameters with random weights and its own tokenizer.

For tests, short demonstrations, and experiments with many seeds: the stage sft trains it from scratch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prl_ray.errors import ModelError
from prl_ray.models.folders import user_cache, written_whole
from prl_ray.models.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True, slots=True)
class TinyShape:
    """Size of a tiny Llama; the defaults are 4.3 million parameters at the full vocabulary."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    """Attention heads; ``hidden / heads`` is the head size, and vLLM's CPU attention needs a multiple of 32."""
    kv_heads: int = 2
    mlp: int = 688
    vocab: int = 1536
    """Maximum vocabulary: byte-pair merging stops earlier if no pair of the texts occurs twice."""
    context: int = 2048


def tiny_folder(
    texts: Iterable[str], *, seed: int = 0, shape: TinyShape | None = None, cache_dir: Path | None = None
) -> Path:
    """A tiny model as a Hugging Face folder in the user's cache, made once for the same texts, seed and shape.

    ``texts`` train the tokenizer (prompts and reference programs). Raises ``ModelError`` if they are empty.
    """
    shape = shape or TinyShape()
    texts = list(texts)
    key = json.dumps([1, seed, asdict(shape), texts]).encode()
    folder = (cache_dir or user_cache()) / "models" / f"tiny-{hashlib.sha256(key).hexdigest()[:16]}"
    if not folder.is_dir():
        with quiet_loading(), written_whole(folder) as aside:
            write_tiny(aside, texts, seed=seed, shape=shape)
    return folder


def write_tiny(folder: Path, texts: Iterable[str], *, seed: int = 0, shape: TinyShape | None = None) -> None:
    """Writes a tiny model with random weights and a tokenizer trained on ``texts`` into ``folder``."""
    shape = shape or TinyShape()
    tokenizer = train_tokenizer(texts, shape.vocab)
    random_llama(tokenizer, seed, shape).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def train_tokenizer(texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of at most ``vocab`` tokens that reproduces any text exactly; one token per digit."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    texts = list(texts)
    if not any(texts):
        raise ModelError("model=tiny trains its own tokenizer and was given no text to train it on")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        min_frequency=2,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
    )


def random_llama(tokenizer: PreTrainedTokenizerFast, seed: int, shape: TinyShape) -> LlamaForCausalLM:
    """A float32 Llama of the given shape, with weights drawn from ``seed``; torch's global generator is not used."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.mlp,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).to(torch.float32)
