"""A quick check that the Hugging Face hub can be reached.

The hub's own client makes five attempts with growing pauses before it reports that there is no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

TIMEOUT_S = 3.0


def reachable() -> bool:
    """Whether the hub answers one request, through whatever proxy its client uses."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
    except Exception:  # the hub's client raises errors of whichever HTTP library it is built on
        return False
    return True


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Within the block, the clients of the hub use only their caches if the hub does not answer."""
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not reachable():
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
