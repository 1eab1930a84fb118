# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Directories: their owner, group and mode. What is in them is not looked at."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access, in_the_way, inode_of, systems_own
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for directory in resources:
        path = directory["path"]
        inode = inode_of(machine, path)
        if inode is None:
            yield difference(path, "exists", False, True, f"directory {path} does not exist")
            continue
        if other := in_the_way(machine, path, directory=True):
            yield other
            continue
        found = list(check_access("directory", path, inode, directory))
        if found and (why := systems_own(path)):
            words = f"{'; '.join(item['message'] for item in found)}. {why}, and stays as it is: declare another path, or it as it is"
            found = [difference(path, "system", True, False, words, remedy="manual")]
        yield from found
