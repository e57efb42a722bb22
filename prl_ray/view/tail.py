"""Files of JSON lines that grow while they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from prl_ray.errors import DataError

R = TypeVar("R")


class Tail(Generic[R]):
    """Reads a file of JSON lines and later only what was added. A file that was replaced is read again.

    ``R`` is the type of its lines.

    Args:
        path: The file; it need not be there yet.
        forget: Called before the file is read from its start again.
    """

    def __init__(self, path: Path, forget: Callable[[], None]) -> None:
        self.path, self._forget = path, forget
        self._place: tuple[int, int] | None = None
        """Device and inode of the file read so far."""
        self._offset = 0

    def new(self) -> Iterator[R]:
        """The whole lines that were not read yet.

        Raises:
            DataError: a line is not a JSON object.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            if self._place is not None:
                self._place, self._offset = None, 0
                self._forget()
            return
        place = (stat.st_dev, stat.st_ino)
        if self._place is not None and (place != self._place or stat.st_size < self._offset):
            self._offset = 0
            self._forget()
        self._place = place
        if stat.st_size == self._offset:
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            try:
                row: R = json.loads(line)
            except ValueError as error:
                raise DataError(f"{self.path.name}: a line is not JSON ({error})") from error
            if not isinstance(row, dict):
                raise DataError(f"{self.path.name}: a line is not an object")
            yield row
