# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The machine that a check reads: files below a root directory, and the programs that answer for the kernel."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from typing import BinaryIO

from ansible_collections.onecc.cluster.plugins.module_utils._node import patience

# A program that has not answered after so many seconds hangs: the slowest one that a check runs, blkid on a drive
# with bad sectors, gives up after the kernel's own 30 s command time-out (nvme_core.io_timeout).
COMMAND_TIMEOUT = 60
# A server in the same region answers in milliseconds, and one that restarts a service in a second or two. Well below the
# above, so that a node with several dead servers still says so in time.
SERVER_TIMEOUT = 5
# No file that is read here is larger than dpkg's status: 2 KB for each of some 5,000 packages at most. Several times that.
MOST_BYTES = 64 << 20


class TooLarge(OSError):
    """A file that no check reads: `filename` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EFBIG, f"larger than {MOST_BYTES >> 20} MiB", name)


class Completed:
    """What a program answered: `rc`, and `stdout` and `stderr` as text."""

    def __init__(self, rc: int, stdout: str, stderr: str = "") -> None:
        self.rc = rc
        self.stdout = stdout
        self.stderr = stderr


class Machine:
    """Reads a machine below `root`: "/" on a node, a captured tree in a test.

    `silent_servers` are the servers that did not answer: none is waited for twice, however many mounts are its.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.silent_servers: set[str] = set()

    def path(self, name: str) -> str:
        """Where the absolute path `name` of the machine lies for this process."""
        return os.path.join(self.root, name.lstrip("/"))

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path(name))

    def names(self, directory: str) -> list[str]:
        """The entries of a directory, sorted; none where there is no such directory."""
        try:
            return sorted(os.listdir(self.path(directory)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def text(self, name: str, errors: str = "replace") -> str | None:
        """A file's text, or None where it cannot be read. Attributes in /sys may exist and yet refuse to be read.

        What is to be written back is read with the errors "surrogateescape", which keep every byte.
        """
        data = self.data(name)
        return None if data is None else data.decode("utf-8", errors)

    def data(self, name: str, offset: int = 0, size: int = -1, follow: bool = True) -> bytes | None:
        """A file's bytes, or `size` of them from `offset` on; None where they cannot be read. Raises TooLarge.

        Never waits: what is no regular file (a FIFO, a terminal, /dev/zero) is not even opened, which could do something. Those
        of /proc and /sys are regular. Of a block device a piece can be read.
        """
        try:
            place = os.open(self.path(name), os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
        except OSError:
            return None
        try:
            mode = os.fstat(place).st_mode
            if not stat.S_ISREG(mode) and not (stat.S_ISBLK(mode) and size >= 0):
                return None
            with open(f"/proc/self/fd/{place}", "rb", buffering=0, opener=_without_waiting) as file:
                file.seek(offset)
                return _bounded(file, name) if size < 0 else file.read(size)
        except TooLarge:
            raise
        except OSError:
            return None
        finally:
            os.close(place)

    def data_of(self, user: int, group: int, name: str, most: int) -> bytes | None:
        """The first bytes of a file that belongs to a user, as that user reads it, and not through a link in its place.

        None where it cannot be read. Raises TimeoutError where it is on a server that does not answer. (Captured trees have no users.)
        """
        def read() -> str | None:
            data = self.data(name, 0, most, follow=False)
            return None if data is None else data.decode("latin-1")

        try:
            found = patience.within(SERVER_TIMEOUT, read, (user, group) if os.geteuid() == 0 and self.root == "/" else None)
        except TimeoutError:
            raise
        except OSError:
            return None
        return None if found is None else found.encode("latin-1")

    def attribute(self, name: str) -> str:
        """An attribute in /sys without its line end, empty where there is none."""
        return (self.text(name) or "").strip()

    def real(self, name: str) -> str:
        """Where a link of the machine leads, as a path of the machine; also where nothing is there."""
        target, root = os.path.realpath(self.path(name)), os.path.realpath(self.root)
        return target[len(root):] if root != "/" and target.startswith(root) else target

    def inode(self, name: str) -> os.stat_result:
        """What stat(2) says of a mounted directory. Raises TimeoutError where the server behind it does not answer."""

        def look() -> list[int]:
            os.statvfs(self.path(name))  # always asks the server, where stat(2) may answer from what is remembered
            return list(os.stat(self.path(name)))

        return os.stat_result(patience.within(SERVER_TIMEOUT, look))

    def reachable(self, server: str, port: int) -> bool:
        """Whether a server accepts a connection."""
        try:
            patience.within(SERVER_TIMEOUT, lambda: socket.create_connection((server, port), SERVER_TIMEOUT).close())
        except OSError:
            return False  # also TimeoutError
        return True

    def run(self, *argv: str) -> Completed:
        """Runs a program without a shell, its messages in English. A missing program answers 127, a hanging one 124."""
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_TIMEOUT,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except FileNotFoundError:
            return Completed(127, "", f"{argv[0]}: not found")
        except OSError as error:
            return Completed(126, "", f"{argv[0]}: {error.strerror}")
        except subprocess.TimeoutExpired:
            return Completed(124, "", f"{argv[0]}: no answer in {COMMAND_TIMEOUT} s")
        return Completed(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _bounded(file: BinaryIO, name: str) -> bytes:
    """All of a file. Files in /proc and /sys do not say their size, and some give a page at a time."""
    parts, left = [], MOST_BYTES
    while part := file.read(min(left, 1 << 16) or 1):
        left -= len(part)
        if left < 0:
            raise TooLarge(name)
        parts.append(part)
    return b"".join(parts)
