"""The policy: a causal LM whose output head is read on selected positions only.

A vocabulary of 49,152 makes the logits by far the largest tensor of a training step, and most positions (prompts,
padding) need none. So trunk and head are called separately: ``hidden_states`` once, ``output_head`` on the positions
that need it. ``check_head`` verifies that the result equals the model's own logits.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from prl_ray.errors import ModelError
from prl_ray.models.encode import encode_response
from prl_ray.models.output_head import output_head
from prl_ray.models.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError)
"""Exceptions of loading a folder whose weights are damaged, incomplete or of another shape."""
_ROUND_TRIP = "def f(x):\n    if x:\n        return {'a  b': [1, 20]}\n\n\n\treturn 'é漢🙂'  # x\n"


def load_policy(folder: Path | str, dtype: torch.dtype) -> PreTrainedModel:
    """The causal LM in ``folder``, in evaluation mode; dropout is off in training mode too. Raises ``ModelError``."""
    from transformers import AutoModelForCausalLM

    try:
        with quiet_loading():
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, attn_implementation=attention(), output_loading_info=True
            )
    except UNREADABLE as error:
        raise ModelError(f"{folder} cannot be loaded as a causal language model: {error}") from error
    # transformers would fill them with random numbers and only warn.
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{folder} lacks weights of its own architecture: {', '.join(missing[:5])}")
    return without_dropout(model).eval()


def attention() -> str:
    """The attention implementation to load models with: torch's fused kernels on a GPU, plain matrix products
    otherwise.

    On a CPU the fused kernel's backward pass uses many small block products: for programs of 100 to 300 tokens, a
    forward and backward pass in bfloat16 is 1.2 to 1.4 times faster without it.
    """
    return "sdpa" if torch.cuda.is_available() else "eager"


def without_dropout(model: nn.Module) -> nn.Module:
    """Sets every dropout rate to 0 and returns the model: with dropout, equal weights give different log-probabilities,
    so the ratio of new to old probabilities would differ from 1 before any update.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            setattr(module, "attention_dropout", 0.0)  # noqa: B010 -- torch types attributes as tensors or modules
    return model


def load_tokenizer(folder: Path | str) -> PreTrainedTokenizerBase:
    """The tokenizer in ``folder``, with an end token and a padding token. Raises ``ModelError`` if there is no end
    token or the tokenizer changes code (tabs, blanks, newlines).
    """
    from transformers import AutoTokenizer

    if not Path(folder).is_dir():  # transformers would look it up on the hub
        raise ModelError(f"{folder} is not the folder of a model")
    try:
        tokenizer = _as_written(AutoTokenizer.from_pretrained(str(folder)), Path(folder))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} has no tokenizer that transformers can load: {error}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(f"the tokenizer in {folder} has no end-of-sequence token; programs could not end")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token  # never read: padding is masked
    # Some tokenizers clean up decoded text ("a , b" becomes "a, b"), which changes code.
    tokenizer.clean_up_tokenization_spaces = False
    prompt = tokenizer.encode(_ROUND_TRIP, split_special_tokens=True)
    try:
        for text in (_ROUND_TRIP, *_ROUND_TRIP.splitlines(keepends=True)):
            encode_response(tokenizer, text, prompt)
    except ModelError:
        raise ModelError(
            f"the tokenizer in {folder} changes code when it encodes and decodes it; lines could not be aligned"
        ) from None
    return tokenizer


def _as_written(tokenizer: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of ``tokenizer.json``, also if the class that ``tokenizer_config.json`` names makes another of it.

    DeepSeek-Coder's is byte-level BPE, and its configuration names Llama's class, which puts SentencePiece's rules in
    the place of those of the file.
    """
    from transformers import PreTrainedTokenizerFast

    backend, file = getattr(tokenizer, "backend_tokenizer", None), folder / "tokenizer.json"
    if backend is None or not file.is_file():
        return tokenizer
    written = json.dumps(json.loads(file.read_text(encoding="utf-8")).get("decoder"))
    made = backend.decoder.__getstate__().decode("utf-8") if backend.decoder else ""
    if ("ByteLevel" in written) == ("ByteLevel" in made):
        return tokenizer
    plain = PreTrainedTokenizerFast.from_pretrained(str(folder))
    config = folder / "tokenizer_config.json"
    if config.is_file() and json.loads(config.read_text(encoding="utf-8")).get("add_bos_token"):
        plain.add_bos_token = True  # otherwise only the class that is named would add it
    return plain


def end_tokens(folder: Path | str, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """All tokens that end a text: the tokenizer's own, which SFT trains, and those of ``generation_config.json`` (or
    else ``config.json``), at which vLLM and transformers stop. Raises ``ModelError`` if the file cannot be read.
    """
    ends = [int(tokenizer.eos_token_id)]
    for name in ("generation_config.json", "config.json"):
        file = Path(folder) / name
        if not file.is_file():
            continue
        try:
            found = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"{file} cannot be read: {error}") from error
        ends += found if isinstance(found, list) else [] if found is None else [found]
        break
    return tuple(dict.fromkeys(map(int, ends)))


def hidden_states(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
) -> Tensor:
    """Last hidden states ``[batch, time, hidden]`` of a Hugging Face model's trunk, after its final norm.

    ``input_ids`` ``[batch, time]``; ``attention_mask`` ``[batch, time]``, 1 where a token is real, or bool ``[batch, 1,
    time, time]``, True where the query (third axis) may attend to the key. Pad on the right, or give ``position_ids``.
    Works for policies and reward models: both have a ``base_model``.
    """
    trunk: nn.Module = model.base_model  # type: ignore[assignment]
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        # fused kernels accept a bool mask, plain products add the mask to their scores
        dtype = next(trunk.parameters()).dtype
        blocked = ~attention_mask
        attention_mask = torch.zeros_like(blocked, dtype=dtype).masked_fill_(blocked, torch.finfo(dtype).min)
    out = trunk(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False)
    states: Tensor = out.last_hidden_state
    return states


@torch.no_grad()
def probe_logprobs(model: nn.Module, tokens: Sequence[int]) -> NDArray[np.float32]:
    """Log-probabilities of all tokens but the first under a causal LM, at temperature 1: float32 ``[tokens - 1]``."""
    ids = torch.tensor([list(tokens)], device=next(model.parameters()).device)
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    found: NDArray[np.float32] = torch.log_softmax(logits, -1).gather(-1, ids[0, 1:, None])[:, 0].cpu().numpy()
    return found


@torch.no_grad()
def check_head(model: nn.Module) -> None:
    """Raises ``ModelError`` unless ``output_head`` on the trunk's output gives exactly the model's own logits.

    Otherwise vLLM would sample from other logits than the learner trains.
    """
    head = output_head(model)
    ids = (torch.arange(8, device=head.weight.device) * 7919 % head.weight.shape[0]).unsqueeze(0)
    expected = model(input_ids=ids, use_cache=False).logits.float()
    gap = (head.logits(hidden_states(model, ids)).float() - expected).abs().max().item()
    if gap > 1e-2 * max(1.0, expected.abs().max().item()):
        raise ModelError(
            f"{type(model).__name__} transforms its logits in an unknown way (difference {gap:.3g}); it is not "
            "supported"
        )
