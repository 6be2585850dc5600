"""Edits of a hop's code for the law of the fingerprint: some that may change rows, of many kinds, and some that cannot.

Each edit is two states of a small package: files by name, with a function `make` in `hops.py`.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lake.code import Seen, keeping_sources, seen_from

Files = dict[str, str]
_numbers = itertools.count()


@dataclass(frozen=True)
class Edit:
    """One edit: its kind, and the files before and after."""

    kind: str
    before: Files
    after: Files


def seen_of(files: Files, folder: Path) -> Seen:
    """What the function `make` of these files reaches, imported as a package of its own."""
    package = f"team_{next(_numbers)}"
    home = folder / package
    for name, text in {"__init__.py": "", **files}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(textwrap.dedent(text), "utf-8")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        with keeping_sources():
            return seen_from("hop make", importlib.import_module(f"{package}.hops").make)
    finally:
        sys.path.remove(str(folder))


# what a function may reach: kind, what is imported for it, and two values that differ
VALUES: tuple[tuple[str, str, str, str], ...] = (
    ("date", "import datetime as dt", "dt.date(2026, 1, 1)", "dt.date(2026, 1, 2)"),
    ("datetime", "import datetime as dt", "dt.datetime(2026, 1, 1, 5)", "dt.datetime(2026, 1, 1, 6)"),
    ("datetime with a zone", "import datetime as dt\nfrom zoneinfo import ZoneInfo", "dt.datetime(2026, 1, 1, tzinfo=ZoneInfo('UTC'))", "dt.datetime(2026, 1, 1, tzinfo=dt.UTC)"),
    ("time", "import datetime as dt", "dt.time(5, 30)", "dt.time(5, 31)"),
    ("timedelta", "import datetime as dt", "dt.timedelta(days=1)", "dt.timedelta(days=1, microseconds=1)"),
    ("zone", "from zoneinfo import ZoneInfo", "ZoneInfo('Europe/Vienna')", "ZoneInfo('Europe/Berlin')"),
    ("Decimal", "from decimal import Decimal", "Decimal('1.10')", "Decimal('1.1')"),
    ("Fraction", "from fractions import Fraction", "Fraction(1, 3)", "Fraction(1, 4)"),
    ("int and bool", "", "1", "True"),
    ("int and float", "", "1", "1.0"),
    ("large int", "", "10**30", "10**30 + 1"),
    ("minus zero", "", "0.0", "-0.0"),
    ("nan", "", "float('nan')", "float('inf')"),
    ("last bit of a float", "", "0.1 + 0.2", "0.3"),
    ("complex", "", "complex(1, 0.0)", "complex(1, -0.0)"),
    ("str", "", "'Wien'", "'Graz'"),
    ("str by its form", "", "'\\u00e9'", "'e\\u0301'"),
    ("str and bytes", "", "'a'", "b'a'"),
    ("None", "", "None", "'None'"),
    ("pattern", "import re", "re.compile('a+')", "re.compile('a*')"),
    ("pattern's flags", "import re", "re.compile('a')", "re.compile('a', re.I)"),
    ("list", "", "['a', 'b']", "['b', 'a']"),
    ("tuple and list", "", "('a', 'b')", "['a', 'b']"),
    ("set", "", "{'a', 'b', 'c'}", "{'a', 'b', 'd'}"),
    ("frozenset", "", "frozenset('ab')", "frozenset('abc')"),
    ("dict", "", "{'a': 1}", "{'a': 2}"),
    ("order of a dict", "", "{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
    ("nested dict", "", "{'a': {'b': [1, (2, 3)]}}", "{'a': {'b': [1, (2, 4)]}}"),
    ("OrderedDict", "from collections import OrderedDict", "OrderedDict(a=1)", "OrderedDict(b=1)"),
    ("defaultdict", "from collections import defaultdict", "defaultdict(int, a=1)", "defaultdict(list, a=1)"),
    ("Counter", "from collections import Counter", "Counter('aab')", "Counter('abb')"),
    ("deque", "from collections import deque", "deque([1], 2)", "deque([1], 3)"),
    ("mappingproxy", "from types import MappingProxyType", "MappingProxyType({'a': 1})", "MappingProxyType({'a': 2})"),
    ("SimpleNamespace", "from types import SimpleNamespace", "SimpleNamespace(a=1)", "SimpleNamespace(a=2)"),
    ("range", "", "range(3)", "range(4)"),
    ("slice", "", "slice(1, 3)", "slice(1, 4)"),
    ("Path", "from pathlib import Path", "Path('a/b')", "Path('a/c')"),
    ("UUID", "from uuid import UUID", "UUID(int=1)", "UUID(int=2)"),
    ("IP address", "import ipaddress", "ipaddress.IPv4Address('10.0.0.1')", "ipaddress.IPv4Address('10.0.0.2')"),
    ("IP network", "import ipaddress", "ipaddress.ip_network('10.0.0.0/8')", "ipaddress.ip_network('10.0.0.0/9')"),
    ("partial", "from functools import partial", "partial(int, base=2)", "partial(int, base=8)"),
    ("itemgetter", "from operator import itemgetter", "itemgetter('a')", "itemgetter('b')"),
    ("attrgetter", "from operator import attrgetter", "attrgetter('a')", "attrgetter('b')"),
    ("builtin", "", "max", "min"),
    ("method of a value", "", "'a'.join", "'b'.join"),
    ("method of a type", "", "str.upper", "str.lower"),
    ("function of a library", "import math", "math.floor", "math.ceil"),
    ("type", "", "int", "float"),
    ("lambda", "", "lambda x: x + 1", "lambda x: x + 2"),
    ("lambdas of one line", "", "[lambda x: x, lambda x: -x]", "[lambda x: x, lambda x: ~x]"),
    ("lambdas in a dict", "", "{'a': lambda x: x + 1, 'b': abs}", "{'a': lambda x: x + 1, 'b': lambda x: abs(x)}"),
    ("functions in a set", "", "{abs, len, max}", "{abs, len, min}"),
    ("numpy scalar", "import numpy as np", "np.float32(1.5)", "np.float64(1.5)"),
    ("numpy datetime", "import numpy as np", "np.datetime64('2026-01-01')", "np.datetime64('2026-01-02')"),
    ("numpy array", "import numpy as np", "np.array([1, 2, 3])", "np.array([1, 2, 4])"),
    ("shape of an array", "import numpy as np", "np.zeros((2, 3))", "np.zeros((3, 2))"),
    ("numpy type", "import numpy as np", "np.dtype('int32')", "np.dtype('int64')"),
    ("numpy function", "import numpy as np", "np.sqrt", "np.cbrt"),
    ("expression", "import polars as pl", "pl.col('a') > 1", "pl.col('a') > 2"),
    ("literal date", "import datetime as dt\nimport polars as pl", "pl.lit(dt.date(2026, 1, 1))", "pl.lit(dt.date(2026, 1, 2))"),
    ("when", "import polars as pl", "pl.when(pl.col('a') > 1).then(2).otherwise(3)", "pl.when(pl.col('a') > 1).then(2).otherwise(4)"),
    ("when without otherwise", "import polars as pl", "pl.when(pl.col('a') > 1)", "pl.when(pl.col('a') > 2)"),
    ("selector", "import polars.selectors as cs", "cs.numeric()", "cs.string()"),
    ("zone in an expression", "import polars as pl", "pl.col('a').dt.convert_time_zone('Europe/Vienna')", "pl.col('a').dt.convert_time_zone('Europe/Berlin')"),
    ("long list in an expression", "import polars as pl", "pl.col('a').is_in(list(range(500)))", "pl.col('a').is_in([*range(498), 498, 500])"),
    ("function in an expression", "import polars as pl", "pl.col('a').map_batches(lambda s: s + 1)", "pl.col('a').map_batches(lambda s: s + 2)"),
    ("function by element", "import polars as pl", "pl.col('a').map_elements(lambda v: hash(v) + 1, return_dtype=pl.Int64)", "pl.col('a').map_elements(lambda v: hash(v) + 2, return_dtype=pl.Int64)"),
    ("type of Polars", "import polars as pl", "pl.Int32", "pl.Int64"),
    ("Datetime", "import polars as pl", "pl.Datetime('us', 'UTC')", "pl.Datetime('ms', 'UTC')"),
    ("Enum of Polars", "import polars as pl", "pl.Enum(['a', 'b'])", "pl.Enum(['b', 'a'])"),
    ("Struct", "import polars as pl", "pl.Struct({'a': pl.Int8})", "pl.Struct({'b': pl.Int8})"),
    ("Schema", "import polars as pl", "pl.Schema({'a': pl.Int8, 'b': pl.String})", "pl.Schema({'b': pl.String, 'a': pl.Int8})"),
    ("Series", "import polars as pl", "pl.Series('a', [1, 2, None])", "pl.Series('a', [1, None, 2])"),
    ("text in a Series", "import polars as pl", "pl.Series(['ab', 'c'])", "pl.Series(['a', 'bc'])"),
    ("DataFrame", "import polars as pl", "pl.DataFrame({'a': [1, 2]})", "pl.DataFrame({'a': [2, 1]})"),
    ("column of a DataFrame", "import polars as pl", "pl.DataFrame({'a': [1]})", "pl.DataFrame({'b': [1]})"),
    ("nested DataFrame", "import polars as pl", "pl.DataFrame({'a': [[1], [2, 3]], 's': [{'x': 1}, {'x': 2}]})", "pl.DataFrame({'a': [[1, 2], [3]], 's': [{'x': 1}, {'x': 2}]})"),
    ("LazyFrame", "import polars as pl", "pl.LazyFrame({'a': [1]})", "pl.LazyFrame({'a': [2]})"),
)  # fmt: skip

# the ways in which a function reaches it
SHAPES: dict[str, Files] = {
    "a constant": {"hops.py": "{imports}\nVALUE = {value}\ndef make(raw):\n    return raw, VALUE\n"},
    "by a helper": {"hops.py": "def make(raw):\n    return helper(raw)\ndef helper(raw):\n    return raw, VALUE\n{imports}\nVALUE = {value}\n"},
    "of another module": {"hops.py": "from . import values as v\ndef make(raw):\n    return raw, v.VALUE\n", "values.py": "{imports}\nVALUE = {value}\n"},
    "imported by name": {"hops.py": "from .values import VALUE as V\ndef make(raw):\n    return raw, V\n", "values.py": "{imports}\nVALUE = {value}\n"},
    "imported by a star": {"hops.py": "from .values import *\ndef make(raw):\n    return raw, VALUE\n", "values.py": "{imports}\nVALUE = {value}\n"},
    "imported inside": {"hops.py": "def make(raw):\n    from .values import VALUE as V\n    return raw, V\n", "values.py": "{imports}\nVALUE = {value}\n"},
    "module imported inside": {"hops.py": "def make(raw):\n    from . import values\n    return raw, values.VALUE\n", "values.py": "{imports}\nVALUE = {value}\n"},
    "a default": {"hops.py": "{imports}\ndef make(raw, value={value}):\n    return raw, value\n"},
    "a default by name": {"hops.py": "{imports}\ndef make(raw, *, value={value}):\n    return raw, value\n"},
    "a default of a helper": {"hops.py": "{imports}\ndef make(raw):\n    return help_with(raw)\ndef help_with(raw, value={value}):\n    return raw, value\n"},
    "closed over": {"hops.py": "{imports}\ndef outer():\n    value = {value}\n    def make(raw):\n        return raw, value\n    return make\nmake = outer()\n"},
    "in a dict": {"hops.py": "{imports}\nALL = {{'x': [{value}]}}\ndef make(raw):\n    return raw, ALL\n"},
    "of a class": {"hops.py": "{imports}\nclass Held:\n    VALUE = {value}\ndef make(raw):\n    return raw, Held.VALUE\n"},
    "of a base class": {"hops.py": "{imports}\nclass Base:\n    VALUE = {value}\nclass Held(Base):\n    pass\ndef make(raw):\n    return raw, Held().VALUE\n"},
    "of an instance": {"hops.py": "{imports}\nclass Held:\n    def __init__(self, value):\n        self.value = value\nHELD = Held({value})\ndef make(raw):\n    return raw, HELD.value\n"},
    "in a slot": {"hops.py": "{imports}\nclass Held:\n    __slots__ = ('value',)\n    def __init__(self, value):\n        self.value = value\nHELD = Held({value})\ndef make(raw):\n    return raw, HELD.value\n"},
    "of a dataclass": {"hops.py": "{imports}\nfrom dataclasses import dataclass\nfrom typing import Any\n@dataclass(frozen=True)\nclass Held:\n    value: Any\nHELD = Held({value})\ndef make(raw):\n    return raw, HELD.value\n"},
    "of a NamedTuple": {"hops.py": "{imports}\nfrom typing import Any, NamedTuple\nclass Held(NamedTuple):\n    value: Any\nHELD = Held({value})\ndef make(raw):\n    return raw, HELD.value\n"},
    "given to a partial": {"hops.py": "{imports}\nfrom functools import partial\ndef helper(raw, value):\n    return raw, value\nmade = partial(helper, value={value})\ndef make(raw):\n    return made(raw)\n"},
    "given to a decorator": {"hops.py": "{imports}\nimport functools\ndef giving(value):\n    def around(function):\n        @functools.wraps(function)\n        def inner(raw):\n            return function(raw), value\n        return inner\n    return around\n@giving({value})\ndef make(raw):\n    return raw\n"},
}  # fmt: skip


def value_edits(every: int = 1) -> Iterator[Edit]:
    """Each kind of value in each shape, or in every so manieth of them: another for each kind."""
    for number, (kind, imports, before, after) in enumerate(VALUES):
        for place, (shape, files) in enumerate(SHAPES.items()):
            if (number + place) % every == 0:
                states = ({name: text.format(imports=imports, value=value) for name, text in files.items()} for value in (before, after))
                yield Edit(f"{kind}, {shape}", *states)
