#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_lock
short_description: Reads a node's exact set of packages as a lock
version_added: 0.1.0
description:
  - Reads which packages are installed, at which versions, from whom, and which are held; and the kernel, the NVIDIA driver, the OFED and
    the firmware of the HCAs that run. Changes nothing.
  - The lock is a short text that is the same for nodes that are alike, so that C(diff) shows what two nodes, or two days, have not in common.
  - A set can be declared from it, by C(lambda_stack_lock) of the role P(onecc.cluster.lambda_stack#role) or the filter
    P(onecc.cluster.locked_packages#filter).
options:
  patterns:
    description:
      - Patterns of the names of packages, as a shell has them for files. Only these are in the lock.
      - Without it, what comes from Lambda's, NVIDIA's or Mellanox' sources, and the packages of the running kernel.
    type: list
    elements: str
    default: []
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._read_only
"""

EXAMPLES = r"""
- name: Read what the reference node has
  onecc.cluster.package_lock:
  register: found

- name: Keep it
  ansible.builtin.copy:
    content: "{{ found.text }}"
    dest: reference.lock.yml
    mode: "0644"
  delegate_to: localhost

- name: Read the versions of what this cluster runs jobs with
  onecc.cluster.package_lock:
    patterns: [slurm*, "*pmix*", munge]
"""

RETURN = r"""
text:
  description: The lock as YAML.
  returned: always
  type: str
lock:
  description: The same as data.
  returned: always
  type: dict
  contains:
    schema:
      description: Number of the format.
      type: int
    system:
      description: Distribution and version.
      type: str
    architecture:
      description: Architecture of the node.
      type: str
    kernel:
      description: The kernel that runs.
      type: str
    driver:
      description: The version of NVIDIA's driver that runs.
      type: str
    ofed:
      description: What C(ofed_info -s) says; null where the distribution's own stack is used.
      type: str
    firmware:
      description: Device, board and firmware of each HCA.
      type: list
      elements: dict
    packages:
      description: Name, version, architecture, origin and hold of each package, by name.
      type: list
      elements: dict
  sample:
    schema: 1
    system: ubuntu 22.04
    architecture: amd64
    kernel: 5.15.0-105-generic
    driver: 570.148.08
    ofed: null
    firmware: [{device: mlx5_0, board: MT_0000000838, version: 28.39.1002}]
    packages:
      - {name: libnccl2, version: 2.26.2-0lambda0.22.04.1, architecture: amd64, origin: lambdalabs.com, hold: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import package_locks
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def main() -> None:
    module = AnsibleModule(argument_spec={"patterns": {"type": "list", "elements": "str", "default": []}}, supports_check_mode=True)
    lock = package_locks.read(Machine(), module.params["patterns"])
    module.exit_json(changed=False, lock=lock, text=package_locks.text(lock))


if __name__ == "__main__":
    main()
