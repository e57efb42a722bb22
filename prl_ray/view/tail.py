"""Files of JSON lines that grow while they are read."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.view.files import inside, parsed


class Tail:
    """Reads a file of JSON lines incrementally. A replaced file is read again from the start.

    An unreadable line is skipped, counted, and reported in :attr:`complaint`: an incomplete or invalid line does not
    hide the others.

    Args:
        path: The file; it may not exist yet.
        roots: Folders in which it may be.
        take: Called with each line. Raises ``ValueError`` for an invalid line.
        forget: Called before the file is read from its start again.
    """

    def __init__(
        self,
        path: Path,
        roots: Sequence[Path],
        take: Callable[[dict[str, object]], None],
        forget: Callable[[], None],
    ) -> None:
        self.path, self._roots, self._take, self._forget = path, roots, take, forget
        self._place: tuple[int, int] | None = None
        """Device and inode of the file read so far."""
        self._offset = self._line = self._bad = 0
        self._first = ""

    @property
    def complaint(self) -> str:
        """Description of the unreadable lines; empty if there are none."""
        if not self._bad:
            return ""
        lines = "1 line" if self._bad == 1 else f"{self._bad} lines"
        return f"{self.path.name}: {lines} not readable and left out ({self._first})."

    def read(self) -> None:
        """Reads the new complete lines. Raises ``DataError`` if the file is a link out of the folders."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if self._place is not None:
                self._begin(None)
            return
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"{self.path.name} is not a file")
        inside(self.path, self._roots)
        place = (found.st_dev, found.st_ino)
        if place != self._place or found.st_size < self._offset:
            self._begin(place)
        if found.st_size == self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):  # the writer is still writing, or was killed
                    break
                self._offset += len(line)
                self._line += 1
                self._take_line(line)

    def _begin(self, place: tuple[int, int] | None) -> None:
        if self._place is not None:
            self._forget()
        self._place, self._first = place, ""
        self._offset = self._line = self._bad = 0

    def _take_line(self, line: bytes) -> None:
        try:
            row = parsed(line)
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
            self._take(row)
        except ValueError as error:
            self._bad += 1
            self._first = self._first or f"line {self._line}: {error}"
