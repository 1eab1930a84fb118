# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Writing so that a power loss leaves the old or the new, and one run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

LOCKS = "/run/onecc"


def write(path: str, text: str, mode: int) -> None:
    """Replaces a file whole: on the disk there is always the old text or the new one. Keeps an existing file's mode.

    Takes text that was read with the errors "surrogateescape", and writes it line ends and all.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(path).st_mode & 0o7777
    replace(path, f"{path}.new", text.encode("utf-8", "surrogateescape"), mode)
    flush(directory)


def replace(path: str, temporary: str, data: bytes, mode: int) -> None:
    """Puts a file with this mode in the place of another, or of none; `temporary` is its name until it is whole."""
    with open(temporary, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def flush(path: str) -> None:
    """Waits until what was written to a device, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Waits for its turn: one process a node at a time. The kernel lets go of the lock when its holder dies."""
    os.makedirs(LOCKS, mode=0o755, exist_ok=True)
    with open(f"{LOCKS}/{name}.lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
