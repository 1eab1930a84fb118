#!/usr/bin/python

# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_facts
short_description: Gathers what a node is made of, with its GPUs, RDMA ports and rails
version_added: 0.1.0
description:
  - Reads C(/sys) and C(/proc). It starts no program, needs no package and no driver's tools, and changes nothing.
  - Rails are the RDMA ports that carry the traffic between GPUs. They are known by link layer, rate, board and place on PCI, never
    by name, and come in the order of the GPUs that they are nearest to.
  - A rail that is down or slow is still a rail, where ports of its board at full rate are fewer than the GPUs.
  - What the kernel does not say is null.
options:
  subsets:
    description:
      - What to gather.
    type: list
    elements: str
    choices: [gpus, rdma, rails, interfaces, drives, memory, cpu, virtualization, kernel]
    default: [gpus, rdma, rails, interfaces, drives, memory, cpu, virtualization, kernel]
  rails:
    description:
      - What counts as a rail, where that is not found right by itself.
    type: dict
    default: {}
    suboptions:
      link_layer:
        description: Link layer of a rail. V(Ethernet) is for RoCE, also soft-RoCE.
        type: str
        choices: [InfiniBand, Ethernet]
        default: InfiniBand
      devices:
        description:
          - Patterns (V(mlx5_*), V(0000:1a:00.*)) of the rails, by name of the device, with or without C(:port), by interface, or by PCI
            address. All ports that fit are rails then, and no others.
        type: list
        elements: str
        default: []
      exclude:
        description: Patterns, in the same way, of what is no rail.
        type: list
        elements: str
        default: []
      min_rate:
        description: A port that is up at less than so many Gb/s is no rail.
        type: float
      count:
        description: How many rails there should be; without it, one for each GPU. Dead and slow ports are looked for until there are so many.
        type: int
  private_address:
    description:
      - An IPv4 address of the private network, the node's own or that of a peer. C(private_interface) is then the interface that
        leads to it.
    type: str
author:
  - The onecc.cluster developers (@onecc)
extends_documentation_fragment:
  - onecc.cluster._read_only
"""

EXAMPLES = r"""
- name: What is the node made of?
  onecc.cluster.node_facts:

- name: Rails and GPUs alone, which takes milliseconds
  onecc.cluster.node_facts:
    subsets: [gpus, rails]

- name: Which interface leads to the other nodes?
  onecc.cluster.node_facts:
    subsets: [interfaces]
    private_address: "{{ onecc_instance.private_ip }}"

- name: Rails of RoCE, of which two adapters are for storage
  onecc.cluster.node_facts:
    rails:
      link_layer: Ethernet
      exclude: ["0000:29:00.*"]
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    onecc_node:
      description: What the node is made of, by subset.
      returned: always
      type: dict
      contains:
        schema:
          description: Number of the form of these facts. It grows when a program that reads them must change.
          returned: always
          type: int
        gpus:
          description: GPUs, in the order of PCI addresses.
          returned: with the subset
          type: list
          elements: dict
          contains:
            address: {description: PCI address., type: str}
            id: {description: PCI device id., type: str}
            numa_node: {description: NUMA node., type: int}
            path: {description: "Chain from the host bridge to the GPU, both among them.", type: list, elements: str}
            driver: {description: Driver that is bound to it., type: str}
            driver_version: {description: Version of the driver., type: str}
          sample:
            - address: "0000:14:00.0"
              id: "0x2330"
              numa_node: 0
              path: ["pci0000:10", "0000:10:01.0", "0000:11:00.0", "0000:12:00.0", "0000:14:00.0"]
              driver: nvidia
              driver_version: 570.148.08
        rdma:
          description: Ports of RDMA devices, in the order of names.
          returned: with the subset
          type: list
          elements: dict
          contains:
            name: {description: "Name as NCCL has it, the device's, with C(:port) where it has several.", type: str}
            device: {description: Name of the device., type: str}
            port: {description: Number of the port., type: int}
            link_layer: {description: V(InfiniBand) or V(Ethernet)., type: str}
            state: {description: "State, such as V(ACTIVE).", type: str}
            phys_state: {description: "Physical state, such as V(LinkUp).", type: str}
            rate: {description: Rate in Gb/s. Without a link it says little., type: float}
            node_guid: {description: GUID of the device., type: str}
            port_guid: {description: GUID of the port., type: str}
            lid: {description: Local identifier in the subnet., type: int}
            firmware: {description: Version of the firmware., type: str}
            type: {description: "Type of the adapter, such as V(MT4129).", type: str}
            board: {description: Id of the board., type: str}
            virtual: {description: Whether it is a virtual function beside its physical one or a sub-function., type: bool}
            interface: {description: Network interface of the port., type: str}
            address: {description: PCI address., type: str}
            path: {description: "Chain from the host bridge to the adapter, both among them.", type: list, elements: str}
            numa_node: {description: NUMA node., type: int}
            driver: {description: Driver that is bound to it., type: str}
            pcie:
              description: "Lanes (C(width), C(max_width)) and GT/s (C(speed), C(max_speed)) of its PCIe link, now and as both ends can."
              type: dict
            counters: {description: Error counters by name., type: dict}
        rails:
          description: The rails and how they were found.
          returned: with the subset
          type: dict
          contains:
            by:
              description: V(affinity) where PCI shows which port is near which GPU, V(address) where it does not (virtual machines, soft-RoCE)
                and the order is that of PCI addresses or names.
              type: str
            rails:
              description: The rails in their order, with C(index), C(name), C(device), C(port), C(interface), C(address), C(gpu) (its PCI
                address), C(state), C(phys_state), C(rate), C(width), C(speed), C(max_width) and C(max_speed). An index is left out where a rail
                is missing.
              type: list
              elements: dict
            bare_gpus: {description: PCI addresses of GPUs at which there is no rail though others have one., type: list, elements: str}
            silent_adapters: {description: PCI addresses of InfiniBand adapters without an RDMA device., type: list, elements: str}
        interfaces:
          description: Network interfaces but the loopback, with C(name), C(mac), C(state), C(mtu), C(speed_mbps), C(driver), C(pci_address),
            C(numa_node), C(ipv4) and C(ipv6).
          returned: with the subset
          type: list
          elements: dict
        private_interface:
          description: The interface that leads to O(private_address).
          returned: with the subset C(interfaces)
          type: str
        drives:
          description: NVMe drives in the order of serial numbers, with C(name), C(serial), C(wwid), C(bytes), C(model), C(firmware),
            C(pci_address) and C(system), which is true where the system lives on it.
          returned: with the subset
          type: list
          elements: dict
        memory:
          description: C(total_mib), C(available_mib), C(swap_mib), C(huge_pages) and C(huge_page_kib).
          returned: with the subset
          type: dict
        cpu:
          description: C(model), C(online), C(sockets), C(cores), C(threads), and C(numa_nodes), each with C(node), C(cpus), C(memory_mib) and
            C(distances).
          returned: with the subset
          type: dict
        virtualization:
          description: C(virtual), C(vendor), C(product), and C(iommu), whether one is in use.
          returned: with the subset
          type: dict
        kernel:
          description: C(release) and C(command_line).
          returned: with the subset
          type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.onecc.cluster.plugins.module_utils._node import facts, network, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

SUBSETS = ["gpus", "rdma", "rails", "interfaces", "drives", "memory", "cpu", "virtualization", "kernel"]


def wrong(params: dict) -> str | None:
    """Says what is wrong in options whose types are right."""
    address = params["private_address"]
    if address is not None and network.number(address) is None:
        return f"private_address is {address!r}; allowed is an IPv4 address"
    said = specs.invalid_rails(params["rails"])
    return f"rails: {said}" if said else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "subsets": {"type": "list", "elements": "str", "choices": SUBSETS, "default": SUBSETS},
            "rails": {"type": "dict", "options": specs.RAILS, "apply_defaults": True, "default": {}},
            "private_address": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if said := wrong(params):
        module.fail_json(msg=said)
    found = facts.gathered(Machine(), params["subsets"], params["rails"], params["private_address"])
    module.exit_json(changed=False, ansible_facts={"onecc_node": {"schema": 1, **found}})


if __name__ == "__main__":
    main()
