# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The one way to write on a node: whole or not at all, never through what a user put in the way, one run at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

# Root's alone: whoever can open a lock can hold it, and a user's would hold up the taking away of that user's access.
LOCKS = "/run/onecc"
# As long as the preflight waits for another run (preflight.WAIT_SECONDS), and as roles/apply waits for apt's lock.
WAIT_SECONDS = 300
POLL_SECONDS = 0.2

# What a file is called until it is whole. Nothing takes it for data: sshd, sudo, systemd, sysctl, PAM, apt and run-parts pass over
# names with a dot before or in them, and no user's name has one.
TEMPORARY = re.compile(r"\.onecc-[0-9a-f]{16}\.tmp")

# Only to look at and to go on from: opening what is there has no effect on it, whatever it is.
PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Debian's base-passwd: the user and the group nobody and nogroup, who may read what everybody may.
NOBODY = (65534, 65534)
# path_resolution(7): so many links lie on one way at most.
MOST_LINKS = 40


class Refused(OSError):
    """Why nothing is written to a path, in a line.

    `stranger` is the user, and the group, of what is on the way to it, where that is why; `folder` which folder that is.
    """

    def __init__(self, message: str, stranger: tuple[int, int] | None = None, folder: str = "") -> None:
        super().__init__(message)
        self.stranger = stranger
        self.folder = folder


class Access(NamedTuple):
    """Owner and group by number, -1 for as they are, and mode, None for as it is."""

    owner: int = -1
    group: int = -1
    mode: int | None = None


def write(path: str, text: str, mode: int) -> None:
    """Replaces a file whole: on the disk there is always the old text or the new one. A file that is there keeps its owner,
    group and mode; a new one gets this mode.

    Takes text that was read with the errors "surrogateescape", and writes it line ends and all.
    """
    with _folder(path) as (folder, name):
        clean(folder)
        found = _file(folder, name, path)
        access = Access(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) if found else Access(mode=mode)
        replace(folder, name, text.encode("utf-8", "surrogateescape"), access)


def put(path: str, text: str, access: Access) -> None:
    """The same, with owner, group and mode as given, which the file has from its first moment."""
    with _folder(path) as (folder, name):
        clean(folder)
        _file(folder, name, path)
        replace(folder, name, text.encode("utf-8", "surrogateescape"), access)


def directory(path: str, access: Access) -> None:
    """Makes a directory where there is none, and gives it this access."""
    with _folder(path) as (folder, name):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=folder)
        own = os.open(name, FOLDER, dir_fd=folder)
        try:
            _give(own, access)
            os.fsync(own)
        finally:
            os.close(own)
        os.fsync(folder)


def remove(path: str) -> None:
    """Takes a file away, if it is there."""
    with _folder(path) as (folder, name):
        clean(folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        os.fsync(folder)


def replace(folder: int, name: str, data: bytes, access: Access) -> None:
    """Puts a file in the place of another, or of none. Nobody but its owner can open it before it has its access."""
    temporary = f".onecc-{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            _give(file.fileno(), access)
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def clean(folder: int) -> None:
    """Takes away what runs left that were cut between writing and renaming. Only for who knows that no other run is here."""
    for name in filter(TEMPORARY.fullmatch, os.listdir(folder)):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)


def flush(path: str) -> None:
    """Waits until what was written to a device, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def walk(folder: str, root: str = "/", make: bool = False) -> tuple[int, list[str]]:
    """A descriptor of a folder, or of the last one on the way to it that is there, and the names of those that are missing.

    Goes part by part, and through nothing but what root alone (or the user that this runs as) can change: what is there when it
    is looked at is there when it is written to. Raises Refused for anything else. A link is followed where root made it.
    """
    names, way, links = [name for name in folder.split("/") if name], "/", 0
    at = os.open(root, PLACE)
    try:
        while True:
            status = _trusted(at, way)
            if not names:
                return at, []
            try:
                step = os.open(names[0], PLACE | os.O_NOFOLLOW, dir_fd=at)
            except FileNotFoundError:
                if not make:
                    return at, names
                os.mkdir(names[0], 0o755, dir_fd=at)
                _sync(at)
                continue
            except NotADirectoryError:
                way, links = os.path.normpath(os.path.join(way, names[0])), links + 1
                target = _link(at, names.pop(0), way, status) if links <= MOST_LINKS else ""
                if not target:
                    raise Refused(f"{way} is no folder, and no link of root's to one") from None
                names[:0] = [name for name in target.split("/") if name]
                way = os.path.dirname(way)
                if not target.startswith("/"):
                    continue
                step, way = os.open(root, PLACE), "/"
            else:
                way = os.path.normpath(os.path.join(way, names.pop(0)))
            os.close(at)
            at = step
    except BaseException:
        os.close(at)
        raise


def _trusted(folder: int, way: str) -> os.stat_result:
    """The folder's status. In one with the sticky bit, such as /tmp, users cannot replace what is not theirs."""
    status = os.fstat(folder)
    if status.st_uid not in (0, os.geteuid()):
        whose = user(status.st_uid)
        raise Refused(f"the folder {way} belongs to {whose}, who can put a link in the way of what root writes", (status.st_uid, status.st_gid), way)
    if _others_write(status) and not status.st_mode & stat.S_ISVTX:
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        raise Refused(f"in the folder {way} others than root may write ({mode}), and put a link in the way of what root writes", NOBODY, way)
    return status


def _others_write(status: os.stat_result) -> bool:
    return bool(status.st_mode & stat.S_IWOTH or status.st_mode & stat.S_IWGRP and status.st_gid not in (0, os.getegid()))


def _link(folder: int, name: str, way: str, status: os.stat_result) -> str:
    """Where a link leads that nobody but root can have put there; empty for what is no such link."""
    found = os.lstat(name, dir_fd=folder)
    if not stat.S_ISLNK(found.st_mode):
        return ""
    if found.st_uid not in (0, os.geteuid()) or _others_write(status):
        raise Refused(f"{way} is a link, which {user(found.st_uid)} may have put in the way", (found.st_uid, found.st_gid))
    return os.readlink(name, dir_fd=folder)


def user(number: int) -> str:
    """A user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


@contextlib.contextmanager
def _folder(path: str) -> Iterator[tuple[int, str]]:
    """The folder of a path, made where it is missing, and the name in it."""
    above, name = os.path.split(path)
    try:
        place, _missing = walk(above, make=True)
        try:
            folder = os.open(".", FOLDER, dir_fd=place)
        finally:
            os.close(place)
        try:
            yield folder, name
        finally:
            os.close(folder)
    except Refused as error:
        raise Refused(f"{path}: {error}. Nothing is done there: declare a path whose folders are root's alone", error.stranger) from error
    except OSError as error:
        become = ". Become root (become: true)" if os.geteuid() and error.errno in (errno.EACCES, errno.EPERM) else ""
        raise Refused(f"{path} cannot be written: {error.strerror or error}{become}") from error


def _file(folder: int, name: str, path: str) -> os.stat_result | None:
    """What lstat(2) says of a file, None where there is none. What is no file would be lost."""
    try:
        found = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no regular file")
    return found


def _give(descriptor: int, access: Access) -> None:
    os.fchown(descriptor, access.owner, access.group)  # first: it takes bits of the mode away
    if access.mode is not None:
        os.fchmod(descriptor, access.mode)


def _sync(place: int) -> None:
    descriptor = os.open(".", FOLDER, dir_fd=place)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def turn(module: Any, name: str) -> Iterator[None]:
    """For a module's work: waits for its turn, and fails the module where that does not come, or where a file cannot be read or written.

    Check mode writes nothing, and waits for nobody.
    """
    try:
        with contextlib.nullcontext() if module.check_mode else locked(name):
            yield
    except OSError as error:
        module.fail_json(msg=str(error) if isinstance(error, Refused) else f"{error.filename}: {error.strerror}")


@contextlib.contextmanager
def locked(name: str, seconds: float | None = None) -> Iterator[None]:
    """Waits for its turn: one process a node at a time. The kernel lets go of the lock when its holder dies."""
    directory(LOCKS, Access(mode=0o700))
    with _folder(f"{LOCKS}/mutex") as (folder, file):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        mutex = os.open(file, flags, 0o600, dir_fd=folder)
    try:
        _wait(mutex, WAIT_SECONDS if seconds is None else seconds)
        os.ftruncate(mutex, 0)
        os.pwrite(mutex, f"{os.getpid()} {name}".encode(), 0)
        yield
    finally:
        os.close(mutex)


def _wait(mutex: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(mutex, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Refused(f"{_holder(mutex)}. Nothing was changed. Wait for it to end, and run again") from None
        time.sleep(POLL_SECONDS)


def _holder(mutex: int) -> str:
    """Whose turn it is: the process, which module it runs, and its command."""
    pid, _space, name = os.pread(mutex, 100, 0).decode("utf-8", "replace").partition(" ")
    command = ""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return f"another run is changing this node: process {pid} ({name}: {command!a})"
