# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What files and directories have in common: an owner, a group and a mode."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# The directories that Debian's base-files and init make: file-hierarchy(7). Whoever changes their access changes the system's.
SYSTEM = frozenset(
    ("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin",
     "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/log", "/var/tmp")
)


def owner_of(inode: os.stat_result) -> tuple[str, str]:
    """The names of owner and group; the number where a number has no name."""
    try:
        user = pwd.getpwuid(inode.st_uid).pw_name
    except KeyError:
        user = str(inode.st_uid)
    try:
        group = grp.getgrgid(inode.st_gid).gr_name
    except KeyError:
        group = str(inode.st_gid)
    return user, group


def inode_of(machine: Machine, path: str) -> os.stat_result | None:
    """What lstat(2) says of a path, None where nothing is there."""
    try:
        return os.lstat(machine.path(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def in_the_way(machine: Machine, path: str, directory: bool = False) -> dict | None:
    """A difference where something else than a file (or a directory) is at its path, which would be lost; else None."""
    inode, what = inode_of(machine, path), "a directory" if directory else "a regular file"
    if inode is None or (stat.S_ISDIR if directory else stat.S_ISREG)(inode.st_mode):
        return None
    message = f"{path} is not {what}. Nothing is done to it: move it away, or declare another path"
    return difference(path, "type", "other", "directory" if directory else "file", message, remedy="manual")


def systems_own(path: str) -> str | None:
    """Why the access of a directory is not changed; None where it may be."""
    if os.path.normpath(path) not in SYSTEM:
        return None
    return f"{path} is the system's own directory"


def check_access(what: str, name: str, inode: os.stat_result, declared: dict) -> Iterator[dict]:
    """Compares owner, group and mode with those that `declared` names. Owner and group may be declared by number."""
    user, group = owner_of(inode)
    user = str(inode.st_uid) if (declared.get("owner") or "").isdecimal() else user
    group = str(inode.st_gid) if (declared.get("group") or "").isdecimal() else group
    found = {"owner": user, "group": group, "mode": f"{stat.S_IMODE(inode.st_mode):04o}"}
    for field, value in found.items():
        should = declared.get(field)
        if field == "mode" and should:
            should = f"{int(should, 8):04o}"
        if should and value != should:
            yield difference(name, field, value, should, f"{what} {name}: {field} is {value}, declared is {should}")
