"""Compiles a program's source, in a process of its own: a program that crashes the compiler does not meet the next
one.
"""

from __future__ import annotations

import importlib
import marshal
import warnings
from contextlib import suppress

from .. import plain

FILE_NAME = "program.py"
"""File name of the candidate program in its code and tracebacks."""
CODE, ERROR = b"C", b"E"
"""First byte of an answer: marshalled code, or an encoded ``[kind, line, message]``."""


_EXAMPLE = b"""
import math
def f(a, *b, c=1):
    return [x ** 2 for x in b if x > c] or {1: f'{a}'}
class A:
    x: int = 0
"""


def compile_source(source: bytes) -> bytes:
    """The answer to one source: text in UTF-8; lone surrogates stand for the bytes of a file in another encoding."""
    try:
        text = source.decode("utf-8", "surrogatepass").removeprefix("\ufeff")
        code = compile(_in_its_encoding(text), FILE_NAME, "exec", dont_inherit=True)
        return CODE + marshal.dumps(code)
    except SyntaxError as error:
        return _error(error, error.lineno, error.msg)
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        return _error(error, None, str(error))


def _in_its_encoding(text: str) -> str | bytes:
    """The text, or the bytes of a file that is not UTF-8: its first lines may name the encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def _error(error: Exception, line: int | None, message: str) -> bytes:
    text = message.encode("utf-8", "replace").decode()[:500]
    return ERROR + plain.dumps([type(error).__name__, line, text])


def warm_up() -> None:
    """Compile something of every common kind once: the first compilation costs a millisecond."""
    compile_source(_EXAMPLE)


def prepare() -> None:
    """Prepare a process that compiles: no warnings, and the module that normalises names beyond ASCII."""
    warnings.simplefilter("ignore")
    with suppress(ImportError):  # where programs may not read the library: there they import nothing either
        importlib.import_module("unicodedata")
