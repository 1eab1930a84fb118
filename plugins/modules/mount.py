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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import mounts
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, mount_units, specs, storage


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
        module.exit_json(**mounts.converge(module))


if __name__ == "__main__":
    main()
