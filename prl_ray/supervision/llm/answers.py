"""Parses an answer of a language model into code for the marked line.

Models put code fences around a line, repeat its number, introduce it with a sentence, quote the original line, repeat
its neighbours or the whole program, lose the indentation, and comment on their change. All of this is removed; the rest
must be code that can replace the marked line.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prl_ray.supervision.differences import line_texts
from prl_ray.supervision.operators.registry import Kind

_FENCE = re.compile(r"```(?:[ \t]*[\w+-]*[ \t]*\n)?(?P<body>.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_NUMBER = re.compile(r"\s*(?:>>>)?\s*(?:line\s+)?(\d+)\s*[|:.)]\s?(?=\s*\S)", re.IGNORECASE)
_MARK = re.compile(r"\s*>>>\s?")
_LABEL = re.compile(r"\s*(?:the\s+)?(?:\w+\s+)?(?:answer|line|code|output|replacement|result)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """The parsed answer: code that replaces the marked line, or the reason for rejecting it."""

    code: str = ""
    """One or more physical lines, the first without indentation, the others indented relative to it."""
    dropped: str = ""
    """One of ``prl_ray.supervision.report.DROPS``; empty if there is code."""


def read_answer(text: str, lines: Sequence[str], marked: int, kind: Kind) -> Reading:
    """The code that an answer gives for line ``marked``.

    Args:
        text: the answer.
        lines: statement lines of the program with their indentation.
        marked: index of the marked line.
        kind: a refactoring may be several lines; a mutation may not, since it would be unclear which line is wrong.
    """
    original = lines[marked]
    found = _written_lines(text, original)
    numbered = [(int(m[1]) - 1, line[m.end() :]) for line in found if (m := _NUMBER.match(line))]
    if numbered:
        if any(i != marked and not (0 <= i < len(lines) and _same(line, lines[i])) for i, line in numbered):
            return Reading(dropped="elsewhere")
        found = [line for i, line in numbered if i == marked]
    code = [bare for line in found if (bare := _as_code(line, original))]
    if not code:
        return Reading(dropped="elsewhere" if numbered and not found else "unparsed")
    return _placed(code, lines, marked, kind)


def without_comment(line: str) -> str:
    """A line of code without its trailing comment and blanks."""
    return line.removesuffix(comment_of(line)).rstrip()


def comment_of(line: str) -> str:
    """The trailing comment of a line of code, with the blanks before it; empty if there is none."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(line.strip()).readline):
            if token.type == tokenize.COMMENT:
                code = line[: line.rindex(token.string)]
                return line[len(code.rstrip()) :]
    except (tokenize.TokenError, SyntaxError):
        pass
    return ""


def _placed(code: list[str], lines: Sequence[str], marked: int, kind: Kind) -> Reading:
    """Parses one line, or the line among repeated neighbours, or several lines."""
    if len(code) > 1:
        among = set(_among_neighbours(code, lines, marked))
        changed = [line for line in code if not any(_same(line, other) for other in lines)]
        repeated = [line for line in code if line not in changed]
        if len(among) == 1:
            code = [among.pop()]
        elif not changed:
            return Reading(dropped="unchanged")
        elif all(_same(line, lines[marked]) for line in repeated):
            code = changed  # before and after
        else:
            return Reading(dropped="elsewhere")
    if len(code) > 1 and kind == "mutation":
        return Reading(dropped="several_lines")
    return Reading(_relative(code, lines[marked]))


def _among_neighbours(code: Sequence[str], lines: Sequence[str], marked: int) -> Iterator[str]:
    """Lines that replace the marked one, if all other lines equal those of the program around it."""
    around = [i for i, line in enumerate(lines) if i == marked or _is_code(without_comment(line), line)]
    for place, line in enumerate(code):
        start = around.index(marked) - place
        if start < 0 or start + len(code) > len(around):
            continue
        if all(_same(code[i], lines[around[start + i]]) for i in range(len(code)) if i != place):
            yield line


def _relative(code: Sequence[str], original: str) -> str:
    """Several lines as one text whose first line is not indented; answers often indent all lines but the first."""
    first, own = _indent(code[0]), _indent(original)
    deeper = min((_indent(line) for line in code[1:]), default=0)
    if first == 0 and deeper >= own + code[0].endswith(":"):
        first = own
    return "\n".join([code[0].strip(), *(" " * max(0, _indent(line) - first) + line.strip() for line in code[1:])])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _same(one: str, other: str) -> bool:
    """Whether two lines are the same code, apart from spaces, quotes and comments."""
    return _meaning(one) == _meaning(other)


def _meaning(line: str) -> str:
    text = without_comment(line).strip()
    try:
        return ast.dump(ast.parse(_completed(text)))
    except (SyntaxError, ValueError):
        return text


def _written_lines(text: str, original: str) -> list[str]:
    """Lines of a fenced block, or code quoted in a sentence, or all lines."""
    blocks = [_lines(found["body"]) for found in _FENCE.finditer(text)]
    fenced = [block for block in blocks if block]
    if fenced:
        fresh = [block for block in fenced if not all(_same(line, original) for line in block)]
        return (fresh or fenced)[0]
    quoted = {span.strip() for span in _INLINE.findall(text) if _as_code(span, original)}
    if quoted:
        spans = [span for span in quoted if not _same(span, original)] or [*quoted]
        return spans if len(spans) == 1 else []
    return _lines(text.replace("`", ""))


def _lines(text: str) -> list[str]:
    """Statement lines with their indentation."""
    return [line for line, _ in line_texts(text)]


def _as_code(line: str, original: str) -> str:
    """The code of a line, without a leading number, mark or label and without a trailing comment; empty if there is
    none."""
    starts = [m.end() for pattern in (_NUMBER, _MARK, _LABEL) if (m := pattern.match(line))]
    options = (without_comment(line[start:]) for start in (0, *starts))
    return next((option for option in options if _is_code(option, original)), "")


def _is_code(line: str, original: str) -> bool:
    """Whether a line is a Python statement or header with an effect, rather than English words."""
    try:
        body = ast.parse(_completed(line.strip())).body
    except (SyntaxError, ValueError):
        return False
    statement = body[-1] if body else None
    if isinstance(statement, ast.Expr):  # "Sure", "Done", a bare string
        return isinstance(statement.value, ast.Call | ast.Await | ast.Yield | ast.YieldFrom)
    if isinstance(statement, ast.AnnAssign):  # "Note: done"
        return ":" in original.partition("=")[0]
    return statement is not None and not isinstance(statement, ast.Pass)


def _completed(text: str) -> str:
    """The shortest program that can contain the line."""
    if not text.endswith(":"):
        return text
    if re.match(r"(?:elif|else)\b", text):
        return f"if 0:\n pass\n{text}\n pass"
    if re.match(r"(?:except|finally)\b", text):
        return f"try:\n pass\n{text}\n pass"
    if re.match(r"case\b", text):
        return f"match 0:\n {text}\n  pass"
    return f"{text}\n pass" + ("\nfinally:\n pass" if text.startswith("try") else "")
