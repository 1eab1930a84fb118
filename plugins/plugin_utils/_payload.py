# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The checker as one compressed program for a node's Python, with only the kinds that a declaration uses."""

from __future__ import annotations

import functools
import json
import lzma
import pathlib
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.onecc.cluster.plugins.plugin_utils import _minify

PACKAGE = "ansible_collections.onecc.cluster.plugins.module_utils._node"
SOURCES = pathlib.Path(__file__).resolve().parents[1] / "module_utils" / "_node"
# What stands before the answer, whatever a login shell, a sudo lecture or a wrapper printed.
MARK = "onecc.cluster drift "
PREFLIGHT_MARK = "onecc.cluster preflight "

# What the code in module_utils/_node is written for.
MINIMUM = (3, 9)
MINIMUM_TEXT = ".".join(map(str, MINIMUM))

# Python runs it with -I -S: no site-packages, no environment, nothing from the current directory. The program comes first, the
# same for all nodes; what follows it is the node's data. LZMA takes 6 % less than zlib for the program.
COMMAND = "{python} -I -S -c 'import lzma, sys; d = lzma.LZMADecompressor(); exec(d.decompress(sys.stdin.buffer.read()))'"

# Modules that travel only where they are needed, beside the kinds.
PREFLIGHT, PRESENCE = "preflight", "presence"
# More than a program has bytes. The default of 8 MiB costs 12 ms of CPU to set up.
WINDOW = 1 << 17

_PROGRAM = """
import json, sys, types, zlib
{before}
for name, source in {modules!r}:
    module = sys.modules[name] = types.ModuleType(name)
    parent, _, child = name.rpartition(".")
    exec(compile(source, name, "exec"), module.__dict__)
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
check = sys.modules[{package!r} + ".checker"].check
machine = sys.modules[{package!r} + ".machine"].Machine()
states, clock = json.loads(zlib.decompress(d.unused_data))
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
problems, found = sys.modules[{package!r} + ".preflight"].examine(machine, compare, clock)
sys.stdout.write({mark!r} + json.dumps(problems) + "\\n")
"""


_IMPORT = re.compile(rf"^from {re.escape(PACKAGE)}(?:\.([\w.]+))? import \(?([\w,\s]+?)\)?$", re.MULTILINE)


def _imports(source: str) -> list[str]:
    """The modules of the package that a module of it imports. A pattern, because to parse all sources once more is 50 ms of each start."""
    found = _IMPORT.findall(source)
    return [imported for package, names in found for imported in ([package] if package else re.findall(r"\w+", names))]


def _with_imports(wanted: Iterable[str], sources: Mapping[str, str]) -> list[str]:
    """The modules, each after those that it imports."""
    found: list[str] = []

    def add(module: str) -> None:
        if module not in found:
            for imported in _imports(sources[module]):
                add(imported)
            found.append(module)

    for module in wanted:
        add(module)
    return found


# By module, of what a comparison may need; what only modules of Ansible import is not among it. Ansible imports this in its main
# process, before it forks a worker a host: made there, they are made once.
_SOURCES = {
    ".".join(path.relative_to(SOURCES).with_suffix("").parts): path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")
}
_ENTRIES = ("checker", PRESENCE, PREFLIGHT, *(module for module in _SOURCES if re.fullmatch(r"kinds\.[a-z]\w*", module)))
_SMALL = _minify.minified({module: _SOURCES[module] for module in _with_imports(_ENTRIES, _SOURCES)}, {"check", "examine", "Machine"})


def modules(wanted: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names and sources of the checker and of these modules, each after those that it imports, as they are sent."""
    found = _with_imports(("checker", *sorted(wanted)), _SMALL)
    return ((PACKAGE, ""), (f"{PACKAGE}.kinds", ""), *((f"{PACKAGE}.{module}", _SMALL[module]) for module in found))


@functools.lru_cache
def code(wanted: frozenset[str]) -> bytes:
    """The program of these modules, compressed."""
    preflight = PREFLIGHT in wanted
    text = _PROGRAM.format(
        modules=modules(wanted), package=PACKAGE, mark=MARK, before=_PYTHON if preflight else "",
        compare=_PREFLIGHT.format(package=PACKAGE, mark=PREFLIGHT_MARK) if preflight else "found = compare()",
    )
    # Best for a text: no bits of the position, and matches as long as they come.
    best = {"id": lzma.FILTER_LZMA1, "dict_size": WINDOW, "pb": 0, "nice_len": 273}
    return lzma.compress(text.encode(), lzma.FORMAT_ALONE, filters=[best])


def needed(states: Iterable[dict[str, list[dict]]], preflight: bool) -> frozenset[str]:
    """The modules that a comparison with some states needs."""
    kinds = {f"kinds.{kind}" for state in states for kind in state}
    somewhere = any(item.get("where") for state in states for items in state.values() for item in items)
    return frozenset(kinds | ({PRESENCE} if somewhere else set()) | ({PREFLIGHT} if preflight else set()))


def program(states: dict[str, dict[str, list[dict]]], clock: float | None = None) -> bytes:
    """The program that compares a node with the states of some roles, and these. With a clock it does a preflight too."""
    return code(needed(states.values(), clock is not None)) + zlib.compress(json.dumps([states, clock], separators=(",", ":")).encode(), 9)


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
