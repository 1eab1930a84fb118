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
