#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: configuration
short_description: Writes the configuration of a node, all of it in one call
version_added: 0.1.0
description:
  - Makes directories, writes files and blocks in files of others, and the files of kernel modules, kernel parameters and limits;
    then has the kernel, systemd and the units that read them do so.
  - One call does what a task for each file would do, each of which costs a node a start of Python. What is written is on the disk
    before anything is told to read it, and nothing is marked as read before it was.
  - The role P(onecc.cluster.apply#role) calls it with the resources that M(onecc.cluster.drift) found to differ. Resources come
    complete, as C(apply) of that module's result has them.
  - Refuses to put a file or a directory where something of another type is, before it writes anything.
options:
  resources:
    description:
      - Lists of resources by kind. Kinds are C(kernel_modules), C(sysctls), C(limits), C(directories), C(files) and C(blocks);
        others are passed over.
    type: dict
    required: true
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: What differs?
  onecc.cluster.drift:
    state:
      sysctls:
        - name: vm.zone_reclaim_mode
          value: "1"
      files:
        - path: /etc/motd
          content: "Drained on Sundays.\n"
  register: found

- name: Mend it
  onecc.cluster.configuration:
    resources: "{{ found.apply.state | default({}) }}"
"""

RETURN = r"""
written:
  description: Paths of the files and directories that were made, written or given another owner, group or mode.
  returned: always
  type: list
  elements: str
  sample: [/etc/motd]
"""

import os
import shutil
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import blocks
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds._inodes import check_access
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

PLAIN = {"owner": "root", "group": "root", "mode": "0644"}


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


def conflicts(machine: Machine, directories: list[dict], files: list[Wanted]) -> list[str]:
    """What is in the way, and would be lost."""
    found = []
    for path, is_right, what in [
        *((item["path"], os.path.isdir, "a directory") for item in directories), *((file.path, os.path.isfile, "a file") for file in files),
    ]:
        real = machine.path(path)
        if os.path.lexists(real) and (os.path.islink(real) or not is_right(real)):
            found.append(f"{path} is to be {what}, and is something else. Nothing is done to it: move it away, or declare another path.")
    return found


class Node:
    """Makes the changes. Each is whole or not there, whatever moment the power fails."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.machine = Machine()
        self.written: list[str] = []
        self.diff: list[dict] = []

    def command(self, *argv: str) -> None:
        rc, stdout, stderr = self.module.run_command(list(argv))
        if rc:
            self.module.fail_json(msg=f"{' '.join(argv)} failed: {(stderr or stdout).strip()}", written=self.written)

    def directory(self, item: dict) -> None:
        exists = os.path.isdir(item["path"])
        differs = not exists or bool(list(check_access("directory", item["path"], os.lstat(item["path"]), item)))
        if differs and not self.module.check_mode:
            os.makedirs(item["path"], exist_ok=True)
            self.access(item["path"], item)
            durable.flush(os.path.dirname(item["path"]))
        if differs:
            self.note(item["path"], "" if not exists else "with another owner, group or mode\n", "as declared\n")

    def file(self, file: Wanted) -> None:
        before = self.machine.text(file.path, "surrogateescape")
        access = bool(before is not None and file.access and list(check_access("file", file.path, os.lstat(file.path), file.access)))
        if before == file.text and not access:
            return
        if not self.module.check_mode:
            if before != file.text:
                durable.write(file.path, file.text, 0o600 if file.access else 0o644)
            if file.access:
                self.access(file.path, file.access)
        self.note(file.path, before or "", file.text)

    def access(self, path: str, item: dict) -> None:
        try:
            for field in ("owner", "group"):
                name = item[field]
                shutil.chown(path, **{"user" if field == "owner" else field: int(name) if name.isdecimal() else name})
        except LookupError:
            self.module.fail_json(msg=f"{path}: {field} is {name!r}, and the node knows no such name", written=self.written)
        os.chmod(path, int(item["mode"], 8))
        durable.flush(path)

    def note(self, path: str, before: str, after: str) -> None:
        self.written.append(path)
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


def converge(module: AnsibleModule) -> dict:
    """Mends what differs, and returns the module's result."""
    node, resources = Node(module), module.params["resources"]
    directories, files = resources.get("directories", []), wanted_files(node.machine, resources)
    if wrong := conflicts(node.machine, directories, files):
        module.fail_json(msg="\n".join(wrong))
    for item in directories:
        node.directory(item)
    for file in files:
        node.file(file)
    effective = any(resources.get(kind) for kind in ("kernel_modules", "sysctls", "limits")) or any(
        item.get("unit") for item in resources.get("files", [])
    )
    if effective and not module.check_mode:
        node.take_effect(resources)
    return {"changed": bool(node.written or effective), "written": node.written, "diff": node.diff}


def main() -> None:
    module = AnsibleModule(argument_spec={"resources": {"type": "dict", "required": True}}, supports_check_mode=True)
    with durable.locked("configuration"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
