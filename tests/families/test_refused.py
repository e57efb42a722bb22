"""What is not supported is said at the start, from ``config.json``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prl_ray.errors import ModelError
from prl_ray.models.registry import check_causal_lm


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}, r"quantised weights \(gptq\)"),
        ({"model_type": "mixtral", "num_local_experts": 4}, r"mixture of experts \(mixtral\)"),
        ({"model_type": "qwen3_moe", "num_experts": 8}, r"mixture of experts \(qwen3_moe\)"),
        ({"model_type": "deepseek_v2", "n_routed_experts": 4}, r"mixture of experts \(deepseek_v2\)"),
    ],
    ids=["quantised weights", "mixtral", "qwen3-moe", "deepseek-v2"],
)
def test_refused_with_one_message(tmp_path: Path, config: dict[str, object], said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=said):
        check_causal_lm(tmp_path)
