"""Settings of a zygote; they travel as JSON on its command line."""

from __future__ import annotations

from typing import TypedDict

from .jail import JailConfig


class ZygoteConfig(TypedDict):
    """Start-up settings."""

    jail: JailConfig
    control: int
    """Descriptor of the control socket (sequenced packets)."""
    preload: list[str]
    """Modules to import before the first fork."""
    paths: list[str]
    """Additions to the import path of programs."""
    first_uid: int
    """Children get user ids from here on, one each; 0 leaves them the zygote's own."""
