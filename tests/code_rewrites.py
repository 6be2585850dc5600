"""Edits of code rather than of values: by kind, a module before and after; those that may change rows, and those that cannot."""

from __future__ import annotations

from collections.abc import Iterator

from tests.code_edits import Edit, Files

_HELPED = "RATE = 3\ndef scale(x, by=2):\n    return x * by + RATE\ndef make(raw):\n    return scale(raw)\n"
_DECORATED = """
    import functools
    def twice(function):
        @functools.wraps(function)
        def inner(raw):
            return function(function(raw))
        return inner
    @twice
    def make(raw):
        return raw
"""
_CLASS = """
    import functools
    class Base:
        LIMIT = 5
        def inherited(self, x):
            return x + 1
    class Kind(Base):
        def __init__(self, x):
            self.x = x
        def method(self):
            return self.x
        @property
        def half(self):
            return self.x / 2
        @classmethod
        def of(cls, x):
            return cls(x)
        @staticmethod
        def fixed(x):
            return x * 3
        @functools.cached_property
        def slow(self):
            return self.x ** 4
        def __add__(self, other):
            return Kind(self.x + other.x)
        def __call__(self, x):
            return x % 7
    HELD = Kind(2)
    def make(raw):
        return HELD(raw)
"""
_META = """
    class Meta(type):
        def __len__(cls):
            return 3
    class Kind(metaclass=Meta):
        pass
    def make(raw):
        return raw, len(Kind)
"""
_ENUM = """
    import enum
    class Colour(enum.Enum):
        RED = 1
        BLUE = 2
        def shade(self):
            return self.value + 1
    def make(raw):
        return raw, Colour.RED.shade()
"""
_DATACLASS = """
    from dataclasses import dataclass, field
    @dataclass
    class Held:
        rate: int = 3
        names: list = field(default_factory=lambda: ["a"])
        def double(self):
            return self.rate * 2
    def make(raw):
        return raw, Held()
"""
_DISPATCH = """
    import functools
    @functools.singledispatch
    def told(x):
        return 0
    @told.register(int)
    def _(x):
        return x + 1
    def make(raw):
        return told(raw)
"""
_CACHED = """
    import functools
    @functools.lru_cache(maxsize=8)
    def told(x):
        return x + 1
    def make(raw):
        return told(raw)
"""
_CIRCLE = """
    def even(n):
        return n == 0 or odd(n - 1)
    def odd(n):
        return n != 0 and even(n - 1)
    def make(raw):
        return even(raw)
"""
_NAMESPACE = """
    import polars as pl
    @pl.api.register_expr_namespace("shopping")
    class Shopping:
        def __init__(self, expr):
            self.expr = expr
        def net(self):
            return self.expr / 1.2
    def make(raw):
        return raw.select(pl.col("a").shopping.net())
"""
_CONTRACT = """
    import dataframely as dy
    import polars as pl
    class Order(dy.Schema):
        order = dy.Int64(primary_key=True)
        amount = dy.Float64(min=0, check=lambda col: col < 100)
        @dy.rule()
        def small(cls):
            return pl.col("amount") < 50
    def make(raw):
        return raw, Order
"""
_FLOW = """
    def make(raw):
        found = []
        for one in raw:
            if one > 3:
                continue
            try:
                found.append(1 / one)
            except ZeroDivisionError as error:
                found.append(str(error))
            finally:
                found = found[1:3]
        while len(found) < 2 and not raw:
            found += [x * y for x in raw if x for y in raw]
        with raw as given:
            found.append(lambda a, *b, c=1, **d: (a, b, c, d))
        match raw:
            case {"a": [first, *rest]} if rest:
                return first
            case int() | str() as told:
                return told
            case _:
                pass
        return f"{found!r:>10} and {raw}", found[-1:], {**raw}, (yield raw), {"k": raw}
"""

# kind: a module, and (what is there, what comes in its place), each an edit that may change rows
MUTATIONS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "a helper's body": (_HELPED, (("x * by", "x / by"), ("x * by + RATE", "x * by - RATE"), ("+ RATE", ""), ("scale(raw)", "scale(raw, 3)"), ("scale(raw)", "raw"))),
    "a helper's default": (_HELPED, (("by=2", "by=2.0"), ("by=2", "by=3"))),
    "a helper's constant": (_HELPED, (("RATE = 3", "RATE = 4"), ("RATE = 3", "RATE = '3'"))),
    "a decorator's body": (_DECORATED, (("function(function(raw))", "function(raw)"), ("    @twice\n", ""), ("return raw\n", "return -raw\n"))),
    "a method": (_CLASS, (("return x % 7", "return x % 8"), ("return self.x\n", "return -self.x\n"))),
    "a property": (_CLASS, (("self.x / 2", "self.x / 3"), ("        @property\n", ""))),
    "a class method": (_CLASS, (("return cls(x)", "return cls(-x)"), ("@classmethod", "@staticmethod"))),
    "a static method": (_CLASS, (("x * 3", "x * 4"),)),
    "a cached property": (_CLASS, (("self.x ** 4", "self.x ** 5"), ("@functools.cached_property", "@property"))),
    "an inherited method": (_CLASS, (("return x + 1", "return x + 2"), ("class Kind(Base)", "class Kind"))),
    "a class attribute": (_CLASS, (("LIMIT = 5", "LIMIT = 6"), ("LIMIT = 5", "LIMIT = None"))),
    "an operator": (_CLASS, (("self.x + other.x", "self.x - other.x"), ("__add__", "__sub__"))),
    "an instance's state": (_CLASS, (("HELD = Kind(2)", "HELD = Kind(3)"), ("HELD = Kind(2)", "HELD = Kind.of(5)"), ("self.x = x", "self.x = x; self.y = 1"))),
    "a metaclass": (_META, (("return 3", "return 4"), ("class Kind(metaclass=Meta)", "class Kind"))),
    "an Enum": (_ENUM, (("RED = 1", "RED = 3"), ("Colour.RED", "Colour.BLUE"), ("self.value + 1", "self.value + 2"), ("enum.Enum", "enum.IntEnum"))),
    "a dataclass": (_DATACLASS, (("rate: int = 3", "rate: int = 4"), ('["a"]', '["b"]'), ("self.rate * 2", "self.rate * 3"), ("@dataclass\n", "@dataclass(frozen=True)\n"))),
    "a function by type": (_DISPATCH, (("return x + 1", "return x + 2"), ("register(int)", "register(float)"), ("return 0", "return 1"))),
    "a cached function": (_CACHED, (("return x + 1", "return x + 2"),)),
    "functions in a circle": (_CIRCLE, (("n == 0 or", "n == 1 or"), ("n != 0 and", "n != 1 and"), ("even(raw)", "odd(raw)"))),
    "a namespace of Polars": (_NAMESPACE, (("/ 1.2", "/ 1.1"),)),
    "a contract": (_CONTRACT, (("min=0", "min=1"), ("col < 100", "col < 101"), ('pl.col("amount") < 50', 'pl.col("amount") < 51'), ("primary_key=True", "primary_key=False"))),
    "operators": ("def make(a, b):\n    return a + b\n", tuple(("a + b", f"a {sign} b") for sign in ("-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=", "is", "is not", "in", "not in", "and", "or"))),
    "order of operands": ("def make(a, b):\n    return a - b\n", (("a - b", "b - a"), ("a - b", "a - -b"), ("a - b", "-(a - b)"))),
    "parentheses that count": ("def make(a, b):\n    return a + b * a\n", (("a + b * a", "(a + b) * a"), ("a + b * a", "a + (b * a,)"))),
    "comparison": ("def make(a, b):\n    return a < b < 3\n", (("a < b < 3", "a < b <= 3"), ("a < b < 3", "(a < b) < 3"))),
    "branches": (_FLOW, (("one > 3", "one > 4"), ("if rest", "if not rest"), ("if x for y", "if y for y"), ("continue", "break"))),
    "loops": (_FLOW, (("for one in raw", "for one in found"), ("len(found) < 2", "len(found) < 3"), ("found += [", "found = ["), ("and not raw", "or not raw"))),
    "errors": (_FLOW, (("ZeroDivisionError", "ValueError"), ("str(error)", "repr(error)"), ("            finally:\n                found = found[1:3]\n", ""))),
    "patterns": (_FLOW, (('"a": [first', '"b": [first'), ("[first, *rest]", "[*rest, first]"), ("int() | str()", "int() | bytes()"), ("return told", "return raw"))),
    "text that is put together": (_FLOW, (("!r:>10", "!s:>10"), ("!r:>10", "!r:<10"), (" and ", " or "), ("{raw}\"", "{found}\""))),
    "slices and unpacking": (_FLOW, (("found[-1:]", "found[-2:]"), ("{**raw}", "{**found}"), ("found[1:3]", "found[1:3:2]"), ('{"k": raw}', '{"j": raw}'))),
    "parameters": (_FLOW, (("a, *b, c=1, **d: ", "a, b, c=1, **d: "), ("c=1", "c=2"), ("(a, b, c, d)", "(a, c, b, d)"), ("(yield raw)", "raw"))),
    "keywords of a call": ("def make(raw):\n    return raw.sort('a', descending=True)\n", (("descending=True", "descending=False"), ("descending=True", "nulls_last=True"), ("'a'", "'b'"), (".sort(", ".unique("), ("raw.sort", "raw.lazy().sort"))),
    "local names": ("def make(raw):\n    a = 1\n    b = 2\n    return raw, a, b\n", (("raw, a, b", "raw, b, a"), ("raw, a, b", "raw, a, a"), ("b = 2", "b = a"))),
    "names looked up": ("def make(raw):\n    total = 1\n    return raw, locals()\n", (("total", "sums"),)),
    "shadowing": ("def make(raw):\n    return [len(x) for x in raw]\n", (("def make", "len = min\ndef make"), ("def make", "def len(x):\n    return 1\ndef make"))),
    "what a name is": ("from math import floor as told\ndef make(raw):\n    return told(raw)\n", (("floor as told", "ceil as told"), ("math", "numpy"))),
    "a function's attribute": ("def helper(x):\n    return x\nhelper.rate = 3\ndef make(raw):\n    return raw, helper.rate\n", (("rate = 3", "rate = 4"),)),
    "a function's name": ("def helper(x):\n    return x\ndef make(raw):\n    return raw, helper.__name__\n", (("helper", "helps"),)),
    "a docstring that is used": ("def make(raw):\n    'one'\n    return raw, make.__doc__\n", (("'one'", "'two'"),)),
    "a module that is handed on": ("from . import other\ndef make(raw):\n    return raw, vars(other)\n", (("vars(other)", "vars(other), 1"),)),
    "a global that is written": ("SEEN = 0\ndef make(raw):\n    global SEEN\n    SEEN += 1\n    return raw, SEEN\n", (("SEEN = 0", "SEEN = 1"), ("SEEN += 1", "SEEN += 2"))),
    "order of statements": ("def make(raw):\n    raw.first()\n    raw.second()\n    return raw\n", (("raw.first()\n    raw.second()", "raw.second()\n    raw.first()"), ("    raw.second()\n", ""))),
    "what is awaited": ("async def make(raw):\n    async for x in raw:\n        await x\n    return [y async for y in raw]\n", (("        await x", "        x()"), ("y async for", "y for"), ("async for x", "for x"))),
    "an assignment within": ("def make(raw):\n    return [y for x in raw if (y := x + 1)], y\n", (("x + 1", "x + 2"), ("(y := x + 1)", "(x + 1)"))),
    "a nested class": ("def make(raw):\n    class Kept:\n        rate = 3\n    return raw, Kept\n", (("rate = 3", "rate = 4"), ("class Kept:", "class Kept(int):"), ("rate = 3", "other = 3"))),
    "a nested function": ("def make(raw):\n    def inner(x, by=2):\n        nonlocal raw\n        return x * by\n    return inner(raw)\n", (("by=2", "by=3"), ("x * by", "by * x"), ("        nonlocal raw\n", "        raw = 1\n"))),
}  # fmt: skip

# kind: a module (or files), and what it may become without any row being another
EQUIVALENT: dict[str, tuple[str, tuple[str | Files, ...]]] = {
    "comments": (_HELPED, ("# told\n" + _HELPED, _HELPED.replace("+ RATE", "+ RATE  # the rate"), _HELPED.replace("def make(raw):\n", "def make(raw):\n    # why\n\n"))),
    "docstrings": (_HELPED, (_HELPED.replace("def make(raw):\n", "def make(raw):\n    '''Make it.'''\n"), "'''A module.'''\n" + _HELPED, _HELPED.replace("by=2):\n", "by=2):\n    'one'\n    'two'\n"))),
    "layout": (_HELPED, (_HELPED.replace("\ndef", "\n\n\ndef"), _HELPED.replace("scale(raw)", "scale(\n        raw,\n    )"), _HELPED.replace("x * by + RATE", "(\n        x\n        * by\n        + RATE\n    )"), _HELPED.replace("    ", "  "), _HELPED.replace("\n", "\r\n"))),
    "parentheses": (_HELPED, (_HELPED.replace("x * by + RATE", "(x * by) + RATE"), _HELPED.replace("return scale(raw)", "return (scale((raw)))"), _HELPED.replace("RATE = 3", "RATE = (3)"))),
    "annotations": (_HELPED, (_HELPED.replace("x, by=2", "x: int, by: 'int' = 2"), _HELPED.replace("make(raw)", "make(raw: object) -> object"), "from __future__ import annotations\n" + _HELPED.replace("RATE = 3", "RATE: int = 3"))),
    "annotated locals": ("def make(raw):\n    a = 1\n    return raw, a\n", ("def make(raw):\n    a: int = 1\n    return raw, a\n", "def make(raw):\n    a: int\n    a = 1\n    return raw, a\n")),
    "quotes": ("def make(raw):\n    return raw, 'a', 'b\"c', b'd', f'{raw}x'\n", ('def make(raw):\n    return raw, "a", "b\\"c", b"d", f"{raw}x"\n', "def make(raw):\n    return raw, '''a''', r'b\"c', b'd', f'{raw}' 'x'\n", "def make(raw):\n    return raw, u'a', 'b' '\"' 'c', b'\\x64', f'{raw}\\x78'\n")),
    "numbers as they are written": ("def make(raw):\n    return raw, 1000, 255, 0.5\n", ("def make(raw):\n    return raw, 1_000, 0xff, .5\n", "def make(raw):\n    return raw, 1000, 0b11111111, 5e-1\n")),
    "renamed helpers": (_HELPED, (_HELPED.replace("scale", "zoom"), _HELPED.replace("scale", "_a"), _HELPED.replace("RATE", "FACTOR"), _HELPED.replace("scale", "zoom").replace("RATE", "A"))),
    "order of definitions": (_HELPED, ("def make(raw):\n    return scale(raw)\ndef scale(x, by=2):\n    return x * by + RATE\nRATE = 3\n", "def scale(x, by=2):\n    return x * by + RATE\ndef make(raw):\n    return scale(raw)\nRATE = 3\n")),
    "what is not reached": (_HELPED, (_HELPED + "OTHER = 5\n", _HELPED + "def other(x):\n    return open(x)\n", "import os\nimport json as j\n" + _HELPED, _HELPED + "import threading\nLOCK = threading.Lock()\n")),
    "moved to another file": (_HELPED, ({"hops.py": "from .help import scale\ndef make(raw):\n    return scale(raw)\n", "help.py": "RATE = 3\ndef scale(x, by=2):\n    return x * by + RATE\n"}, {"hops.py": "from .help import scale as z\ndef make(raw):\n    return z(raw)\n", "help.py": "from .deep.rates import RATE\ndef scale(x, by=2):\n    return x * by + RATE\n", "deep/rates.py": "RATE = 3\n", "deep/__init__.py": ""}, {"hops.py": "from . import help as h\ndef make(raw):\n    return h.scale(raw)\n", "help.py": "RATE = 3\ndef scale(x, by=2):\n    return x * by + RATE\n"}, {"hops.py": "from .help import *\ndef make(raw):\n    return scale(raw)\n", "help.py": "RATE = 3\ndef scale(x, by=2):\n    return x * by + RATE\n"}, {"hops.py": "from .help import make\n", "help.py": _HELPED}, {"hops.py": "def make(raw):\n    from .help import scale\n    return scale(raw)\n", "help.py": "RATE = 3\ndef scale(x, by=2):\n    return x * by + RATE\n"})),
    "how a library is imported": ("import polars as pl\nimport datetime as dt\ndef make(raw):\n    return raw.select(pl.col('a').cast(pl.Int64)), dt.date(2026, 1, 1)\n", ("import polars\nimport datetime\ndef make(raw):\n    return raw.select(polars.col('a').cast(polars.Int64)), datetime.date(2026, 1, 1)\n", "from polars import col, Int64\nfrom datetime import date\ndef make(raw):\n    return raw.select(col('a').cast(Int64)), date(2026, 1, 1)\n", "def make(raw):\n    import polars as p\n    from datetime import date as d\n    return raw.select(p.col('a').cast(p.Int64)), d(2026, 1, 1)\n")),
    "a decorator under another name": (_DECORATED, (_DECORATED.replace("twice", "doubled"), _DECORATED.replace("inner", "around"), _DECORATED.replace("    @twice\n    def make(raw):\n        return raw\n", "    def _made(raw):\n        return raw\n    make = twice(_made)\n"))),
    "a class under another name": (_CLASS, (_CLASS.replace("Kind", "Sort"), _CLASS.replace("Base", "Root"), _CLASS.replace("HELD", "IT"))),
    "docstrings and comments in a class": (_CLASS, (_CLASS.replace("class Base:\n", "class Base:\n        '''The base.'''\n"), _CLASS.replace("LIMIT = 5", "LIMIT = 5  # at most"), _CLASS.replace("self, x):\n            return x % 7", "self, x: int) -> int:\n            'Called.'\n            return x % 7"))),
    "order within a class": (_CLASS, (_CLASS.replace("        LIMIT = 5\n        def inherited(self, x):\n            return x + 1\n", "        def inherited(self, x):\n            return x + 1\n        LIMIT = 5\n"),)),
    "functions in a circle renamed": (_CIRCLE, (_CIRCLE.replace("even", "is_even").replace("odd", "is_odd"), _CIRCLE.replace("even", "a").replace("odd", "even").replace("a(", "b("))),
    "local names": ("def make(raw):\n    total = 1\n    return [raw + total for one in raw if one]\n", ("def make(raw):\n    sums = 1\n    return [raw + sums for one in raw if one]\n", "def make(raw):\n    total = 1\n    return [raw + total for x in raw if x]\n", "def make(raw):\n    a = 1\n    return [raw + a for a1 in raw if a1]\n")),
    "nested names": (_FLOW, (_FLOW.replace("found", "rows"), _FLOW.replace("error", "e").replace("ZeroDivisione", "ZeroDivisionE"), _FLOW.replace("given", "g"), _FLOW.replace("first", "head").replace("rest", "tail"), _FLOW.replace("told", "it"))),
    "statements that do nothing": (_FLOW, (_FLOW.replace("found = []", "found = []\n        pass"), _FLOW.replace("found = []", "found = []\n        'nothing'"), _FLOW.replace("found = []", "found = []\n        ..."))),
    "imports for types alone": (_HELPED, ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\n" + _HELPED, _HELPED.replace("def make(raw):\n", "def make(raw):\n    from typing import TYPE_CHECKING\n    if TYPE_CHECKING:\n        import nothing_of_this_name\n"))),
    "how a value is written": ("import datetime as dt\nVALUE = dt.date(2026, 1, 1)\nNAMES = ('a', 'b')\ndef make(raw):\n    return raw, VALUE, NAMES\n", ("from datetime import date\nVALUE = date(year=2026, month=1, day=1)\nNAMES = tuple('ab')\ndef make(raw):\n    return raw, VALUE, NAMES\n", "import datetime as dt\nVALUE = dt.date.fromisoformat('2026-01-01')\nNAMES = 'a', 'b'\ndef make(raw):\n    return raw, VALUE, NAMES\n", "import datetime as dt\nVALUE = dt.date(2025, 12, 31) + dt.timedelta(days=1)\nNAMES = (*'ab',)\ndef make(raw):\n    return raw, VALUE, NAMES\n")),
    "order of a set": ("ALL = {'a', 'b', 'c', 3}\ndef make(raw):\n    return raw, ALL\n", ("ALL = {'c', 3, 'b', 'a'}\ndef make(raw):\n    return raw, ALL\n", "ALL = set(['b', 'a', 3, 'c', 'a'])\ndef make(raw):\n    return raw, ALL\n")),
    "functions in a set": ("def a(x):\n    return x\ndef b(x):\n    return -x\nALL = {a, b}\ndef make(raw):\n    return raw, ALL\n", ("def b(x):\n    return -x\ndef a(x):\n    return x\nALL = {b, a}\ndef make(raw):\n    return raw, ALL\n",)),
    "an Enum": (_ENUM, (_ENUM.replace("class Colour(enum.Enum):\n", "class Colour(enum.Enum):\n        '''Colours.'''\n"), _ENUM.replace("Colour", "Hue"), _ENUM.replace("import enum", "import enum as e").replace("enum.Enum", "e.Enum"))),
    "a dataclass": (_DATACLASS, (_DATACLASS.replace("class Held:\n", "class Held:\n        'Held.'\n"), _DATACLASS.replace("Held", "Kept"), _DATACLASS.replace("rate: int", "rate: 'float'"), _DATACLASS.replace("@dataclass\n", "@dataclass()\n"))),
    "a function by type": (_DISPATCH, (_DISPATCH.replace("def _(", "def of_int("), _DISPATCH.replace("told", "said"))),
    "expressions": ("import polars as pl\nE = pl.col('a') > 1\ndef make(raw):\n    return raw, E\n", ("from polars import col\nE = col('a').gt(1)\ndef make(raw):\n    return raw, E\n", "import polars as pl\nE = (pl.col(\"a\")) > 1  # told\ndef make(raw):\n    return raw, E\n", "import polars as pl\nE = pl.col.a > 1\ndef make(raw):\n    return raw, E\n")),
    "functions in expressions": ("import polars as pl\nE = pl.col('a').map_batches(lambda s: s + 1)\ndef make(raw):\n    return raw, E\n", ("import polars as pl\n# moved\n\nE = pl.col('a').map_batches(lambda s: (s + 1))\ndef make(raw):\n    return raw, E\n",)),
    "frames in other chunks": ("import polars as pl\nF = pl.DataFrame({'a': [1, 2, 3], 'b': ['x', None, 'z']})\ndef make(raw):\n    return raw, F\n", ("import polars as pl\nF = pl.concat([pl.DataFrame({'a': [1], 'b': ['x']}), pl.DataFrame({'a': [2, 3], 'b': [None, 'z']})])\ndef make(raw):\n    return raw, F\n", "import polars as pl\nF = pl.DataFrame({'a': [0, 1, 2, 3], 'b': ['w', 'x', None, 'z']})[1:]\ndef make(raw):\n    return raw, F\n")),
    "arrays in another layout": ("import numpy as np\nA = np.arange(6).reshape(2, 3)\ndef make(raw):\n    return raw, A\n", ("import numpy as np\nA = np.asfortranarray(np.arange(6).reshape(2, 3))\ndef make(raw):\n    return raw, A\n", "import numpy\nA = numpy.array([[0, 1, 2], [3, 4, 5]])\ndef make(raw):\n    return raw, A\n")),
    "parentheses and semicolons": (_HELPED, (_HELPED.replace("return scale(raw)", "return (scale)(raw)"), _HELPED.replace("def make", "# made\n\n\ndef make"), _HELPED.replace("3\n", "3;\n"))),
    "a contract's layout": (_CONTRACT, (_CONTRACT.replace("class Order(dy.Schema):\n", "class Order(dy.Schema):\n        # told\n"), _CONTRACT.replace("Order", "Purchase"), _CONTRACT.replace("def small(cls)", "def small(cls: object) -> pl.Expr"))),
    "a namespace of Polars": (_NAMESPACE, (_NAMESPACE.replace("class Shopping", "class Shop"), _NAMESPACE.replace("self.expr / 1.2", "(self.expr / 1.20)"))),
    "loggers": ("import logging\nlog = logging.getLogger(__name__)\ndef make(raw):\n    log.info('made')\n    return raw\n", ("import logging\nsay = logging.getLogger('other')\ndef make(raw):\n    say.info('made')\n    return raw\n",)),
    "a folder of the project": ("from pathlib import Path\nHERE = Path(__file__).parent.parent / 'x'\ndef make(raw):\n    return raw, HERE\n", ("import pathlib\nHERE = pathlib.Path(__file__).resolve().parents[1].joinpath('x')\ndef make(raw):\n    return raw, HERE\n",)),
    "names of a class's own": ("class A:\n    def __init__(self):\n        self.__rate = 3\n    def get(self):\n        return self.__rate\ndef make(raw):\n    return raw, A().get()\n", ("class A:\n    def __init__(self):\n        # private\n        self.__rate = (3)\n    def get(self) -> int:\n        return self.__rate\ndef make(raw):\n    return raw, A().get()\n",)),
}  # fmt: skip


def mutations() -> Iterator[Edit]:
    """Each edit of code that may change rows."""
    other = {"other.py": "RATE = 3\n"}
    for kind, (module, changes) in MUTATIONS.items():
        for was, now in changes:
            if was not in module:
                raise AssertionError(f"{kind}: {was!r} is not there")
            yield Edit(kind, other | {"hops.py": module}, other | {"hops.py": module.replace(was, now)})
    for kind in ("a module that is handed on", "a module that is looked into"):
        text = "from . import other\ndef make(raw, name='RATE'):\n    return raw, getattr(other, name)\n"
        yield Edit(kind, {"hops.py": text, **other}, {"hops.py": text, "other.py": "RATE = 4\n"})


def equivalents() -> Iterator[Edit]:
    """Each edit that cannot change a row."""
    for kind, (module, others) in EQUIVALENT.items():
        for one in others:
            yield Edit(kind, {"hops.py": module}, one if isinstance(one, dict) else {"hops.py": one})
