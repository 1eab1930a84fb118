# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Why a file could not be written, so that a comparison says so before anything is changed."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import block, durable
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# The field of a difference that says that a resource could not be written. The preflight takes it for a problem of the node.
FIELD = "writable"
# linux/fs.h: _IOR('f', 1, long) of a 64-bit machine, and the flags that chattr(1) calls i and a.
FS_IOC_GETFLAGS = 0x80086601
ATTRIBUTES = {0x10: ("i", "immutable"), 0x20: ("a", "append only")}


def files(machine: Machine, resource: dict, fields: set[str]) -> list[str]:
    """The files (or the directory) that a resource is, unless its kind says otherwise by a function of the same name and arguments.

    `fields` are those in which the resource differs.
    """
    own = [resource[field] for field in ("path", "file", "profile") if resource.get(field)]
    return own + [file["path"] for file in resource.get("files", [])]


def roots_own(directories: list[dict]) -> frozenset[str]:
    """The paths of declared directories that are root's alone once a run has mended them."""
    return frozenset(item["path"] for item in directories if item.get("owner") in ("root", "0") and not int(item["mode"], 8) & 0o022)


def stranger(machine: Machine, path: str) -> durable.Refused | None:
    """Why a path is not root's: a folder on the way is somebody else's. What root does not write to, root does not read either."""
    try:
        place, _missing = durable.walk(os.path.dirname(path), machine.root)
    except durable.Refused as error:
        return error
    except OSError:
        return None  # who may not look there is not root, which is said elsewhere
    os.close(place)
    return None


def obstacles(machine: Machine, path: str) -> Iterator[str]:
    """What keeps a file or a directory from being put at a path."""
    try:
        place, missing = durable.walk(os.path.dirname(path), machine.root)
    except durable.Refused as error:
        yield f"{error}. Nothing is done there: declare a path whose folders are root's alone"
        return
    except OSError:
        return
    try:
        folder = machine_path(machine, os.readlink(f"/proc/self/fd/{place}"))
        if os.fstatvfs(place).f_flag & os.ST_RDONLY:
            yield f"the file system of {folder} is read-only. Mount it with rw; if its errors made it so, see dmesg"
        yield from _attributes(place, ".", folder)
        if not missing:
            yield from _attributes(place, os.path.basename(path), path)
        if any(mount.path == path for mount in block.mounts(machine)) and not os.path.isdir(machine.path(path)):
            yield f"{path} is itself mounted there, so nothing can take its place. Unmount it"
    finally:
        os.close(place)


def machine_path(machine: Machine, real: str) -> str:
    """A path of this process as one of the machine."""
    root = os.path.realpath(machine.root)
    return real if root == "/" else real[len(root):] or "/"


def _attributes(place: int, name: str, path: str) -> Iterator[str]:
    """The attributes that keep root itself from changing a file, or a folder's names."""
    found = flags(place, name)
    for flag, (letter, word) in ATTRIBUTES.items():
        if found & flag:
            yield f"{path} has the attribute {letter} ({word}), so that nobody changes it. Take it away with `chattr -{letter} {path}`"


def flags(place: int, name: str) -> int:
    """The attributes of a file or directory, as lsattr(1) shows them; none where it has none, or its file system knows of none."""
    try:
        mode = os.lstat(name, dir_fd=place).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return 0
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    except OSError:
        return 0
    try:
        # A long by its number, an int by what the kernel writes (ioctl_iflags(2)).
        return struct.unpack_from("=I", fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8)))[0]
    except OSError:
        return 0
    finally:
        os.close(descriptor)
