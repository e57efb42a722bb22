"""The libraries' progress bars, load reports and warnings, kept out of the terminal view."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def set_library_environment() -> None:
    """Sets the variables that keep tokenizers and DeepSpeed from warning; one that is set already stays."""
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or DeepSpeed warns at each import that it found none


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within the block, transformers says errors only and draws no progress bar; its settings come back after it.

    A load report warns that a reward model's head is new, which is what was asked for. Missing *trunk* weights are an
    error of their own, raised by the callers.
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
