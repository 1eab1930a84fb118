# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.onecc.cluster.plugins.plugin_utils import _minify, _payload


def small(source: str, *roots: str, **others: str) -> str:
    return _minify.minified({"it": source, **others}, set(roots or ["root"]))["it"]


def test_docstrings_annotations_and_comments_stay_at_home():
    source = '''
"""Module."""
from __future__ import annotations
class root(Exception):
    """Class
    of two lines."""
def root2(first: int, *rest: str) -> str:
    """Function."""
    # why
    kept: str = """a text # with a mark"""
    gone: int
    return kept
'''
    assert small(source, "root", "root2") == (
        "class root(Exception):\n pass\n\ndef root2(a, *b):\n c = 'a text # with a mark'\n return c"
    )


def test_what_nothing_needs_stays_at_home():
    source = (
        "import os, re\nONE, TWO = 1, 2\nUSED = ONE\nUNUSED = 4\n"
        "def f():\n    return USED + re.X\ndef g():\n    return UNUSED\ndef root():\n    return f()\n"
    )
    assert small(source) == "import os, re\nA, B = (1, 2)\nC = A\n\ndef D():\n return C + re.X\n\ndef root():\n return D()"


def test_what_another_module_needs_by_an_attribute_is_kept():
    other = "import it\ndef root():\n    return it.first()\n"
    found = _minify.minified({"it": "def first():\n    return 1\ndef g():\n    return 2\n", "other": other}, {"root"})
    assert found == {"it": "def A():\n return 1", "other": "import it\n\ndef root():\n return it.A()"}


def test_an_import_names_what_is_left():
    other = "from it import first, g\ndef h():\n    return g()\ndef root():\n    return first()\n"
    found = _minify.minified({"it": "def first():\n    return 1\ndef g():\n    return 2\n", "other": other}, {"root"})
    assert found == {"it": "def A():\n return 1", "other": "from it import A\n\ndef root():\n return A()"}


def test_statements_that_bind_nothing_are_kept():
    assert small("print(1)\nx = 1\n") == "print(1)"


@pytest.mark.parametrize(("source", "call", "value"), [
    # a local name and the same word as attribute, key and text
    ("def root(name):\n    return f'{name} {name.upper()!r:>6}' + {'name': 1}.__class__.__name__\n", "root('x')", "x    'X'dict"),
    # a nested function, a lambda and a comprehension see the names around them
    ("def root(n):\n    k = 2\n    def add(m):\n        return m + n + k\n    return [add(m) for m in range(n)], (lambda q, n=5: q + n + k)(1)\n",
     "root(2)", ([4, 5], 8)),
    # an argument that a caller names
    ("def f(value, *, wanted=1):\n    other = value\n    return other, wanted\ndef root(value):\n    return f(value, wanted=value)\n",
     "root(3)", (3, 3)),
    # a builtin that a comprehension hides
    ("def root(x):\n    return [len for len in x], len(x)\n", "root('ab')", (["a", "b"], 2)),
    # names of modules and their variables
    ("import os.path\nLIMIT = 3\ndef root(a):\n    total = LIMIT + len(os.path.basename(a))\n    return total\n", "root('/x/yz')", 5),
    # exceptions, with, walrus, star, unpacking, del
    ("def root(x):\n    try:\n        first, *rest = x\n        if (n := len(rest)) > 1:\n            del first\n            raise KeyError(n)\n"
     "    except KeyError as error:\n        return error.args\n    return first\n", "root([1, 2, 3]), root([7])", ((2,), 7)),
    # a method, its own attributes, and a property
    ("class root:\n    size = 2\n    def __init__(self, size):\n        self.size = size\n    @property\n    def twice(self):\n"
     "        size = self.size\n        return 2 * size\n", "root(4).twice, root.size", (8, 2)),
    # more than 26 names
    ("def root():\n    " + "; ".join(f"name{i} = {i}" for i in range(60)) + "\n    return " + " + ".join(f"name{i}" for i in range(60)) + "\n",
     "root()", sum(range(60))),
    # a text of several lines keeps its spaces
    ("def root(a):\n    return f'''{a}\n        deep\n'''\n", "root(1)", "1\n        deep\n"),
    # a short name that is taken already
    ("a = 5\ndef b(x):\n    return x\ndef root(value):\n    c = b(value)\n    return a + c\n", "root(1)", 6),
    ("A = 5\ndef first(B):\n    return B\ndef root(C):\n    return A + first(C)\n", "root(1)", 6),
    # functions and constants of which something else has the name: a method, a key, an argument that a caller names, a module's own
    ("def upper(x):\n    return x.upper() + '!'\ndef root(x):\n    return upper(x)\n", "root('a')", "A!"),
    ("def size(x):\n    return {'size': len(x)}\ndef f(size):\n    return size\ndef root(x):\n    return f(size=size(x))\n", "root('ab')", {"size": 2}),
    ("import os\nsep = 1\ndef getcwd():\n    return sep\ndef root():\n    return getcwd(), os.sep\n", "root()", (1, "/")),
    ("LIMIT = 1\nclass Base:\n    LIMIT = 2\nclass root(Base):\n    def both(self):\n        return self.LIMIT, LIMIT\n", "root().both()", (2, 1)),
    # a function that assigns to a variable of its module
    ("count = 0\ndef root():\n    global count\n    count += 1\n    return count\n", "root(), root()", (1, 2)),
])
def test_it_does_the_same(source, call, value):
    for text in (source, small(source)):
        namespace: dict = {}
        exec(text, namespace)
        assert eval(call, namespace) == value


def test_local_names_are_short():
    found = small("def root(machine, declared):\n    differences = [machine for machine in declared]\n    return differences\n")
    assert found == "def root(b, a):\n c = [b for b in a]\n return c" or found == "def root(a, b):\n c = [a for a in b]\n return c"


@pytest.mark.parametrize("module", sorted(_payload._SMALL))
def test_what_is_sent_compiles(module):
    compile(_payload._SMALL[module], module, "exec")
