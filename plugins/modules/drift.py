#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drift
short_description: Compares a node with its declared state, in one round trip
version_added: 0.1.0
description:
  - Renders the declared state of roles of this collection, or a state given inline, with the host's variables.
  - Sends it to the node, over the play's own connection and in one round trip, and gets back what differs, resource by resource.
  - Nothing that is declared is changed. The program that compares is sent once (about 100 KB, a second round trip), and kept on the node in
    C(~/.ansible/onecc.cluster) of the user that it runs as, for that user alone; a later comparison sends 2 to 4 KB, or 7 KB where
    a lock of 400 packages is declared. Where it cannot be kept it is sent each time. The folder may be removed at any time.
  - The node needs Python 3.9 and no package. Run it with C(become), because most of a state can only be read by root.
options:
  fail_on_drift:
    description:
      - Fail where the node is not in the declared state.
    type: bool
    default: false
  preflight:
    description:
      - Looks in the same round trip for what would make a change fail in its middle, and fails a node that differs and on which
        there is such a problem. So a play whose first task this is lists the problems of all its nodes before it changes one of them.
      - A node in the declared state is not failed; its problems are in the result.
      - "It looks at: the distribution (Ubuntu 22.04 and 24.04, Debian 12), the version of Python, the rights of root, free space in
        C(/), C(/var) and C(/boot), the clock against the controller's, and whether another run of Ansible is at work on the node."
      - Where the node differs, it first waits up to five minutes for such a run to end, and compares again.
      - A run that works as root without C(become), or is between two of its tasks, is not seen. The modules of this collection
        that write have locks for that.
    type: bool
    default: false
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._state
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: Shows a line for each difference.
    support: full
"""

EXAMPLES = r"""
- name: Which nodes are no longer what they were declared to be?
  onecc.cluster.drift:
  become: true

- name: Stop where a node's scratch volume is not in state
  onecc.cluster.drift:
    roles: [nvme_raid]
    fail_on_drift: true
  become: true

- name: See that nothing stands in the way, before the first change to any node
  onecc.cluster.drift:
    preflight: true
  become: true

- name: Compare with a state of one's own
  onecc.cluster.drift:
    state:
      packages:
        - name: chrony
      units:
        - name: chrony.service
          enabled: true
          active: true
      sysctls:
        - name: vm.zone_reclaim_mode
          value: "1"
  become: true
"""

RETURN = r"""
drift:
  description: What differs, an entry for each field of a resource; empty where the node is in state.
  returned: always
  type: list
  elements: dict
  contains:
    role:
      description: The role that declares the resource; V(state) for a state given inline.
      type: str
    kind:
      description: Kind of the resource.
      type: str
    name:
      description: Name or path of the resource.
      type: str
    field:
      description: What of the resource differs.
      type: str
    is:
      description: What it is.
      type: raw
    should:
      description: What is declared.
      type: raw
    message:
      description: The same in one line for a person.
      type: str
    remedy:
      description:
        - What takes the difference away. V(apply) is M(onecc.cluster.converge), V(reboot) is a reboot, V(manual) is a person, because it is
          about hardware, or because it would destroy something that the declared state does not name.
      type: str
  sample:
    - role: nvme_raid
      kind: packages
      name: mdadm
      field: installed
      is: false
      should: true
      message: package mdadm is not installed
      remedy: apply
compared:
  description: The roles that were compared; V(state) for a state given inline.
  returned: always
  type: list
  elements: str
roles:
  description: The roles in which the node differs, in the order of applying.
  returned: always
  type: list
  elements: str
preflight:
  description: The problems that were found on the node, with or without drift; empty where there are none.
  returned: when O(preflight) is true, and where the user has no root rights
  type: list
  elements: dict
  contains:
    field:
      description: What it is about, V(system), V(python), V(rights), V(clock), V(running), or V(space) and a folder.
      type: str
    is:
      description: What it is.
      type: raw
    should:
      description: What it should be, or at least should be.
      type: raw
    message:
      description: The same in a line for a person, and what to do about it.
      type: str
  sample:
    - field: space /boot
      is: 12
      should: 71
      message: "/boot: 12 MiB are free; 71 MiB are needed. See `du -xm /boot | sort -n | tail`"
schema:
  description: Number of this result's form. It grows when a program that reads it must change.
  returned: always
  type: int
"""
