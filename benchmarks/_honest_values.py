"""Values that programs return and tests look at: data of ``_honest_programs``."""

# ruff: noqa: E501 - programs and tests, one a line
from __future__ import annotations

VALUES = {
    "path": ("pathlib.Path('a') / 'b'", "import pathlib\nassert f() == pathlib.Path('a/b')\nassert f().name == 'b'"),
    "uuid": ("uuid.UUID(int=5)", "import uuid\nassert f() == uuid.UUID(int=5)"),
    "address": ("ipaddress.ip_address('1.2.3.4')", "import ipaddress\nassert f() == ipaddress.ip_address('1.2.3.4')"),
    "network": ("ipaddress.ip_network('10.0.0.0/8')", "import ipaddress\nassert ipaddress.ip_address('10.1.1.1') in f()"),
    "date": ("datetime.date(2024, 2, 29)", "import datetime\nassert f() == datetime.date(2024, 2, 29)\nassert f().year == 2024"),
    "delta": ("datetime.timedelta(hours=5)", "import datetime\nassert f() * 2 == datetime.timedelta(hours=10)"),
    "array": ("array.array('i', [1, 2])", "import array\nassert f() == array.array('i', [1, 2])"),
    "memoryview": ("memoryview(b'ab')", "assert f() == b'ab'"),
    "type": ("type(5)", "assert f() is int"),
    "default dict": ("collections.defaultdict(list, a=[1])", "assert f()['x'] == [] and f()['a'] == [1]"),
    "named tuple": ("collections.namedtuple('P', 'x y')(1, 2)", "assert f() == (1, 2)"),
    "fields of a named tuple": ("collections.namedtuple('P', 'x y')(1, 2)", "p = f()\nassert p.x == 1 and p.y == 2"),
    "function": ("lambda x: x + 1", "assert f()(2) == 3"),
    "partial": ("functools.partial(max, 5)", "assert f()(2) == 5"),
    "match": ("re.match('(a)(b)', 'ab')", "assert f().group(2) == 'b'"),
    "pattern": ("re.compile('a+')", "assert f().sub('x', 'caat') == 'cxt'"),
    "generator": ("(i * i for i in range(4))", "assert list(f()) == [0, 1, 4, 9]"),
    "lazily read": ("(i * i for i in range(4))", "g = f()\nassert next(g) == 0\nassert list(g) == [1, 4, 9]"),
    "endless": ("itertools.count(3)", "import itertools\nassert list(itertools.islice(f(), 3)) == [3, 4, 5]"),
    "endless, zipped": ("itertools.count(3)", "assert [a for a, _ in zip(f(), 'ab')] == [3, 4]"),
    "enumeration": ("enum.Enum('E', 'A B').A", "assert f().name == 'A' and f().value == 1"),
    "number of an enumeration": ("enum.IntEnum('E', 'A B').B", "assert f() == 2"),
    "data class": ("dataclasses.make_dataclass('P', ['x'])(3)", "assert f().x == 3"),
    "object": ("types.SimpleNamespace(a=1)", "assert f().a == 1"),
    "context": ("contextlib.nullcontext(5)", "with f() as x:\n    assert x == 5"),
    "stream": ("io.StringIO('abc')", "assert f().read() == 'abc'"),
    "coroutine": ("_later(5)", "import asyncio\nassert asyncio.run(f()) == 5"),
    "exception": ("ValueError('x')", "e = f()\nassert isinstance(e, ValueError) and e.args == ('x',)"),
    "complex": ("3 + 4j", "assert abs(f()) == 5"),
    "large number": ("10 ** 400", "assert f() == 10 ** 400"),
    "infinity": ("float('inf')", "import math\nassert math.isinf(f())"),
    "range": ("range(3)", "assert f() == range(3) and len(f()) == 3"),
    "frozen": ("frozenset([1])", "assert f() == {1} and hash(f()) == hash(frozenset([1]))"),
    "counter": ("collections.Counter('aab')", "assert f().most_common(1) == [('a', 2)]"),
    "ordered": ("collections.OrderedDict(a=1)", "assert list(f().items()) == [('a', 1)]"),
    "queue": ("collections.deque([1, 2], maxlen=2)", "d = f()\nd.append(3)\nassert list(d)[-1] == 3"),
    "keys": ("{'a': 1}.keys()", "assert f() == {'a'} and 'a' in f()"),
    "fraction": ("fractions.Fraction(1, 3)", "assert f() * 3 == 1"),
    "decimal": ("decimal.Decimal('0.1')", "import decimal\nassert f() + f() == decimal.Decimal('0.2')"),
    "ellipsis": ("...", "assert f() is ..."),
    "slice": ("slice(1, 3)", "assert [0, 1, 2, 3][f()] == [1, 2]"),
    "operators": ("_Money(2)", "assert f() + f() == _Money(4)"),
    "comparison with a number": ("_Money(2)", "assert f() == 2"),
    "order": ("_Money(2)", "assert f() < _Money(3)"),
    "container": ("_Bag([1, 2])", "assert 1 in f() and len(f()) == 2 and list(f()) == [1, 2]"),
    "deep": ("_deep(500)", "a = []\nfor _ in range(500):\n    a = [a]\nassert f() == a"),
    "deep, called once": ("_deep(300)", "assert len(f()) == 1"),
}  # fmt: skip
_MODULES = "array collections contextlib dataclasses datetime decimal enum fractions functools io ipaddress itertools"
HEADER = (
    f"import {', '.join([*_MODULES.split(), 'pathlib', 're', 'types', 'uuid'])}\n"
    "async def _later(x):\n    return x\n"
    "class _Money:\n    def __init__(self, n):\n        self.n = n\n"
    "    def __add__(self, o):\n        return _Money(self.n + o.n)\n"
    "    def __eq__(self, o):\n        return self.n == (o.n if isinstance(o, _Money) else o)\n"
    "    def __lt__(self, o):\n        return self.n < o.n\n"
    "class _Bag:\n    def __init__(self, items):\n        self.items = items\n"
    "    def __iter__(self):\n        return iter(self.items)\n    def __len__(self):\n        return len(self.items)\n"
    "def _deep(n):\n    a = []\n    for _ in range(n):\n        a = [a]\n    return a\n"
)
KEPT = {
    "identity": ("def f(a):\n    a.append(1)\n    return a\n", "a = []\nassert f(a) is a"),
    "identity, wrong": ("def f(a):\n    return a + [1]\n", "a = []\nassert f(a) is a"),
    "signature": ("def f(a, b=2):\n    return a\n", "import inspect\nassert list(inspect.signature(f).parameters) == ['a', 'b']"),
    "docstring": ("def f(a):\n    'adds'\n    return a\n", "assert f.__doc__ == 'adds' and f.__name__ == 'f'"),
    "attribute": ("def f(a):\n    f.calls = getattr(f, 'calls', 0) + 1\n", "f(1)\nf(2)\nassert f.calls == 2"),
    "cache": ("import functools\n@functools.lru_cache\ndef f(a):\n    return a\n", "f(1)\nf(1)\nassert f.cache_info().hits == 1"),
    "class": ("class Stack:\n    def __init__(self):\n        self.a = []\n    def push(self, x):\n        self.a.append(x)\n    def pop(self):\n        return self.a.pop()\n", "s = Stack()\ns.push(3)\nassert s.pop() == 3"),
    "callback": ("def f(g, a):\n    return [g(x) for x in a]\n", "assert f(lambda x: x * 2, [1, 2]) == [2, 4]"),
    "mutated arguments": ("def f(a, d):\n    a.sort()\n    d['k'] = 1\n", "a, d = [2, 1], {}\nf(a, d)\nassert a == [1, 2] and d == {'k': 1}"),
    "mutated rows": ("def f(m):\n    m[0][0] = 9\n", "m = [[1], [2]]\nf(m)\nassert m == [[9], [2]]"),
    "lazy side effects": ("log = []\ndef f():\n    for i in range(3):\n        log.append(i)\n        yield i\n", "g = f()\nnext(g)\nassert log == [0]"),
    "sent to": ("def f():\n    x = yield 1\n    yield x\n", "g = f()\nnext(g)\nassert g.send(5) == 5"),
}  # fmt: skip
