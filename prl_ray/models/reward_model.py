"""Reward models: of lines (PRM) or of whole programs (ORM).

A model of the form ``head`` has a token-classification head with one label, read at line ends (PRM) or at the end token
(ORM): an ``AutoModelForTokenClassification`` folder with ``num_labels=1``. The bias of an ORM's head stays 0, so
``AutoModelForSequenceClassification``, whose head has no bias, loads the same folder with equal scores. A PRM of the
form ``likelihood`` is a causal LM, whose score of a line comes from the line's log-likelihood:

    logit_i = LIKELIHOOD_BIAS + LIKELIHOOD_WEIGHT * max(log P(line i | problem, lines 1 … i-1), LIKELIHOOD_FLOOR)

So it begins with what the policy knows about its lines, and learns what the policy gets wrong. Scores are logits;
``probabilities`` divides them by the calibration temperature that the config stores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from prl_ray.errors import ModelError
from prl_ray.lines import Unit
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import attention, check_head, hidden_states, load_policy, without_dropout
from prl_ray.models.quiet import quiet_loading
from prl_ray.ppo.collate import PaddedBatch, flat_rows, line_sums

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Kind = Literal["prm", "orm"]
Form = Literal["head", "likelihood"]

LIKELIHOOD_BIAS, LIKELIHOOD_WEIGHT, LIKELIHOOD_FLOOR = 2.0, 0.5, -12.0
"""A line of probability exp(-4) has the score 0.5 before calibration, about what logistic regression gives for the
lines of an SFT policy; training moves the likelihoods, not these. A line below the floor has no gradient: right ones,
such as references in unusual words, would have all of it, and the policy does not write them."""

HEAD_NAMES = ("score", "classifier")
"""Names of the token-classification head, by architecture."""

features = hidden_states
"""``features(model, ids, mask)``: last hidden states ``[batch, time, hidden]``, shared by the score and a critic."""


def init_reward_model(
    policy_folder: Path | str,
    dtype: torch.dtype,
    *,
    kind: Kind = "prm",
    form: Form = "head",
    seed: int = 0,
    unit: Unit = "line",
) -> PreTrainedModel:
    """A reward model on the policy's trunk; a head starts near 0, so that every initial score is near p = 0.5.

    ``unit`` is the unit whose ends the PRM is trained at; it is stored in the model's config.

    Raises:
        ModelError: the policy's architecture has no token-classification form in transformers, or logits that cannot be
            computed here.
        ValueError: an ORM of the form ``likelihood``, which does not exist.
    """
    if (kind, form) == ("orm", "likelihood"):
        raise ValueError("an ORM has a head: its score is not that of a line")
    model = _load(policy_folder, dtype, form)
    if form == "head":
        _draw(score_head(model), seed)
    else:
        check_head(model)
    model.config.prl_kind = kind
    model.config.prl_form = form
    model.config.prl_unit = unit
    model.config.calibration_temperature = 1.0
    _freeze_bias(model)
    return model


def load_reward_model(folder: Path | str, dtype: torch.dtype) -> PreTrainedModel:
    """A trained reward model, in evaluation mode. Raises ``ModelError`` if ``folder`` holds none."""
    config = _read_config(folder)
    if config.get("prl_kind") is None:
        raise ModelError(f"{folder} holds no reward model (its config.json has no prl_kind); run the stage prm")
    model = _load(folder, dtype, config.get("prl_form", "head"))
    _freeze_bias(model)
    return model


def check_reward_folder(folder: Path, kind: str, unit: Unit | None = None) -> None:
    """Raises ``ModelError`` unless ``folder`` holds a reward model of ``kind``, and a PRM one of ``unit`` if given.
    Reads its ``config.json`` only."""
    config = _read_config(folder)
    found, cut = config.get("prl_kind"), config.get("prl_unit", "line")
    if found != kind:
        held = f"a reward model of kind {found}" if found else "no reward model"
        raise ModelError(f"{folder} holds {held}; a {kind} is needed, as the stage prm writes it to runs/NAME/{kind}")
    if kind == "prm" and unit not in (None, cut):
        raise _other_unit(cut, unit)


def reward_kind(model: PreTrainedModel) -> Kind | None:
    """``"prm"``, ``"orm"``, or None for a model that is neither."""
    return getattr(model.config, "prl_kind", None)


def reward_form(model: PreTrainedModel) -> Form:
    """Whether a head or the line's likelihood gives the score."""
    return getattr(model.config, "prl_form", "head")


def reward_unit(model: PreTrainedModel) -> Unit:
    """Whether a PRM was trained at the ends of lines or of blocks."""
    return getattr(model.config, "prl_unit", "line")


def check_unit(model: PreTrainedModel, unit: Unit) -> None:
    """Raises ``ModelError`` if a PRM was trained on another unit."""
    if reward_unit(model) != unit:
        raise _other_unit(reward_unit(model), unit)


def _other_unit(trained: str, given: str | None) -> ModelError:
    return ModelError(
        f"the reward model scores every {trained} and was given programs cut by the {given}: set lines.unit={trained}, "
        "or train it again"
    )


def score_head(model: nn.Module) -> nn.Linear:
    """The linear layer from a hidden state to one score (``score`` or ``classifier``, by architecture)."""
    for name in HEAD_NAMES:
        if isinstance(head := getattr(model, name, None), nn.Linear):
            return head
    raise ModelError(f"{type(model).__name__} has no linear score head")


def line_logits(model: PreTrainedModel, padded: PaddedBatch, hidden: Tensor) -> Tensor:
    """Float32 logits ``[l]`` of a micro-batch's lines, from its last hidden states ``[b, t, hidden]``."""
    if reward_form(model) == "head":
        return head_logits(model, flat_rows(hidden, padded.line_ends))
    states = flat_rows(hidden, padded.predicts)
    logprobs = output_head(model).logprobs(states, padded.targets, with_entropy=False)[0]
    likelihoods = line_sums(logprobs, padded.line_tokens).clamp(min=LIKELIHOOD_FLOOR)
    return LIKELIHOOD_BIAS + LIKELIHOOD_WEIGHT * likelihoods


def head_logits(model: nn.Module, hidden: Tensor) -> Tensor:
    """Float32 logits ``[n]`` of the hidden states ``[n, hidden]`` at the positions that a head scores."""
    logits: Tensor = score_head(model)(hidden)
    return logits.squeeze(-1).float()


def probabilities(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """Calibrated probabilities ``[n]``: ``sigmoid(logits / temperature)``."""
    return torch.sigmoid(logits.float() / temperature(model))


def temperature(model: PreTrainedModel) -> float:
    """The calibration temperature stored in the model's config, 1 before calibration."""
    return float(getattr(model.config, "calibration_temperature", 1.0))


def set_temperature(model: PreTrainedModel, value: float) -> None:
    """Stores the calibration temperature (> 0); ``save_pretrained`` writes it."""
    if not value > 0:
        raise ValueError(f"a calibration temperature is positive, not {value}")
    model.config.calibration_temperature = float(value)


def _read_config(folder: Path | str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        config.get("prl_kind")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} holds no readable config.json ({error}); a reward model is needed") from error
    return config


def _load(folder: Path | str, dtype: torch.dtype, form: Form) -> PreTrainedModel:
    from transformers import AutoModelForTokenClassification

    if form == "likelihood":
        return load_policy(folder, dtype)
    register_class(folder)
    try:
        # transformers draws a random head, which is replaced: keep the caller's random state unchanged.
        with quiet_loading(), torch.random.fork_rng(devices=[]):
            model, report = AutoModelForTokenClassification.from_pretrained(
                str(folder), num_labels=1, dtype=dtype, attn_implementation=attention(), output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder} cannot be loaded with a token-classification head: {error}") from error
    if missing := sorted(k for k in report["missing_keys"] if k.split(".")[0] not in HEAD_NAMES):
        raise ModelError(f"{folder} lacks weights of the trunk: {', '.join(missing[:5])}")
    return without_dropout(model).eval()


def register_class(folder: Path | str) -> None:
    """Registers a token-classification class in transformers for the architecture in ``folder`` if it has none.

    It is the same head on the base model as for other architectures (Llama, Qwen, …), and saved folders load in the
    same way.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification
    from transformers.modeling_layers import GenericForTokenClassification

    try:
        kind = type(AutoConfig.from_pretrained(str(folder)))
    except (OSError, ValueError, KeyError):
        return  # loading the folder reports the fault
    if kind in AutoModelForTokenClassification._model_mapping or kind not in AutoModel._model_mapping:
        return
    base = AutoModel._model_mapping[kind]
    parent = next(cls for cls in base.__mro__ if cls.__name__.endswith("PreTrainedModel"))
    name = f"{base.__name__.removesuffix('Model')}ForTokenClassification"
    body = {"__module__": __name__, "base_model_prefix": parent.base_model_prefix, "config_class": kind}
    made = type(name, (GenericForTokenClassification, parent), body)
    AutoModelForTokenClassification.register(
        kind, made, exist_ok=True
    )  # without it, only transformers' own classes are accepted


@torch.no_grad()
def _draw(head: nn.Linear, seed: int) -> None:
    head.weight.copy_(torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(seed)) * 0.01)
    if head.bias is not None:
        head.bias.zero_()


def _freeze_bias(model: PreTrainedModel) -> None:
    if reward_kind(model) == "orm" and (bias := score_head(model).bias) is not None:
        bias.requires_grad_(False)
