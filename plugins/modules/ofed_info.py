#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ofed_info
short_description: Says who provides a node's RDMA stack, what of it runs, and what a change of the provider takes
version_added: 0.1.0
description:
  - Reads who provides the RDMA stack (the distribution, DOCA-OFED or MLNX_OFED), the version of the loaded C(mlx5_core), the firmware of
    the adapters, and how they reach the memory of GPUs.
  - With O(provider), also which packages go and which get other versions when the node changes to it; fails where the node has another
    provider that O(replace) does not name. Changes nothing itself.
options:
  provider:
    description:
      - The provider that the node is to have. V(detect) is the one that it has.
    type: str
    choices: [detect, inbox, doca, mlnx_ofed]
    default: detect
  replace:
    description:
      - Providers that may be replaced.
    type: list
    elements: str
    choices: [inbox, doca, mlnx_ofed]
    default: []
  packages:
    description:
      - The packages of O(provider), with the options of the packages of M(onecc.cluster.package_set).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the package.
        type: str
        required: true
      version:
        description: Its version.
        type: str
      hold:
        description: Whether it is held.
        type: bool
        default: true
      family:
        description: The packages that have to be of the same version.
        type: str
      running:
        description: What of the package has to run.
        type: str
        choices: [none, driver, kernel]
        default: none
  persistent_names:
    description:
      - The rule by which RDMA devices are to be named. Without it, any names will do.
    type: str
    choices: [pci, guid, fallback, kernel]
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._read_only
"""

EXAMPLES = r"""
- name: Which OFED is this, and which firmware?
  onecc.cluster.ofed_info:

- name: What would it take to have DOCA-OFED?
  onecc.cluster.ofed_info:
    provider: doca
    replace: [mlnx_ofed]
"""

RETURN = r"""
provider:
  description: Who provides the RDMA stack, V(inbox), V(doca) or V(mlnx_ofed); null where there is none.
  returned: always
  type: str
version:
  description: Its version; of OFED the release.
  returned: always
  type: str
  sample: 25.10-1.2.8
mlx5_core:
  description: The version that the loaded C(mlx5_core) says it has; empty where it says none, null where it is not loaded.
  returned: always
  type: str
gpudirect:
  description: How adapters reach the memory of GPUs; null where the node has no NVIDIA driver.
  returned: always
  type: dict
  contains:
    dmabuf:
      description: Whether DMA-BUF is possible.
      type: bool
    obstacles:
      description: Why it is not; empty where it is.
      type: list
      elements: str
    peermem:
      description: Whether C(nvidia_peermem) is in use, or could be.
      type: bool
    in_use:
      description: What programs find, V(peermem), V(dmabuf) or null. NCCL takes DMA-BUF where both are there.
      type: str
firmware:
  description: Device, board and firmware version of each adapter. It is never changed.
  returned: always
  type: list
  elements: dict
  sample:
    - device: mlx5_1
      board: MT_0000000838
      version: 28.39.2048
reboot_reasons:
  description: Why the node needs a reboot; empty where what is installed runs.
  returned: always
  type: list
  elements: str
replacing:
  description: What a change of the provider takes; null where there is nothing to replace.
  returned: always
  type: dict
  contains:
    packages:
      description: The set for M(onecc.cluster.package_set), O(packages) and those that go back to the distribution's version.
      type: list
      elements: dict
    remove:
      description: Packages that are to be removed.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import ofed_change
from ansible_collections.onecc.cluster.plugins.module_utils._node import gpudirect, ofed, package_locks, package_sets, rdma_names
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def reboot_reasons(machine: Machine, stack: ofed.Stack, rule: str | None) -> list[str]:
    others = rdma_names.others(machine, rule) if rule else []
    return [
        *filter(None, [ofed.reboot_reason(machine, stack)]), *([rdma_names.reboot_reason(others, rule)] if others else []),
    ]


def info(module: AnsibleModule, machine: Machine) -> dict:
    """The module's result."""
    stack = ofed.Stack(machine)
    return {
        "changed": False,
        "provider": stack.provider,
        "version": stack.version or None,
        "mlx5_core": machine.attribute(f"{ofed.MLX5}/version") if machine.exists(ofed.MLX5) else None,
        "gpudirect": gpudirect.ways(machine),
        "firmware": package_locks.firmware(machine),
        "reboot_reasons": reboot_reasons(machine, stack, module.params["persistent_names"]),
        "replacing": ofed_change.replacing(module, machine, stack),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "provider": {"type": "str", "choices": [ofed.DETECT, *ofed.PROVIDERS], "default": ofed.DETECT},
            "replace": {"type": "list", "elements": "str", "choices": list(ofed.PROVIDERS), "default": []},
            "packages": {"type": "list", "elements": "dict", "default": [], "options": package_sets.LOCKED_PACKAGE},
            "persistent_names": {"type": "str", "choices": list(rdma_names.PATTERNS)},
        },
        supports_check_mode=True,
    )
    module.exit_json(**info(module, Machine()))


if __name__ == "__main__":
    main()
