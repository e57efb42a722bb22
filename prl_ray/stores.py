"""Small files behind a URL: read, replaced, and created by one of several machines. All drivers of fsspec serve."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from prl_ray.errors import StorageError
from prl_ray.urls import described

EXCLUSIVE = {"file", "local", "memory", "gs", "gcs"}
"""Protocols whose driver creates a file only if there is none, in one step: a hard link on a file system,
``ifGenerationMatch`` of Google. Amazon's S3 does (``If-None-Match``), but servers of others may ignore it."""


@dataclass(frozen=True)
class Store:
    """The files below a URL."""

    url: str

    @cached_property
    def opened(self) -> tuple[AbstractFileSystem, str]:
        """The driver and the path of the URL. Raises ``StorageError``."""
        with self.reported("opened"):
            files, path = url_to_fs(self.url)
        return files, path.rstrip("/")

    @property
    def exclusive(self) -> bool:
        """Whether of several machines that ``create`` a file at the same time exactly one does."""
        return self.url.partition("://")[0] in EXCLUSIVE

    def read(self, name: str) -> bytes | None:
        """The contents of a file; None where there is none. Raises ``StorageError``."""
        files, path = self.opened
        with self.reported("read"):
            files.invalidate_cache()
            try:
                contents: bytes = files.cat_file(f"{path}/{name}")
            except FileNotFoundError:
                return None
        return contents

    def replace(self, name: str, contents: bytes) -> None:
        """Writes a file: in one step on a file system and in an object store, other stores may leave a part of it if
        this process is killed meanwhile. Raises ``StorageError``."""
        files, path = self.opened
        place = f"{path}/{name}"
        with self.reported("written"):
            self.make_parent(place)
            if isinstance(files, LocalFileSystem):
                with self._aside(place, contents) as aside:
                    os.replace(aside, place)  # noqa: PTH105  # fsspec has strings
            else:
                files.pipe_file(place, contents)

    def create(self, name: str, contents: bytes) -> bool:
        """Writes a file that does not exist. Whether it did so; see ``exclusive``. Raises ``StorageError``."""
        files, path = self.opened
        place = f"{path}/{name}"
        with self.reported("written"):
            self.make_parent(place)
            try:
                if isinstance(files, LocalFileSystem):
                    with self._aside(place, contents) as aside:
                        os.link(aside, place)
                else:
                    files.pipe_file(place, contents, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, name: str) -> None:
        """Removes a file if there is one. Raises ``StorageError``."""
        files, path = self.opened
        with self.reported("thinned out"), suppress(FileNotFoundError):
            files.rm_file(f"{path}/{name}")

    def make_parent(self, place: str) -> None:
        """Makes the folder of a path, on a file system: drivers of object stores would make a bucket of a wrong
        name."""
        files, _ = self.opened
        if isinstance(files, LocalFileSystem):
            files.makedirs(place.rpartition("/")[0], exist_ok=True)

    @contextmanager
    def reported(self, done: str) -> Iterator[None]:
        """Raises errors of the driver as ``StorageError``: the URL cannot be ``done``."""
        try:
            yield
        except Exception as error:  # each driver raises errors of the library that it is built on
            raise StorageError(f"{self.url} cannot be {done}: {described(error)}") from error

    @contextmanager
    def _aside(self, place: str, contents: bytes) -> Iterator[str]:
        """A file of its own next to ``place``, removed at the end of the block if it is still there."""
        folder, _, name = place.rpartition("/")
        aside = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
        files, _ = self.opened
        files.pipe_file(aside, contents)
        try:
            yield aside
        finally:
            with suppress(FileNotFoundError):
                files.rm_file(aside)
