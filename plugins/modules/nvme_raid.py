#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nvme_raid
short_description: Keeps a node's spare NVMe drives as one striped, formatted volume
version_added: 0.1.0
description:
  - Makes one RAID 0 array with an XFS aligned to it of all spare NVMe drives of a node, or an XFS on the only spare drive.
  - A drive is spare when it is a whole NVMe namespace with no mount, partition, holder, swap or signature on it, and blank.
    Of its content the first and the last 4 MiB and 64 samples in between are read; blank are zeros, and the pattern FFh that some drives
    give for discarded blocks. Device names are never looked at, because they change between boots.
  - An array that exists under the declared name is adopted under any md number where it bears all the marks of one that this
    module made (home host V(any), level 0, and an XFS labelled like it); otherwise only with O(adopt). One in state is left alone.
  - A drive that holds anything else, or that is read-only, makes the module fail, and says which drive holds what. Nothing is
    written then.
  - While the array is made, its drives are locked as systemd's "Locking Block Device Access" describes, and what would show
    through the new array is zeroed first; so nobody mounts or assembles what is being made.
  - A run that was cut at any moment, also by a power loss, is taken up by the next run.
  - Needs C(mdadm) and C(xfsprogs) on the node. In check mode it needs neither.
options:
  name:
    description:
      - Name of the array, C(/dev/md/NAME), and label of the file system.
      - A lower-case letter, then up to 11 lower-case letters, digits, V(_) or V(-), as an XFS label has room for 12 bytes.
    type: str
    required: true
  layout:
    description:
      - What is to be made of the drives.
      - V(auto) makes an array of two or more spare drives, a single drive of one, and nothing but a directory of none.
      - V(array), V(drive) and V(directory) declare one of these, and the module fails where the drives do not suit it.
    type: str
    choices: [auto, array, drive, directory]
    default: auto
  drives:
    description:
      - How many drives the volume has. With any other number of spare drives, nothing is made and the module fails.
      - Without it, all spare drives are taken.
    type: int
  chunk_kib:
    description:
      - Chunk of the array in KiB, a power of two from 4 on. The default is that of mdadm.
    type: int
    default: 512
  ignore:
    description:
      - Serial numbers of drives that are not for this volume, whatever they hold.
    type: list
    elements: str
    default: []
  rebuild:
    description:
      - UUIDs of the arrays (or, for a single drive, of the file system) that may be destroyed and made anew.
      - The message that says that an array has lost a drive gives the value.
    type: list
    elements: str
    default: []
  overwrite:
    description:
      - Serial numbers of drives that may be overwritten, whatever they hold. What is in use is never overwritten.
    type: list
    elements: str
    default: []
  recreate:
    description:
      - Whether the volume is made anew where all its drives are blank, as on nodes of a cloud that were stopped and started.
      - As many blank drives have to be there as the volume had, the same ones or others in their place. Nothing can be lost then, so
        it may be set for all nodes at once.
    type: bool
    default: false
  adopt:
    description:
      - Whether an array (or the only drive, by its label) that has no more than the name of the declared one is taken over, with the
        data in it.
    type: bool
    default: false
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do, also on a node without mdadm.
    support: full
  diff_mode:
    description: Shows what differs, a line each.
    support: full
"""

EXAMPLES = r"""
- name: Make one volume of all spare NVMe drives
  onecc.cluster.nvme_raid:
    name: scratch

- name: Exactly eight drives, or nothing
  onecc.cluster.nvme_raid:
    name: scratch
    layout: array
    drives: 8

- name: A drive died, its data is gone, make the volume anew from the others
  onecc.cluster.nvme_raid:
    name: scratch
    rebuild:
      - 6ab0b1d7:9aa07d2e:aa5a0b1f:6f1c2bd4

- name: All nodes were stopped and started, and came back with blank drives
  onecc.cluster.nvme_raid:
    name: scratch
    recreate: true
"""

RETURN = r"""
layout:
  description: What the volume is, V(array), V(drive) or V(directory).
  returned: success
  type: str
  sample: array
device:
  description: The block device under the file system; empty for a directory, and in check mode before it exists.
  returned: success
  type: str
  sample: /dev/md127
filesystem:
  description: UUID of the file system; empty for a directory, and in check mode before it exists.
  returned: success
  type: str
  sample: 0b0f4d3c-2c2e-4a8e-9a1f-5d4d1f1c9a11
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import arrays
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, specs, storage


def main() -> None:
    module = AnsibleModule(argument_spec=specs.ARRAY, supports_check_mode=True)
    if wrong := storage.invalid(module.params):
        module.fail_json(msg=wrong)
    with durable.turn(module, "nvme_raid"):
        module.exit_json(**arrays.converge(module))


if __name__ == "__main__":
    main()
