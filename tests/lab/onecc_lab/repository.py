# SPDX-License-Identifier: GPL-3.0-or-later
"""The package repositories as a server has them: which there are, in which state, and the files of each.

They are built at the first request for one, into the cache, where they stay under the hash of what they are made from.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from . import cache, guard

NAMES = ("lambda", "doca", "mlnx_ofed", "distribution")

STATES = {
    "healthy": "all that is in order",
    "newer": "the same, after its owner has published newer versions",
    "wrong-key": "signed with a key that is not the published one",
    "expired": "a Release file whose Valid-Until has passed",
    "tampered-packages": "lists of packages that were changed after they were signed",
    "tampered-release": "a Release file that was changed after it was signed",
    "missing": "lists a package that is not there",
}
"""What a repository can be like."""

HEALTHY = "healthy"

_SOURCES = ("repository.py", "archive.py", "debs.py", "elf.py")


class RepositoryError(Exception):
    """A repository could not be built; the message says why."""


def root() -> Path:
    """Folder of all that is built for the repositories, and of their keys."""
    return cache.root() / "repositories"


def made_from() -> str:
    """Sixteen hexadecimal digits that change whenever something the repositories are made from or by does."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for file in [*sorted((here / "packages").iterdir()), *(here / name for name in _SOURCES)]:
        data = file.read_bytes()
        digest.update(f"{file.name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def ensure(name: str, state: str) -> Path:
    """The folder of a repository in a state, built unless it is there. A builder cannot outlive this process.

    Raises RepositoryError.
    """
    folder = root() / made_from() / name / state
    if folder.is_dir():
        return folder
    # Not in the cache: the sockets of gpg's agent need a short path.
    scratch = Path(tempfile.gettempdir()) / f"onecc-lab-repository-{secrets.token_hex(8)}"
    command = guard.module("archive", name, state, str(scratch))[0]
    with tempfile.TemporaryFile() as output:
        process, hold = guard.run(command, output.fileno(), afterwards=["rm", "-rf", str(scratch)])
        try:
            status = process.wait()
        finally:
            os.close(hold)
            process.wait()
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    if status != 0 or not folder.is_dir():
        raise RepositoryError(f"the repository {name!r} was not built (exit status {status}): {said}")
    return folder


class Repositories:
    """The repositories of one server: `NAME` in the state that was ordered, and `NAME-STATE` for each state. For threads."""

    def __init__(self) -> None:
        self._states = dict.fromkeys(NAMES, HEALTHY)
        self._folders: dict[tuple[str, str], Path] = {}
        self._lock = threading.Lock()

    def states(self) -> dict[str, str]:
        """The state that each is in, by name."""
        return dict(self._states)

    def order(self, states: Mapping[str, str]) -> None:
        """Puts repositories into states, both of which exist."""
        self._states |= states

    def folder(self, address: str) -> Path | None:
        """The files of the repository that is called so in a URL, None where none is. Raises RepositoryError."""
        name, dash, state = address.partition("-")
        if name not in NAMES or (dash and state not in STATES):
            return None
        key = (name, state or self._states[name])
        with self._lock:
            if key not in self._folders or not self._folders[key].is_dir():
                self._folders[key] = ensure(*key)
            return self._folders[key]
