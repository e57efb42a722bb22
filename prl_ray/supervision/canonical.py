"""The canonical form of a program, for references, variants and samples.

References, mutants and refactorings all go through :func:`canonical`, which prints each statement from its syntax tree.
So spaces, quotes, redundant parentheses, line breaks and blank lines do not depend on the source, and no reward model
can distinguish the sources by formatting. Comments and docstrings are unchanged.
"""

from __future__ import annotations

import ast
import copy
import io
import tokenize
from collections.abc import Sequence

INDENT = "    "
_BLOCKS = frozenset({"body", "orelse", "finalbody", "handlers", "decorator_list"})
_PASS_BODY = "\n" + INDENT + "pass"


def canonical(program: str, prefix: int = 0) -> str:
    """The program in canonical form.

    Args:
        program: parsable Python; ``\\r\\n`` is read as ``\\n``.
        prefix: number of leading characters (the ``code_prefix``) that are kept unchanged.

    Raises:
        SyntaxError: the program does not parse (a null byte included).
    """
    program = program.replace("\r\n", "\n")
    try:
        tree = ast.parse(program)
        printer = _Printer(program, prefix)
        printer.block(tree.body, "", top=True)
    except ValueError as error:  # null bytes, or an f-string that unparse cannot print; both before Python 3.12
        raise SyntaxError(str(error)) from error
    printer.comments_before(len(printer.starts), "")
    text = "\n".join(printer.out) + ("\n" if program.endswith("\n") and printer.out else "")
    return _behind_prefix(program, tree, prefix, text) if prefix else text


def _behind_prefix(program: str, tree: ast.Module, prefix: int, text: str) -> str:
    head = program[:prefix]
    if text and not head.endswith("\n"):
        if head.rsplit("\n", 1)[-1].strip() == "":
            text = text.lstrip(" ")  # the prefix already holds the first line's indentation
        else:
            head += "\n"
    try:
        same = ast.dump(ast.parse(head + text)) == ast.dump(tree)
    except SyntaxError:
        same = False
    return head + text if same else program  # the prefix ends inside a statement, so nothing can be reprinted


class _Printer:
    """Walks the statements in order and collects physical lines."""

    def __init__(self, source: str, prefix: int) -> None:
        self.source = source
        self.prefix = prefix
        self.out: list[str] = []
        self.source_lines = source.split("\n")
        self.starts = [0]  # offset of each physical line, in characters
        for line in self.source_lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.own_comments, self.trailing_comments = _comments(source) if "#" in source else ({}, {})
        self.next_comment_row = 1

    def offset(self, row: int, column: int) -> int:
        """Characters before a position of the syntax tree, whose columns count UTF-8 bytes."""
        line = self.source_lines[row - 1]
        return self.starts[row - 1] + (column if line.isascii() else len(line.encode()[:column].decode()))

    def comments_before(self, row: int, indent: str) -> None:
        for at in range(self.next_comment_row, row):
            if at in self.own_comments and self.starts[at - 1] >= self.prefix:
                self.out.append(indent + self.own_comments[at])
        self.next_comment_row = max(self.next_comment_row, row)

    def line(self, text: str, indent: str, first: int, last: int) -> None:
        """One statement line, in the physical lines ``first`` to ``last`` (1-based)."""
        if self.starts[first - 1] + len(self.source_lines[first - 1]) < self.prefix:
            self.next_comment_row = max(self.next_comment_row, last + 1)
            return
        self.comments_before(first, indent)
        comments = [self.trailing_comments.pop(row) for row in range(first, last + 1) if row in self.trailing_comments]
        self.out.append(indent + text + ("  " + comments[-1] if comments else ""))
        self.next_comment_row = max(self.next_comment_row, last + 1)

    def block(self, body: Sequence[ast.stmt], indent: str, *, top: bool = False) -> None:
        for index, statement in enumerate(body):
            around = (statement, body[index - 1]) if index else ()
            if top and any(isinstance(s, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) for s in around):
                self.out += ["", ""] if self.out else []
            if index == 0 and isinstance(statement, ast.Expr) and _is_string(statement.value):
                self.docstring(statement, indent)
            else:
                self.statement(statement, indent)

    def docstring(self, node: ast.Expr, indent: str) -> None:
        start = self.offset(node.lineno, node.col_offset)
        end = self.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        self.line(self.source[start:end], indent, node.lineno, node.end_lineno or node.lineno)

    def inner(self, body: Sequence[ast.stmt], indent: str) -> None:
        """The block of a compound statement, indented by four spaces, or as required by a header inside the prefix."""
        if self.prefix and not self.out:
            margin = self.source_lines[_first_row(body[0]) - 1]
            lead = margin[: len(margin) - len(margin.lstrip())]
            self.block(body, lead if len(lead) > len(indent) else indent + INDENT)
        else:
            self.block(body, indent + INDENT)

    def statement(self, node: ast.stmt, indent: str) -> None:
        for decorator in getattr(node, "decorator_list", ()):
            last = decorator.end_lineno or decorator.lineno
            self.line("@" + ast.unparse(decorator), indent, decorator.lineno, last)
        body = getattr(node, "body", None)
        if isinstance(node, ast.Match):
            self.line(f"match {ast.unparse(node.subject)}:", indent, node.lineno, _last_row(node.subject))
            for case in node.cases:
                last = _last_row(case.guard or case.pattern)
                self.line(_header(case), indent + INDENT, case.pattern.lineno, last)
                self.inner(case.body, indent + INDENT)
        elif body is None:
            self.line(_simple(node), indent, node.lineno, node.end_lineno or node.lineno)
        else:
            self.line(_header(node), indent, node.lineno, _header_end(node))
            self.inner(body, indent)
            self.tails(node, indent)

    def tails(self, node: ast.stmt, indent: str) -> None:
        """``except``, ``else`` or ``elif``, and ``finally`` of a compound statement."""
        for handler in getattr(node, "handlers", ()):
            star = "*" if type(node).__name__ == "TryStar" else ""
            self.line(_handler(handler, star), indent, handler.lineno, handler.lineno)
            self.inner(handler.body, indent)
        orelse = getattr(node, "orelse", [])
        if isinstance(node, ast.If) and len(orelse) == 1 and isinstance(orelse[0], ast.If):
            branch = orelse[0]
            self.line("el" + _header(branch), indent, branch.lineno, _header_end(branch))
            self.inner(branch.body, indent)
            self.tails(branch, indent)
        elif orelse:
            self.keyword("else", orelse, indent)
        finalbody = getattr(node, "finalbody", [])
        if finalbody:
            self.keyword("finally", finalbody, indent)

    def keyword(self, word: str, body: Sequence[ast.stmt], indent: str) -> None:
        row = _first_row(body[0])
        while row > 1 and not self.source_lines[row - 1].lstrip().startswith(word):
            row -= 1  # the keyword has no node: search the nearest line above that starts with it
        self.line(word + ":", indent, row, row)
        self.inner(body, indent)


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Comments by 1-based row: those on their own line, and those after code."""
    own: dict[int, str] = {}
    trailing: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            (trailing if token.line[: token.start[1]].strip() else own)[token.start[0]] = token.string
    return own, trailing


def _first_row(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", None)
    return int(decorators[0].lineno if decorators else node.lineno)


def _last_row(node: ast.expr | ast.pattern) -> int:
    return node.end_lineno or node.lineno


def _header_end(node: ast.stmt) -> int:
    """Physical line of the last part of a compound statement's header."""
    parts = [value for name, value in ast.iter_fields(node) if name not in _BLOCKS]
    nodes = [item for part in parts for item in (part if isinstance(part, list) else [part])]
    inner = [below for top in nodes if isinstance(top, ast.AST) for below in ast.walk(top)]
    return max([node.lineno, *(getattr(below, "end_lineno", None) or 0 for below in inner)])


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _simple(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and _is_string(node.value):
        return repr(node.value.value)  # type: ignore[attr-defined]  # unparse would print it as a multi-line docstring
    return ast.unparse(node)


def _header(node: ast.stmt | ast.match_case) -> str:
    """First line of a compound statement, up to its colon."""
    bare = copy.copy(node)
    bare.body = [ast.Pass()]  # type: ignore[union-attr]
    for name in ("orelse", "finalbody", "decorator_list"):
        if hasattr(bare, name):
            setattr(bare, name, [])
    if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
        return "try:"
    return ast.unparse(bare).strip().removesuffix(_PASS_BODY)


def _handler(node: ast.ExceptHandler, star: str) -> str:
    kind = f" {ast.unparse(node.type)}" if node.type else ""
    name = f" as {node.name}" if node.name else ""
    return f"except{star}{kind}{name}:"
