# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""GPUs, without asking their driver."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._node import pci
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

NVIDIA = "0x10de"
# PCI Code and ID Assignment Specification: 3D controller, VGA controller. NVSwitches are bridges (0x0680).
CLASSES = ("0x0302", "0x0300")


class Gpu:
    """A GPU: PCI address, device id, the path to it from the host bridge, NUMA node, and the driver bound to it."""

    def __init__(self, machine: Machine, address: str) -> None:
        device = f"/sys/bus/pci/devices/{address}"
        self.address = address
        self.id = machine.attribute(f"{device}/device")
        self.path = pci.path(machine, device)
        self.numa_node = pci.numa_node(machine, device)
        self.driver = pci.driver(machine, device)


def gpus(machine: Machine) -> list[Gpu]:
    """NVIDIA's GPUs in the order of PCI addresses, which is also that of nvidia-smi. A GPU's virtual functions are none."""
    found = []
    for address in filter(pci.ADDRESS.fullmatch, machine.names("/sys/bus/pci/devices")):
        device = f"/sys/bus/pci/devices/{address}"
        if machine.attribute(f"{device}/vendor") == NVIDIA and machine.attribute(f"{device}/class")[:6] in CLASSES:
            if not machine.exists(f"{device}/physfn"):
                found.append(Gpu(machine, address))
    return sorted(found, key=lambda gpu: pci.key(gpu.address))


def built_with(number: int) -> int:
    """How many GPUs a node of `number` was built with: NVIDIA's HGX, DGX and GB boards, and parts of them in virtual machines,
    have 1, 2, 4, 8 or 16 (user guides of these), so that 7 are 8 of which one is gone."""
    return 1 << (number - 1).bit_length() if number else 0
