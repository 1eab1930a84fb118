# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Takes the checker from where an earlier comparison kept it, or as it was sent, and runs it.

Travels as it stands before each request. Standard input holds it, the request and, where the node had asked for it, the checker.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import json
import marshal
import os
import pwd
import stat
import sys
import types
import zlib

# What is printed where the node has not this checker.
WANTED = "onecc.cluster wants the checker"
# Several times what all of it takes, compiled: some 400 KB.
MOST_BYTES = 8 << 20


class Checker:
    """Finds and loads modules, for `import`: `codes` has each one's source, or its compiled and marshalled code, by name."""

    def __init__(self, codes: dict[str, bytes] | dict[str, str]) -> None:
        self.codes = codes

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name not in self.codes:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=any(other.startswith(name + ".") for other in self.codes))

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: types.ModuleType) -> None:
        code = self.codes[module.__name__]
        exec(compile(code, module.__name__, "exec") if isinstance(code, str) else marshal.loads(code), module.__dict__)


def place() -> str:
    """Where the user that this runs as, and no other, can keep a file. Not by $HOME, which sudo may leave another user's."""
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/nonexistent"
    return os.path.join(home, ".ansible/onecc.cluster", f"checker.{sys.implementation.cache_tag}")


def kept(path: str, digest: str) -> bytes | None:
    """The modules that were kept under this digest; None where there are none, where another user may have written them, or where
    they are not as they were written."""
    try:
        # A FIFO in its place would keep an open() waiting.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            own = status.st_uid == os.geteuid() and not status.st_mode & 0o022
            if not own or not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                return None
            head, rest = file.read(len(header(digest, b""))), file.read()
    except OSError:
        return None
    return rest if head == header(digest, rest) else None


def header(digest: str, rest: bytes) -> bytes:
    """What stands before the kept modules: which they are, and whether they are whole."""
    return (digest + hashlib.sha256(rest).hexdigest()).encode()


def compiled(sources: dict[str, str]) -> dict[str, bytes]:
    return {name: marshal.dumps(compile(source, name, "exec")) for name, source in sources.items()}


def part() -> bytes:
    """The next part of standard input, empty at its end: the number of bytes in a line, and so many bytes."""
    size = sys.stdin.buffer.readline()
    return zlib.decompress(sys.stdin.buffer.read(int(size))) if size else b""


def loaded(rest: bytes, name: str) -> types.ModuleType:
    """The module that compares."""
    sys.meta_path.insert(0, Checker(marshal.loads(rest)))
    return importlib.import_module(name)


def change() -> None:
    """Runs what changes the node, which always comes along and is not kept: it is used seldom."""
    request = json.loads(part())
    sys.meta_path.insert(0, Checker(json.loads(part())))
    importlib.import_module(request["entry"]).answer(request["states"], request["check_mode"])


def main() -> None:
    request, sources, path = json.loads(part()), part(), place()
    rest = marshal.dumps(compiled(json.loads(sources))) if sources else kept(path, request["digest"])
    probe = None
    # Whatever keeps what was kept from loading, such as another build of Python: sent anew, it loads, or says why not.
    with contextlib.nullcontext() if sources else contextlib.suppress(Exception):
        probe = loaded(rest, request["probe"])
    if probe is None:
        sys.stdout.write(WANTED + "\n")
        return
    probe.answer(request["states"], request["clock"])
    if sources:
        probe.keep(path, header(request["digest"], rest) + rest)


if __name__ == "__main__":
    main()
