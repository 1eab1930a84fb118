# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Configuration: directories, files, blocks, and the files of kernel modules, kernel parameters and limits."""

from __future__ import annotations

import grp
import pwd
import stat
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, obstacles
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import blocks
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import directories as directories_kind
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access, in_the_way, inode_of
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

PLAIN = {"owner": "root", "group": "root", "mode": "0644"}
HIDDEN = "not shown: not everybody on the node may read it\n"


class Wanted(NamedTuple):
    """A file as it should be; `access` has its owner, group and mode, empty where they are somebody else's."""

    path: str
    text: str
    access: dict


def wanted_files(machine: Machine, resources: dict) -> list[Wanted]:
    """Every file that the resources are made of, whole."""
    loaded_early = [item for item in resources.get("kernel_modules", []) if not item.get("unit")]
    found = [Wanted(item["file"], item["content"], PLAIN) for item in (*loaded_early, *resources.get("sysctls", []))]
    found += [Wanted(file["path"], file["content"], PLAIN) for limit in resources.get("limits", []) for file in limit["files"]]
    found += [Wanted(item["path"], item["content"], item) for item in resources.get("files", [])]
    for block in resources.get("blocks", []):
        found.append(Wanted(block["path"], blocks.replaced(machine.text(block["path"], "surrogateescape") or "", block["content"]), {}))
    return found


def objections(machine: Machine, resources: dict, mended: frozenset[str]) -> Iterator[str]:
    """Why it cannot all be done, looked for before anything is done. `mended` are directories that are root's by then."""
    directories = resources.get("directories", [])
    named = [item for kind in ("files", "blocks", "kernel_modules", "sysctls", "limits") for item in resources.get(kind, [])]
    files = [path for item in named for path in obstacles.files(machine, item, set())]
    for path in (*files, *(item["path"] for item in directories)):
        whose = obstacles.stranger(machine, path)
        if whose and whose.folder not in mended:
            yield f"{path}: {whose}. Nothing is done there: declare a path whose folders are root's alone"
            continue
        if not whose:
            yield from obstacles.obstacles(machine, path)
        if path in files and (other := in_the_way(machine, path)):
            yield other["message"]
    for item in resources.get("blocks", []):
        if wrong := blocks.wrong_content(item["content"]):
            yield f"{item['path']}: {wrong}"
    for item in (*directories, *resources.get("files", [])):
        try:
            numbers(item)
        except KeyError as error:
            yield f"{item['path']}: {error.args[0]}"
    yield from (item["message"] for item in directories_kind.check(machine, directories) if item["remedy"] == "manual")


def numbers(item: dict) -> durable.Access:
    """A declared owner, group and mode by their numbers. Raises KeyError with a line about a name that the node does not know."""
    found = []
    for field, known in (("owner", lambda name: pwd.getpwnam(name).pw_uid), ("group", lambda name: grp.getgrnam(name).gr_gid)):
        try:
            found.append(int(item[field]) if item[field].isdecimal() else known(item[field]))
        except KeyError:
            raise KeyError(f"{field} is {item[field]!r}, and the node knows no such name. Make it there first, or declare another") from None
    return durable.Access(*found, int(item["mode"], 8))


class Node:
    """Makes the changes. Each is whole or not there, whatever moment the power fails."""

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.machine = Machine()
        self.diff: list[dict] = []

    def command(self, *argv: str) -> None:
        rc, stdout, stderr = self.hand.run_command(list(argv))
        if rc:
            self.hand.fail_json(msg=f"{' '.join(argv)} failed: {(stderr or stdout).strip()}")

    def directory(self, item: dict) -> None:
        inode = inode_of(self.machine, item["path"])
        if inode and not list(check_access("directory", item["path"], inode, item)):
            return
        if not self.hand.check_mode:
            durable.directory(item["path"], numbers(item))
        self.note(item["path"], "with another owner, group or mode\n" if inode else "", "as declared\n")

    def file(self, file: Wanted) -> None:
        before, inode = self.machine.text(file.path, "surrogateescape"), inode_of(self.machine, file.path)
        if before == file.text and not list(check_access("file", file.path, inode, file.access)):
            return
        if not self.hand.check_mode and file.access:
            durable.put(file.path, file.text, numbers(file.access))
        elif not self.hand.check_mode:
            durable.write(file.path, file.text, 0o644)
        modes = [int(file.access["mode"], 8)] if file.access else []
        modes += [stat.S_IMODE(inode.st_mode)] if inode else []
        if all(mode & 0o004 for mode in modes):
            self.note(file.path, before or "", file.text)
        else:
            self.note(file.path, HIDDEN if inode else "", HIDDEN)

    def note(self, path: str, before: str, after: str) -> None:
        self.diff.append({"before_header": path, "after_header": path, "before": before, "after": after})

    def take_effect(self, resources: dict) -> None:
        """Has everybody read what was written. Done again whole by the next run if this one is cut."""
        for item in resources.get("kernel_modules", []):
            self.command("modprobe", "--", item["name"])
        for item in resources.get("sysctls", []):
            self.command("sysctl", "--quiet", "--load", item["file"])
        if resources.get("limits"):
            # systemd keeps running as it is, services and all; what starts from now on gets the limits.
            self.command("systemctl", "daemon-reexec")
        read = [item for item in resources.get("files", []) if item.get("unit")]
        for unit in dict.fromkeys(item["unit"] for item in read):
            self.command("systemctl", "try-reload-or-restart", "--", unit)
        for item in read:
            durable.write(item["stamp"], item["sha256"], 0o644)


def refuse(hand: Hand, resources: dict, directories: list[dict]) -> None:
    """Fails where it cannot all be done. `directories` are all that are declared: some of them are root's only once they are mended."""
    if wrong := list(objections(Machine(), resources, obstacles.roots_own(directories))):
        hand.fail_json(msg="\n".join(["Nothing was changed.", *wrong]))


def change(hand: Hand, resources: dict) -> list[dict]:
    """Mends what differs of resources by kind, and returns a diff of each file."""
    node = Node(hand)
    for item in resources.get("directories", []):
        node.directory(item)
    for file in wanted_files(node.machine, resources):
        node.file(file)
    if not hand.check_mode:
        node.take_effect(resources)
    return node.diff
