#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mount
short_description: Mounts a file system by a systemd mount unit of its own
version_added: 0.1.0
description:
  - Writes, enables and starts a mount unit, so that the mount is there now and after every boot. A missing device or server
    does not hold up the boot.
  - The mount can rest on an array that M(onecc.cluster.nvme_raid) keeps. The node itself then says which device that
    is. Where the node has no spare drive, the mount is a plain directory.
  - A server that does not answer is named, within seconds.
  - Never hides files. A mount point that is not empty, or where something else is mounted, makes the module fail.
  - Lines of C(/etc/fstab) for the same mount point are commented out, because they would compete with the unit.
options:
  path:
    description:
      - Mount point.
    type: str
    required: true
  array:
    description:
      - The array that the mount rests on, with the options of M(onecc.cluster.nvme_raid). Excludes O(source).
    type: dict
    suboptions:
      name:
        description: Name of the array.
        type: str
        required: true
      layout:
        description: Declared layout.
        type: str
        choices: [auto, array, drive, directory]
        default: auto
      drives:
        description: Declared number of drives.
        type: int
      chunk_kib:
        description: Declared chunk in KiB.
        type: int
        default: 512
      ignore:
        description: Serial numbers of drives that are not for the array.
        type: list
        elements: str
        default: []
      rebuild:
        description: UUIDs that may be destroyed and made anew.
        type: list
        elements: str
        default: []
      overwrite:
        description: Serial numbers of drives that may be overwritten.
        type: list
        elements: str
        default: []
      recreate:
        description: Whether it is made anew where all its drives are blank.
        type: bool
        default: false
      adopt:
        description: Whether an array of this name is taken over.
        type: bool
        default: false
  source:
    description:
      - Device, export or tag to mount, as mount(8) takes it.
    type: str
  fstype:
    description:
      - Type of the file system. V(detect) takes the type, the source and the options that the node knows already, by what
        is mounted, a unit or a line of C(/etc/fstab); else it is virtiofs with O(source) as its tag.
      - Types V(nfs), V(nfs4) and V(virtiofs) are mounted in 30 seconds or not at all, and never wait for a server longer.
    type: str
    required: true
  options:
    description:
      - Mount options. C(nofail) is always among them.
    type: list
    elements: str
    default: []
  owner:
    description:
      - Owner of the mounted directory. Without it, the owner stays as it is.
    type: str
  group:
    description:
      - Group of the mounted directory. Without it, the group stays as it is.
    type: str
  mode:
    description:
      - Mode of the mounted directory, octal and in quotes. Without it, the mode stays as it is.
    type: str
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do, also before the device exists.
    support: full
  diff_mode:
    description: Shows what differs, a line each.
    support: full
"""

EXAMPLES = r"""
- name: Mount the scratch volume
  onecc.cluster.mount:
    path: /scratch
    array:
      name: scratch
    fstype: xfs
    options: [noatime]
    owner: root
    group: root
    mode: "1777"

- name: Mount an export
  onecc.cluster.mount:
    path: /lambda/nfs/shared
    source: 10.0.0.2:/shared
    fstype: nfs4
"""

RETURN = r"""
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
"""

import grp
import os
import pwd
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, mount_units, patience, specs, storage
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import mended
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# The mount point itself, while nothing is mounted on it: a job that then writes there fails instead of filling the
# root disk.
BARE_MOUNT_POINT_MODE = 0o700


def systemctl(module: AnsibleModule, *arguments: str, why: Callable[[], str | None] = lambda: None) -> None:
    """Runs systemctl. Where it fails, `why` is asked for a cause that a person understands, to say it first."""
    rc, stdout, stderr = module.run_command(["systemctl", *arguments], environ_update={"LC_ALL": "C"})
    if rc:
        unit = arguments[-1]
        _rc, journal, _err = module.run_command(["journalctl", "--unit", unit, "--lines", "5", "--output", "cat", "--no-pager"])
        said = " ".join(f"{stderr or stdout} {journal}".split())
        cause = why()
        first = f"{cause}. It is mounted at the next run or boot that finds it. " if cause else ""
        module.fail_json(msg=f"mount {module.params['path']}: {first}systemctl {' '.join(arguments)} failed: {said}")


def without_fstab_lines(text: str, lines: list[str]) -> str:
    """fstab with these lines commented out."""
    return "\n".join(
        "# onecc.cluster mounts this by a unit: " + line if line in lines else line for line in text.split("\n")
    )


def mount(module: AnsibleModule, machine: Machine, wanted: dict, source: str, fields: set[str]) -> None:
    """Writes the unit where it differs, and mounts, or takes over changed options."""
    path, unit = wanted["path"], mount_units.unit_name(wanted["path"])
    mounted = mount_units.top(machine, path)
    if not mounted and not os.path.isdir(path):
        durable.directory(path, durable.Access(mode=BARE_MOUNT_POINT_MODE))
    durable.write(f"{mount_units.UNITS}/{unit}", mount_units.unit_text(wanted, source), 0o644)
    fstab = machine.text("/etc/fstab", "surrogateescape") or ""
    if lines := mount_units.fstab_lines(fstab, path):
        durable.write("/etc/fstab", without_fstab_lines(fstab, lines), 0o644)
    systemctl(module, "daemon-reload")
    systemctl(module, "reenable", unit)
    if not mounted:
        systemctl(module, "start", unit, why=lambda: mount_units.silence(machine, wanted))
    # A server's file system that has the declared options is left alone: a remount asks the server, and may be refused.
    elif fields & ({"options"} if wanted["fstype"] in specs.NETWORK else {"options", "unit"}):
        systemctl(module, "reload", unit)


def access(module: AnsibleModule) -> durable.Access:
    """The declared owner, group and mode by their numbers."""
    params = module.params
    try:
        owner = _number(params["owner"], lambda name: pwd.getpwnam(name).pw_uid)
        group = _number(params["group"], lambda name: grp.getgrnam(name).gr_gid)
    except KeyError:
        names = " or ".join(f"{field} {params[field]!r}" for field in ("owner", "group") if params[field])
        module.fail_json(msg=f"mount {params['path']}: the node does not know the {names}. Make it there first, or declare another")
    return durable.Access(owner, group, int(params["mode"], 8) if params["mode"] else None)


def set_access(module: AnsibleModule, wanted: durable.Access) -> None:
    """Gives it to the directory that is now at the path, and waits until it is on the disk."""
    path = module.params["path"]
    if wanted == durable.Access():
        return
    try:
        # The server of a file system may go away under way.
        patience.within(mount_units.MOUNT_SECONDS, lambda: durable.directory(path, wanted))
    except TimeoutError:
        module.fail_json(msg=f"mount {path}: it is mounted, and does not answer, so owner, group and mode may not be as declared. Is its server up?")
    except OSError as error:
        module.fail_json(msg=f"mount {path}: owner, group or mode cannot be changed: {error.strerror}")


def _number(name: str | None, known: Callable[[str], int]) -> int:
    """The number of a user or group; -1, which chown(2) leaves as it is, for none."""
    if not name:
        return -1
    return int(name) if name.isdecimal() else known(name)


def converge(module: AnsibleModule) -> dict:
    """Mends what differs, and returns the module's result."""
    machine, params = Machine(), module.params
    differences = list(mount_units.check(machine, params))
    if refused := [item["message"] for item in differences if item.get("refused")]:
        module.fail_json(msg="\n".join(refused), differences=differences)
    if differences and not module.check_mode:
        wanted = mount_units.detected(machine, params)  # before fstab changes
        access_ = access(module)
        rests_on = mount_units.target(machine, wanted)
        if rests_on.directory:
            durable.directory(params["path"], access_)
        elif rests_on.source:
            mount(module, machine, wanted, rests_on.source, {item["field"] for item in differences})
        else:
            module.fail_json(msg=f"mount {params['path']}: the array {params['array']['name']} has no file system yet.")
        set_access(module, access_)
    return mended(differences)


def main() -> None:
    module = AnsibleModule(
        argument_spec=specs.MOUNT,
        mutually_exclusive=[("array", "source")],
        required_one_of=[("array", "source")],
        supports_check_mode=True,
    )
    if wrong := mount_units.invalid(module.params):
        module.fail_json(msg=wrong)
    if module.params["array"] and (wrong := storage.invalid(module.params["array"])):
        module.fail_json(msg=f"array: {wrong}")
    with durable.turn(module, "mount"):
        module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
