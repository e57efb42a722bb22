"""URLs in place of folders, and the local working copies that stand for them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

from fsspec import get_filesystem_class
from fsspec.registry import known_implementations

from prl_ray.errors import ConfigError
from prl_ray.models.folders import user_cache

COPIES = "remote"
"""Subfolder of the user's cache that holds the working copies."""
LONGEST = 250
"""Bytes of a file name on common file systems, for the quoted URL."""


def is_url(place: str) -> bool:
    """Whether ``place`` is a URL and not the path of a folder."""
    return "://" in place


def check_url(key: str, url: str) -> None:
    """Raises ``ConfigError`` for a URL that no installed driver serves. ``key`` is the setting. Opens no connection."""
    protocol, _, rest = url.partition("://")
    if not rest.strip("/"):
        raise ConfigError(f"config: {key}={url} names no bucket and no folder")
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        package = known_implementations[protocol]["class"].partition(".")[0]
        raise ConfigError(
            f"config: {key}={url} needs the package {package}, which is not installed: pip install {package}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"config: {key}={url}: fsspec has no driver for {protocol}://") from error
    if len(quote(url.rstrip("/"), safe="").encode()) > LONGEST:
        raise ConfigError(f"config: {key}={url} is longer than the name of a local folder can be; shorten it")


def working_copy(url: str) -> Path:
    """The local folder that stands for ``url``. Not created here."""
    return user_cache() / COPIES / quote(url.rstrip("/"), safe="")


def url_of(folder: Path) -> str:
    """The URL of a working copy, or of a folder in one; empty for an ordinary folder."""
    below = folder.absolute()
    for copy in (below, *below.parents):
        if copy.parent.name == COPIES and is_url(unquote(copy.name)):
            return "/".join([unquote(copy.name), *below.relative_to(copy).parts])
    return ""


def described(error: Exception) -> str:
    """An error of a driver of fsspec in one line, and what to do."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
    return f"{said}. {_remedy(error)}"


def _remedy(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "Is the bucket's name right, and does the bucket exist?"
    if isinstance(error, PermissionError):
        return "The credentials of this process need the right to list, read, write and delete there"
    if isinstance(error, ConnectionError | TimeoutError):
        return "Check the network and the endpoint of this machine, then give the same command again"
    return "Check the bucket, the credentials and the network, then give the same command again"
