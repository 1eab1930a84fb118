#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nccl_config
short_description: Reads, lints and writes a configuration file of NCCL
version_added: 0.1.0
description:
  - Reads a configuration file as NCCL does (C(src/misc/param.cc)), and finds what NCCL takes otherwise than it was meant, and
    what does not suit the node, its RDMA devices, interfaces, PCI addresses and installed NCCL. Each finding is explained in a line.
  - Writes settings where O(settings), O(rails), O(address), O(topology) or O(profile) are given; otherwise it changes nothing.
  - Settings are written into a block between two marks. Lines outside of it are the platform's, and stay as they are. Where one of
    them says the same as a setting on this node, the setting is left out of the block. Where it says something else, or NCCL does not
    read it as it is written, the module fails and names it, after it wrote what stands on its own.
  - Refuses to write a setting to which its own linter objects.
  - "The rules: V(byte-order-mark), V(carriage-return), V(comment), V(duplicate), V(export), V(inline-comment), V(line-too-long),
    V(no-equals), V(no-name), V(not-ascii), V(nul-byte), V(quotes), V(several-settings), V(shell-syntax) and V(whitespace) on how it is
    written; V(not-readable), V(writable-by-others) and V(shadowed) on the file; V(conf-file), V(foreign-variable),
    V(newer-variable), V(retired-variable) and V(unknown-variable) on which variables there are; V(debug-variable), V(rdma-off),
    V(fixed-gid-index), V(roce-on-infiniband), V(bad-value) and V(empty-value) on what they are set to; V(bad-list),
    V(device-down), V(ethernet-device), V(no-such-device), V(no-such-interface), V(nothing-taken), V(prefix-match), V(too-many-devices),
    V(unsuitable-interface), V(topology-address) and V(topology-file) on the node."
options:
  path:
    description:
      - The file.
    type: path
    default: /etc/nccl.conf
  settings:
    description:
      - Settings to write, each with its reason. They come before those that O(rails), O(address) and O(topology) would make.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the variable.
        type: str
        required: true
      value:
        description: Its value. In quotes, where YAML would read it as something else than a text.
        type: str
        required: true
      reason:
        description: Why it is set, in a line. It stands as a comment above the setting.
        type: str
        required: true
  rails:
    description:
      - What a rail is. Sets C(NCCL_IB_HCA) to the rails of the node by their exact names. On a node without any rail the module then
        writes nothing at all.
    type: dict
    suboptions:
      link_layer:
        description: Link layer of a rail.
        type: str
        choices: [InfiniBand, Ethernet]
        default: InfiniBand
      devices:
        description: Patterns of the devices that are rails, by device, C(device:port), interface or PCI address.
        type: list
        elements: str
        default: []
      exclude:
        description: Patterns of the devices that are none.
        type: list
        elements: str
        default: []
      min_rate:
        description: What a rail has at least, in Gb/s.
        type: float
      count:
        description: How many rails there are.
        type: int
  address:
    description:
      - The node's own address, or another one, of the private network. Sets C(NCCL_SOCKET_IFNAME) to the interface that leads there.
    type: str
  topology:
    description:
      - Contents of a topology file. It is written to C(/etc/nccl-topology.xml), and C(NCCL_TOPO_FILE) is set to it, if the node has
        each PCI address in it that is no bridge's. Otherwise the module fails, and names those that it does not have.
    type: str
  profile:
    description:
      - A file that shells read at login, such as C(/etc/profile.d/onecc-nccl.sh). Gets C(UCX_NET_DEVICES), the rails, and
        C(OMPI_MCA_btl_tcp_if_include) and C(OMPI_MCA_oob_tcp_if_include), the interface of O(address), unless they are set already.
    type: str
  gpudirect:
    description:
      - Whether the module fails on a node with NVIDIA's driver whose adapters do not reach the GPUs' memory.
    type: bool
    default: false
  allow:
    description:
      - Rules that are not applied.
    type: list
    elements: str
    default: []
  fail_on:
    description:
      - Fail where there are findings of this severity, or a higher one.
    type: str
    choices: [never, warning, error]
    default: never
  nccl_version:
    description:
      - Version of the NCCL that reads the file, such as V(2.26.5). By default the installed one, by the library's file name, the
        package C(libnccl2), or pip's metadata of the system's Python.
    type: str
author:
  - The onecc.cluster developers (@onecc)
attributes:
  check_mode:
    description: Says what it would do, and lints what the file would be.
    support: full
  diff_mode:
    description: Shows each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: What is wrong with the node's file?
  onecc.cluster.nccl_config:
    fail_on: error
  become: true

- name: Look at a file before it is rolled out
  onecc.cluster.nccl_config:
    path: /home/ubuntu/nccl.conf.new
    nccl_version: 2.27.3
  register: checked

- name: Set the rails and the private interface, and one thing more
  onecc.cluster.nccl_config:
    rails: {}
    address: "{{ onecc_instance.private_ip }}"
    settings:
      - name: NCCL_IB_PCI_RELAXED_ORDERING
        value: "1"
        reason: Lambda's value. Virtual machines need relaxed ordering for their full bandwidth.
  become: true
"""

RETURN = r"""
findings:
  description: What is wrong with the file, in the order of its lines.
  returned: always
  type: list
  elements: dict
  contains:
    file:
      description: The file.
      type: str
    line:
      description: Number of the line; 0 is the file as a whole.
      type: int
    rule:
      description: The rule.
      type: str
    severity:
      description: V(error) for what does not do what it says, or stops or slows every job; else V(warning).
      type: str
    message:
      description: What is wrong, in a line.
      type: str
    fix:
      description: What to do, in a line.
      type: str
  sample:
    - file: /etc/nccl.conf
      line: 3
      rule: prefix-match
      severity: error
      message: "NCCL_IB_HCA=mlx5_1: mlx5_1 is the beginning of names, and takes mlx5_1, mlx5_10, mlx5_11"
      fix: write NCCL_IB_HCA==mlx5_1
settings:
  description:
    - What is set, in the order of precedence. Of entries of one name the first counts in the processes that C(for_whom) names, and the
      one without C(for_whom) in all others.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the variable.
      type: str
    value:
      description: Its value as NCCL reads it.
      type: str
    file:
      description: The file that sets it.
      type: str
    line:
      description: Number of the line.
      type: int
    for_whom:
      description: The processes; none for all.
      type: str
    managed:
      description: Whether it is in the block that this module writes.
      type: bool
kept:
  description: Settings of the platform's that already say what one of ours would, and so were left as they are.
  returned: always
  type: list
  elements: dict
differences:
  description: What differed before, as M(onecc.cluster.drift) reports it; empty where nothing is to be written.
  returned: always
  type: list
  elements: dict
nccl_version:
  description: Major and minor version of the NCCL that the file was compared with; none where none was found.
  returned: always
  type: str
  sample: "2.26"
gpudirect:
  description: How adapters reach the GPUs' memory, as M(onecc.cluster.ofed_info) says it; none without NVIDIA's driver.
  returned: always
  type: dict
  contains:
    dmabuf:
      description: Whether DMA-BUF is possible, with NVIDIA's open kernel module and Linux 5.12.
      type: bool
    obstacles:
      description: Why it is not; empty where it is.
      type: list
      elements: str
    peermem:
      description: Whether C(nvidia_peermem) is in use, or could be.
      type: bool
    in_use:
      description: What programs find, V(peermem), V(dmabuf) or none.
      type: str
exists:
  description: Whether there is the file. Without it there is nothing to find, and where nothing was to be written a warning says so.
  returned: always
  type: bool
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._change import nccl_configs
from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_declared
from ansible_collections.onecc.cluster.plugins.module_utils._node import specs


def main() -> None:
    module = AnsibleModule(argument_spec=nccl_configs.ARGUMENTS, supports_check_mode=True)
    if module.params["nccl_version"] and not re.fullmatch(r"\d+\.\d+(\.\d+)?", module.params["nccl_version"]):
        module.fail_json(msg=f"nccl_version is {module.params['nccl_version']!r}; allowed is a version such as 2.26.5")
    if wrong := nccl_declared.invalid(module.params):
        module.fail_json(msg=wrong)
    if module.params["rails"] and (wrong := specs.invalid_rails(module.params["rails"])):
        module.fail_json(msg=f"rails: {wrong}")
    module.exit_json(**nccl_configs.run(module))


if __name__ == "__main__":
    main()
