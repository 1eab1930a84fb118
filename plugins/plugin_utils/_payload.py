# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The checker as one compressed program for a node's Python, with only the kinds that a declaration uses."""

from __future__ import annotations

import ast
import io
import json
import pathlib
import re
import tokenize
import zlib
from typing import Any

PACKAGE = "ansible_collections.onecc.cluster.plugins.module_utils._node"
SOURCES = pathlib.Path(__file__).resolve().parents[1] / "module_utils" / "_node"
# What stands before the answer, whatever a login shell, a sudo lecture or a wrapper printed.
MARK = "onecc.cluster drift "
PREFLIGHT_MARK = "onecc.cluster preflight "

# What the code in module_utils/_node is written for.
MINIMUM = (3, 9)
MINIMUM_TEXT = ".".join(map(str, MINIMUM))

# Python runs it with -I -S: no site-packages, no environment, nothing from the current directory.
COMMAND = "{python} -I -S -c 'import sys, zlib; exec(zlib.decompress(sys.stdin.buffer.read()))'"

_PROGRAM = """
import json, sys, types
{before}
for name, source in {modules!r}:
    module = sys.modules[name] = types.ModuleType(name)
    parent, _, child = name.rpartition(".")
    exec(compile(source, name, "exec"), module.__dict__)
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
check = sys.modules[{package!r} + ".checker"].check
machine = sys.modules[{package!r} + ".machine"].Machine()
states = json.loads({states!r})
compare = lambda: {{role: check(machine, state) for role, state in states.items()}}
{compare}
sys.stdout.write({mark!r} + json.dumps(found) + "\\n")
"""

# Before the modules, which an older Python may not even read. It is then the only problem that is said.
_PYTHON = f"""
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < {MINIMUM!r}:
    message = "the Python of the node is %s; needed is {MINIMUM_TEXT} or later. Set ansible_python_interpreter to one" % version
    problem = {{"field": "python", "is": version, "should": {MINIMUM_TEXT!r}, "message": message}}
    sys.stdout.write({PREFLIGHT_MARK!r} + json.dumps([problem]) + "\\n")
    sys.exit(1)
"""

_PREFLIGHT = """
problems, found = sys.modules[{package!r} + ".preflight"].examine(machine, compare, {clock!r})
sys.stdout.write({mark!r} + json.dumps(problems) + "\\n")
"""

_IMPORT = re.compile(rf"^from {re.escape(PACKAGE)}(?:\.([\w.]+))? import ([\w, ]+)$", re.MULTILINE)


def stripped(source: str) -> str:
    """The source without docstrings and comments. Lines keep their numbers, for a traceback that comes from a node."""
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            text = node.body[0]
            lines[text.lineno - 1:text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
            if len(node.body) == 1:
                lines[text.lineno - 1] = " " * text.col_offset + "pass"
    return "\n".join(lines)


# By module. Ansible imports this in its main process, before it forks a worker a host: made there, it is made once.
_STRIPPED = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts): stripped(path.read_text(encoding="utf-8"))
    for path in SOURCES.rglob("*.py")
}


def modules(kinds: tuple[str, ...], preflight: bool = False) -> tuple[tuple[str, str], ...]:
    """Names and sources of the checker and of these kinds, each after the modules that it imports."""
    found: dict[str, str] = {PACKAGE: "", f"{PACKAGE}.kinds": ""}

    def add(module: str) -> None:
        name = f"{PACKAGE}.{module}"
        if name in found:
            return
        source = _STRIPPED[module]
        for package, names in _IMPORT.findall(source):
            for imported in [package] if package else names.split(", "):
                add(imported)
        found[name] = source

    add("checker")
    for kind in kinds:
        add(f"kinds.{kind}")
    if preflight:
        add("preflight")
    return tuple(found.items())


def program(states: dict[str, dict[str, list[dict]]], clock: float | None = None) -> bytes:
    """The program that compares a node with the states of some roles, compressed. With a clock it does a preflight too."""
    kinds = tuple(dict.fromkeys(kind for state in states.values() for kind in state))
    preflight = clock is not None
    text = _PROGRAM.format(
        modules=modules(kinds, preflight), package=PACKAGE, states=json.dumps(states), mark=MARK,
        before=_PYTHON if preflight else "",
        compare=_PREFLIGHT.format(package=PACKAGE, clock=clock, mark=PREFLIGHT_MARK) if preflight else "found = compare()",
    )
    return zlib.compress(text.encode(), 9)


def answer(stdout: str) -> dict[str, list[dict]] | None:
    """The differences by role, out of what the program printed; None where it did not get that far."""
    return _after(MARK, stdout)


def problems(stdout: str) -> list[dict] | None:
    """What the preflight found, in the same way."""
    return _after(PREFLIGHT_MARK, stdout)


def _after(mark: str, stdout: str) -> Any:
    _noise, found, rest = stdout.partition(mark)
    try:
        return json.JSONDecoder().raw_decode(rest)[0] if found else None
    except ValueError:
        return None  # the connection broke in the middle of it
