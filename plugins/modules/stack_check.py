#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_check
short_description: Loads what a 1-Click Cluster promises its jobs
version_added: 0.1.0
description:
  - Loads NCCL, Open MPI, PyTorch with its distributed packages, TensorFlow and the tools for RDMA as a job would, each in a process of its own,
    and fails where one is missing or cannot be loaded. That a package is installed at its declared version does not say that it can.
  - Takes seconds to a minute, so it is for after a change and for on demand, and no part of M(onecc.cluster.drift). It needs no GPU, and
    changes nothing.
options:
  components:
    description:
      - What is loaded.
    type: list
    elements: str
    choices: [nccl, open_mpi, pytorch, tensorflow, rdma]
    default: [nccl, open_mpi, pytorch, tensorflow, rdma]
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._read_only
"""

EXAMPLES = r"""
- name: See that jobs find what they are promised
  onecc.cluster.stack_check:

- name: The same on nodes without TensorFlow
  onecc.cluster.stack_check:
    components: [nccl, open_mpi, pytorch, rdma]
"""

RETURN = r"""
versions:
  description: Versions of what could be loaded, by component.
  returned: always
  type: dict
  sample: {nccl: 2.26.2, open_mpi: 4.1.7, pytorch: 2.7.0}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change.smoke_tests import COMMANDS, load


def main() -> None:
    module = AnsibleModule(
        argument_spec={"components": {"type": "list", "elements": "str", "choices": list(COMMANDS), "default": list(COMMANDS)}},
        supports_check_mode=True,
    )
    loaded = {component: load(module, component) for component in dict.fromkeys(module.params["components"])}
    versions = {component: said for component, (well, said) in loaded.items() if well}
    if failed := [f"{component}: {said}" for component, (well, said) in loaded.items() if not well]:
        module.fail_json(msg=f"This node does not offer jobs what it should: {'; '.join(failed)}", versions=versions)
    module.exit_json(changed=False, versions=versions)


if __name__ == "__main__":
    main()
