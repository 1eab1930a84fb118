# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Directories: their owner, group and mode. What is in them is not looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for directory in resources:
        path = directory["path"]
        try:
            inode = os.lstat(machine.path(path))
        except (FileNotFoundError, NotADirectoryError):
            yield difference(path, "exists", False, True, f"directory {path} does not exist")
            continue
        if not stat.S_ISDIR(inode.st_mode):
            yield difference(path, "type", "other", "directory", f"{path} is not a directory")
            continue
        yield from check_access("directory", path, inode, directory)
