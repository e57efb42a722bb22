"""Code as lines: where the statement lines of a program lie, and which token ends each of them.

``segment`` cuts a program text into lines, ``units`` into what has a score (those, blocks of them, or the lines of the
file for languages other than Python), ``token_ends``
says how much of the text each token completes, and ``line_end_tokens`` joins the two. All work on characters of one and
the same text, so that no step re-tokenises.
"""

from prl_ray.lines.blocks import UNITS, Unit, blocks, units
from prl_ray.lines.segment import Line, segment
from prl_ray.lines.tokens import line_end_tokens, text_behind, token_ends

__all__ = ["UNITS", "Line", "Unit", "blocks", "line_end_tokens", "segment", "text_behind", "token_ends", "units"]
