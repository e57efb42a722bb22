"""Hides the libraries' progress bars, load reports and warnings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def set_library_environment() -> None:
    """Sets the variables that keep tokenizers and DeepSpeed from warning; variables that are already set are kept."""
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not torch.cuda.is_available():
        os.environ.setdefault(
            "DS_ACCELERATOR", "cpu"
        )  # else DeepSpeed warns at each import that it found no accelerator


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within the block, transformers logs errors only and shows no progress bar.

    Its load report would warn that a reward model's head is new, which is intended. Callers raise an error for missing
    *trunk* weights.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
