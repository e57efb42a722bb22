"""Runs, artifacts and checkpoints behind a URL, such as ``runs_dir=s3://bucket/runs``.

A run reads and writes a local working copy. The path of a working copy contains its URL, so every function that gets
the path of a folder can find the remote folder. A remote folder is whole once it has a ``whole.json``: that file is
written last, and lists size, checksum and key of every other file. All drivers of fsspec serve.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from prl_ray.errors import StorageError
from prl_ray.fingerprints import file_digest, signed
from prl_ray.models.folders import link_or_copy, replaced_whole, written_whole
from prl_ray.stores import Store
from prl_ray.urls import url_of, working_copy

MARKER = "whole.json"
NEXT = f"{MARKER}.next"
"""The same contents, while the marker is being written."""


class Entry(NamedTuple):
    """A file of a whole remote folder."""

    size: int
    digest: str
    key: str
    """Its path below the remote folder: its own name, or a name of its own where another version has that name."""


Entries = dict[str, Entry]
"""By path below the folder."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder behind a URL and its working copy."""

    url: str
    folder: Path

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The remote folder of a working copy, or of a folder in one; None for an ordinary folder."""
        url = url_of(folder)
        return cls(url, folder) if url else None

    @cached_property
    def _store(self) -> Store:
        return Store(self.url)

    @property
    def _seen(self) -> Path:
        """Next to the working copy: the marker, or the listing, with which it was in step last."""
        return self.folder.with_name(f".{self.folder.name}.{MARKER}")

    def check(self) -> None:
        """Writes, reads and removes a small file. Raises ``StorageError`` where that is not possible."""
        token, (files, path) = secrets.token_hex(8), self._store.opened
        place = f"{path}/.check-{token}"
        with self._store.reported("written, read and removed"):
            self._store.make_parent(place)
            files.pipe_file(place, token.encode())
            read = files.cat_file(place)
            files.rm_file(place)
        if read != token.encode():
            raise StorageError(f"{self.url} returns other bytes than were written")

    def entries(self) -> Entries | None:
        """The entries of the marker; None where there is none, or only a part of one."""
        marker = self._store.read(MARKER)
        if marker is None:
            return None
        return _entries_in(marker) or _entries_in(self._store.read(NEXT) or b"")

    def publish(self, names: Iterable[str] | None = None) -> list[str]:
        """Uploads the working copy, or only the files ``names``, and then the marker; files that the remote folder has
        already are left out. Returns the keys that were uploaded.

        Killed at any moment, the remote folder stays as it was for every reader. Raises ``StorageError``.
        """
        files, path = self._store.opened
        before = self.entries() or {}
        taken, now, sent = {entry.key for entry in before.values()}, Entries(), []
        for name in sorted(_names(self.folder) if names is None else names):
            file = self.folder / name
            size, digest = file.stat().st_size, file_digest(file)
            known = before.get(name)
            if known is None or known[:2] != (size, digest):
                known = Entry(size, digest, f"{name}.{digest[:12]}" if name in taken else name)
                self._upload(file, known)
                sent.append(known.key)
            now[name] = known
        if now != before:
            self._mark(now)
        self._seen.write_text(_marker_of(now))
        kept = {entry.key for entry in now.values()}
        with self._store.reported("thinned out"):
            for key in taken - kept:
                files.rm_file(f"{path}/{key}")
        return sent

    def fetch(self, *, in_place: bool = False) -> bool:
        """Brings the working copy in step with the remote folder, unless nothing was published there since. Whether
        the remote folder is whole.

        The working copy is replaced when all files have arrived; with ``in_place`` each file is, and files that the
        remote folder has not are kept. Raises ``StorageError`` where a file does not arrive with the checksum that the
        marker gives.
        """
        entries = self.entries()
        if entries is None:
            return False
        if not self.folder.exists() or _read(self._seen) != _marker_of(entries):
            if in_place:
                self._download_into(self.folder, entries)
            else:
                with replaced_whole(self.folder) as aside:
                    self._download_into(aside, entries)
            self._seen.write_text(_marker_of(entries))
        return True

    def repair(self) -> bool:
        """As ``fetch``, for a working copy whose files may be damaged: all of them are compared."""
        self._seen.unlink(missing_ok=True)
        return self.fetch()

    def fetch_plain(self) -> None:
        """Downloads a folder that others have written, without a marker; not again as long as its listing stays.

        Raises ``StorageError`` if there is nothing.
        """
        if self.fetch():
            return
        files, path = self._store.opened
        with self._store.reported("listed"):
            found = files.find(path, detail=True)
            listing = json.dumps({name: files.ukey(name) for name in sorted(found)})
        if not found:
            raise StorageError(f"{self.url} holds no files. Is the URL right?")
        if self.folder.exists() and _read(self._seen) == listing:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        with written_whole(self.folder) as aside, self._store.reported("downloaded"):
            for name in found:
                target = aside / os.path.relpath(name, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                files.get_file(name, str(target))
        self._seen.write_text(listing)

    def remove(self) -> None:
        """Removes the remote folder, its marker first."""
        files, path = self._store.opened
        with self._store.reported("removed"):
            if files.exists(f"{path}/{MARKER}"):
                files.rm_file(f"{path}/{MARKER}")
            if files.exists(path):
                files.rm(path, recursive=True)
        self._seen.unlink(missing_ok=True)

    def whole(self, pattern: str) -> list[Path]:
        """Working copies of the whole folders right below that match a pattern, sorted; they need not exist here."""
        files, path = self._store.opened
        with self._store.reported("listed"):
            files.invalidate_cache()
            markers = files.glob(f"{path}/{pattern}/{MARKER}")
        return sorted(self.folder / marker.split("/")[-2] for marker in markers)

    def _upload(self, file: Path, entry: Entry) -> None:
        files, path = self._store.opened
        place = f"{path}/{entry.key}"
        with self._store.reported("written"):
            self._store.make_parent(place)
            files.put_file(str(file), place)
            files.invalidate_cache()
            size = files.size(place)
        if size != entry.size:
            raise StorageError(f"{self.url}/{entry.key} has {size} bytes after its upload instead of {entry.size}")

    def _mark(self, entries: Entries) -> None:
        """Twice, so that one of the two is whole where the store cannot replace a file in one step."""
        contents = _marker_of(entries).encode()
        self._store.replace(NEXT, contents)
        self._store.replace(MARKER, contents)
        self._store.remove(NEXT)

    def _download_into(self, folder: Path, entries: Entries) -> None:
        """Fills ``folder`` with the files that the working copy has, and with downloads of the others, each whole or
        not at all."""
        files, path = self._store.opened
        for name, entry in entries.items():
            target, here = folder / name, self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if here.is_file() and (here.stat().st_size, file_digest(here)) == entry[:2]:
                if here != target:
                    link_or_copy(here, target)
                continue
            aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
            try:
                with self._store.reported("read"):
                    files.get_file(f"{path}/{entry.key}", str(aside))
                if file_digest(aside) != entry.digest:
                    raise StorageError(
                        f"{self.url}/{entry.key} is damaged: its checksum is not the one in {MARKER}. Remove "
                        f"{self.url}, so that it is made again"
                    )
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)


def downloaded(url: str) -> Path:
    """The local copy of the folder behind ``url``. Raises ``StorageError`` if there is nothing."""
    copy = working_copy(url)
    RemoteFolder(url.rstrip("/"), copy).fetch_plain()
    return copy


def publish(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """``RemoteFolder.publish`` for a working copy; nothing for an ordinary folder."""
    remote = RemoteFolder.of(folder)
    return remote.publish(names) if remote else []


def fetch(folder: Path, *, in_place: bool = False) -> bool:
    """``RemoteFolder.fetch`` for a working copy; False for an ordinary folder."""
    remote = RemoteFolder.of(folder)
    return remote.fetch(in_place=in_place) if remote else False


def is_whole(folder: Path) -> bool:
    """Whether the remote folder of a working copy is whole; False for an ordinary folder."""
    remote = RemoteFolder.of(folder)
    return remote is not None and remote.entries() is not None


def _names(folder: Path) -> list[str]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return [p.relative_to(folder).as_posix() for p in found]


def _marker_of(entries: Mapping[str, Entry]) -> str:
    return json.dumps(signed({"files": {name: list(entry) for name, entry in entries.items()}}), sort_keys=True) + "\n"


def _entries_in(text: bytes) -> Entries | None:
    try:
        marker = json.loads(text)
        entries = {name: Entry(*entry) for name, entry in marker["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return entries if signed(marker) == marker else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
