"""Frames on a byte stream: a length of four bytes, then the body."""

from __future__ import annotations

import os
import struct

_LENGTH = struct.Struct("<I")
_PIECE = 1 << 14


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return _LENGTH.pack(len(body)) + body


def send_frame(descriptor: int, body: bytes) -> None:
    """Write one frame to a blocking descriptor."""
    send_all(descriptor, frame(body))


def send_all(descriptor: int, data: bytes) -> None:
    """Write bytes to a blocking descriptor."""
    while data:
        data = data[os.write(descriptor, data) :]


def read_exactly(descriptor: int, length: int) -> bytes:
    """Read ``length`` bytes from a blocking descriptor.

    Raises:
        EOFError: the other end closed first.
    """
    parts: list[bytes] = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise EOFError("the channel closed")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def read_frame(descriptor: int) -> bytes:
    """Read one frame from a blocking descriptor; for the trusted direction only, since it believes the length."""
    (length,) = _LENGTH.unpack(read_exactly(descriptor, _LENGTH.size))
    return read_exactly(descriptor, length)


def read_only_frame(descriptor: int) -> bytes:
    """``read_frame`` where no other frame follows before this one has been answered: mostly in one system call."""
    data = os.read(descriptor, _PIECE)
    data += read_exactly(descriptor, max(0, _LENGTH.size - len(data)))
    (length,) = _LENGTH.unpack_from(data)
    return data[_LENGTH.size :] + read_exactly(descriptor, _LENGTH.size + length - len(data))


class FrameTooLongError(ValueError):
    """A frame says that it is longer than the limit."""


class FrameReader:
    """Cuts frames out of bytes that arrive in pieces, from a sender that may lie about lengths."""

    def __init__(self, limit: int) -> None:
        self._buffer = bytearray()
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` completes.

        Raises:
            FrameTooLongError: a frame says that it is longer than the limit.
        """
        whole = self._buffer or data  # nearly always a message arrives in one piece
        if self._buffer:
            self._buffer += data
        frames: list[bytes] = []
        start = 0
        while len(whole) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(whole, start)
            if length > self._limit:
                raise FrameTooLongError(f"a message of {length} bytes")
            end = start + _LENGTH.size + length
            if len(whole) < end:
                break
            frames.append(bytes(whole[start + _LENGTH.size : end]))
            start = end
        if self._buffer:
            del self._buffer[:start]
        else:
            self._buffer += data[start:]
        return frames
