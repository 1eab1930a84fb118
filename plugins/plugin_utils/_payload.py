# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""What is sent to a node's Python for a comparison or a change, and what it answers.

A comparison names the checker by its digest. A node that has not kept it says so, and gets it with the second request. A change
takes its code along.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import pathlib
import zlib
from collections.abc import Iterable
from typing import Any

from ansible_collections.onecc.cluster.plugins.module_utils._change import converge
from ansible_collections.onecc.cluster.plugins.module_utils._node import loader, probe
from ansible_collections.onecc.cluster.plugins.plugin_utils import _answers

UTILS = probe.__name__.rpartition("._node.")[0]
SOURCES = pathlib.Path(__file__).resolve().parents[1] / "module_utils"

# What the code in module_utils/_node is written for.
MINIMUM = (3, 9)
MINIMUM_TEXT = ".".join(map(str, MINIMUM))

# Python runs it with -I -S: no site-packages, no environment, nothing from the current directory.
COMMAND = "{python} -I -S -c 'import sys, zlib; exec(zlib.decompress(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))))'"

# The same for a change. Another run tells the two apart by their command lines (preflight.COMPARISON).
CHANGE_COMMAND = (
    "{python} -I -S -c 'import sys, zlib; change = zlib.decompress(sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))); exec(change)'"
)

# Before all else, which an older Python may not even read. It is then the only problem that is said.
_PYTHON = f"""
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < {MINIMUM!r}:
    import json
    message = "the Python of the node is %s; needed is {MINIMUM_TEXT} or later. Set ansible_python_interpreter to one" % version
    problem = {{"field": "python", "is": version, "should": {MINIMUM_TEXT!r}, "message": message}}
    sys.stdout.write({probe.PREFLIGHT_MARK!r} + json.dumps([problem]) + "\\n")
    sys.exit(1)
"""


def _part(data: bytes) -> bytes:
    """As loader.part() reads it."""
    small = zlib.compress(data, 9)
    return b"%d\n" % len(small) + small


def _name(path: pathlib.Path) -> str:
    """The name by which the module of a file is imported."""
    return ".".join([UTILS, *path.relative_to(SOURCES).with_suffix("").parts]).removesuffix(".__init__")


def _modules(*packages: str) -> dict[str, str]:
    """The sources of packages of module_utils, by the names of their modules, and of the packages above them, which are empty."""
    paths = [path for package in packages for path in sorted((SOURCES / package).rglob("*.py"))]
    return {**dict.fromkeys(itertools.accumulate(UTILS.split("."), "{}.{}".format), ""), **{_name(path): path.read_text(encoding="utf-8") for path in paths}}


# Ansible imports this in its main process, before it forks a worker a host: made here, it is made once.
_MODULES = _modules("_node")
_CHECKER = json.dumps(_MODULES).encode()
DIGEST = hashlib.sha256(_CHECKER).hexdigest()
_LOADER = _part(f"{_PYTHON}\nexec({_MODULES[loader.__name__]!r})".encode())


@functools.cache
def changer() -> tuple[bytes, bytes]:
    """What a change takes along: how to load it, and all that changes or compares."""
    source = f"import types\nloader = types.ModuleType('loader')\nexec({_MODULES[loader.__name__]!r}, loader.__dict__)\nloader.change()"
    return _part(f"{_PYTHON}\n{source}".encode()), _part(json.dumps(_modules("_node", "_change", "_inspect")).encode())


def request(states: dict[str, dict[str, list[dict]]], clock: float | None = None) -> bytes:
    """Asks to compare a node with the states of some roles. With a clock it asks for a preflight too."""
    asked = {"digest": DIGEST, "probe": probe.__name__, "states": states, "clock": clock}
    return _LOADER + _part(json.dumps(asked, separators=(",", ":")).encode())


def with_checker(asked: bytes) -> bytes:
    """The request for a node that wants the checker."""
    return asked + _part(_CHECKER)


def change_request(states: dict[str, dict[str, list[dict]]], check_mode: bool) -> bytes:
    """Asks to change a node to the states of some roles."""
    head, sources = changer()
    asked = {"entry": converge.__name__, "states": states, "check_mode": check_mode}
    return head + _part(json.dumps(asked, separators=(",", ":")).encode()) + sources


def outcome(stdout: str, roles: Iterable[str]) -> dict[str, Any] | None:
    """What a change did, out of what was printed; None where it did not get that far. Raises NotAnAnswer."""
    raw = _after(converge.MARK, stdout)
    return None if raw is None else _answers.outcome(raw, list(roles))


def wanted(stdout: str) -> bool:
    """Whether what was printed says that the node has not the checker."""
    return loader.WANTED in stdout


def answer(stdout: str, roles: Iterable[str]) -> dict[str, list[dict]] | None:
    """The differences by role, out of what was printed; None where it did not get that far. Raises NotAnAnswer."""
    raw = _after(probe.MARK, stdout)
    return None if raw is None else _answers.differences(raw, list(roles))


def problems(stdout: str) -> list[dict] | None:
    """What the preflight found, in the same way."""
    raw = _after(probe.PREFLIGHT_MARK, stdout)
    return None if raw is None else _answers.problems(raw)


def _after(mark: str, stdout: str) -> Any:
    if len(stdout) > _answers.BYTES:
        raise _answers.NotAnAnswer(f"it has {len(stdout)} characters, and none has more than {_answers.BYTES}")
    _noise, found, rest = stdout.partition(mark)
    try:
        return json.JSONDecoder().raw_decode(rest)[0] if found else None
    except (ValueError, RecursionError):
        return None  # the connection broke in the middle of it, or it is no JSON that one could read
