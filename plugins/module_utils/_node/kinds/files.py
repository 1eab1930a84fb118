# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Files: whole contents, owner, group and mode, and whether the unit that reads a file has done so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access, in_the_way, inode_of
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {
    "path": {"type": "str", "required": True},
    # The content, or the name of a template file of the role, which is rendered into it.
    "content": {"type": "str"},
    "template": {"type": "str"},
    **specs.ACCESS,
    "mode": {"type": "str", "default": "0644"},
    # The unit that reads the file, and has to do so again when it changes.
    "unit": {"type": "str"},
    **specs.WHERE,
}
PATTERNS = {"path": specs.PATH, "mode": specs.MODE, "unit": specs.UNIT}


def complete(resources: list[dict], _state: dict[str, list[dict]]) -> None:
    """The hash by which the node recognises a content, and where it is noted that a unit has read it."""
    for file in resources:
        file["sha256"] = hashlib.sha256(file["content"].encode()).hexdigest()
        if file["unit"]:
            # Below /run, which a boot empties; not in /run/onecc, where only root may look.
            file["stamp"] = "/run/onecc-read/" + file["path"].strip("/").replace("/", "-")


def read(machine: Machine, file: dict, written: float) -> bool:
    """Whether the unit of a file has read it as it is: since it was told to, which is noted, or at the boot, which reads all."""
    if machine.text(file["stamp"]) == file["sha256"]:
        return True
    boot = re.search(r"^btime (\d+)$", machine.text("/proc/stat") or "", re.MULTILINE)
    # The time of the boot has no fractions.
    return boot is not None and written < int(boot[1]) + 1


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for file in resources:
        path = file["path"]
        inode = inode_of(machine, path)
        if inode is None:
            yield difference(path, "exists", False, True, f"file {path} does not exist")
            continue
        if other := in_the_way(machine, path):
            yield other
            continue
        found = hashlib.sha256(machine.data(path) or b"").hexdigest()
        if found != file["sha256"]:
            yield difference(path, "content", found, file["sha256"], f"file {path}: its content differs")
        yield from check_access("file", path, inode, file)
        if file.get("unit") and found == file["sha256"] and not read(machine, file, inode.st_mtime):
            yield difference(path, "read", False, True, f"file {path}: {file['unit']} has not read it since it was written")
