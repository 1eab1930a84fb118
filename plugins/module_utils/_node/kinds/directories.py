# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Directories: their owner, group and mode. What is in them is not looked at."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access, in_the_way, inode_of, systems_own
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"path": {"type": "str", "required": True}, **specs.ACCESS, "mode": {"type": "str", "default": "0755"}, **specs.WHERE}
PATTERNS = {"path": specs.PATH, "mode": specs.MODE}


def complete(resources: list[dict], state: dict[str, list[dict]]) -> None:
    """Refuses what is declared in a directory that others than root write in: the node would not go through it (durable.walk). Raises ValueError."""
    paths = [item["path"] for kind in ("files", "blocks", "directories") for item in state.get(kind, [])]
    for directory in resources:
        mode = int(directory["mode"], 8)
        others = mode & 0o002 or mode & 0o020 and directory["group"] not in ("root", "0")
        if directory["owner"] in ("root", "0") and (not others or mode & 0o1000):
            continue
        if inside := [path for path in paths if path.startswith(directory["path"].rstrip("/") + "/")]:
            raise ValueError(
                f"{directory['path']}: owner {directory['owner']}, group {directory['group']} and mode {directory['mode']} let others "
                f"than root put links there, and root is to write {inside[0]}. Declare it in a directory that is root's alone"
            )


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
