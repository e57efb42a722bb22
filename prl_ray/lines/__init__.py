"""Code as lines: the statement lines of a program, and the token that ends each of them.

``segment`` cuts a program text into lines, and ``units`` into scored units (lines, blocks of lines, or physical lines
for languages other than Python). ``token_ends`` gives the text that each token completes, and ``line_end_tokens``
combines the two. All of them index characters of the same text, so nothing is tokenized twice.
"""

from prl_ray.lines.blocks import UNITS, Unit, blocks, units
from prl_ray.lines.segment import Line, segment
from prl_ray.lines.tokens import line_end_tokens, text_behind, token_ends

__all__ = ["UNITS", "Line", "Unit", "blocks", "line_end_tokens", "segment", "text_behind", "token_ends", "units"]
