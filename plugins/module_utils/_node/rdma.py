# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""RDMA devices and their ports, as /sys/class/infiniband has them."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import pci
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

DEVICES = "/sys/class/infiniband"
# Gb/s of an adapter, which its ports share, by hca_type. That is "MT" and the PCI device id (Linux' mlx5_ib, hca_type_show();
# the ids with their models are in mlx5_core_pci_table of mlx5/core/main.c and in pci.ids). Rates are the fastest of
# "Supported Network Adapter Cards" in NVIDIA's WinOF-2 documentation; a card may be sold with less.
CAPACITY = {
    "MT4115": 100,  # ConnectX-4
    "MT4119": 100,  # ConnectX-5
    "MT4121": 100,  # ConnectX-5 Ex
    "MT4123": 200,  # ConnectX-6
    "MT4125": 200,  # ConnectX-6 Dx
    "MT4129": 400,  # ConnectX-7
    "MT4131": 800,  # ConnectX-8
    "MT41686": 200,  # BlueField-2
    "MT41692": 400,  # BlueField-3
}
# dev_valid_name() of Linux: what an interface may be called.
INTERFACE = re.compile(r"[^/:\s\0]{1,15}")


class Port:
    """A port of an RDMA device.

    `state` and `phys_state` are words ("ACTIVE", "LinkUp"), `rate` is Gb/s, and all three are empty or None where the kernel
    refuses to say. `path` leads from the host bridge to the PCI device, whose `address` it ends in; soft-RoCE has neither.
    `board` is adapter type and board. `virtual` are SR-IOV's virtual functions, beside their physical one, and sub-functions.
    """

    def __init__(self, machine: Machine, device: str, number: int, only: bool) -> None:
        sys = f"{DEVICES}/{device}"
        port = f"{sys}/ports/{number}"
        self.device = device
        self.number = number
        self.name = device if only else f"{device}:{number}"
        self.link_layer = machine.attribute(f"{port}/link_layer")
        self.state = word(machine.attribute(f"{port}/state"))
        self.phys_state = word(machine.attribute(f"{port}/phys_state"))
        self.rate = pci.figure(machine.attribute(f"{port}/rate"))
        self.path = pci.path(machine, f"{sys}/device")
        self.address = self.path[-1] if self.path[1:] else None
        self.numa_node = pci.numa_node(machine, f"{sys}/device")
        self.board = (machine.attribute(f"{sys}/hca_type"), machine.attribute(f"{sys}/board_id"))
        on = machine.real(f"{sys}/device").rpartition("/")[2]
        self.virtual = machine.exists(f"{sys}/device/physfn") or bool(self.address) and on not in (self.address, "device")
        self.interface = interface(machine, sys, number)

    @property
    def active(self) -> bool:
        return self.state == "ACTIVE"


def word(text: str) -> str:
    """The word of an enumerated attribute: "4: ACTIVE" is ACTIVE."""
    return text.rpartition(": ")[2]


def natural(name: str) -> list:
    """What sorts mlx5_10 after mlx5_9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name)]


def order(port: Port) -> tuple:
    """What sorts ports by PCI address, then by name."""
    return (not port.address, pci.key(port.address) if port.address else [], natural(port.device), port.number)


def interface(machine: Machine, sys: str, number: int) -> str | None:
    """The network interface of a port: that of its first GID (RoCE), that of soft-RoCE's device, else one of the same PCI
    device, of which a switch's representors of virtual functions ("pf0vf1") are none."""
    for file in (f"{sys}/ports/{number}/gid_attrs/ndevs/0", f"{sys}/parent"):
        name = machine.attribute(file)
        if INTERFACE.fullmatch(name):
            return name
    net = f"{sys}/device/net"
    found = [name for name in machine.names(net) if "f" not in machine.attribute(f"{net}/{name}/phys_port_name")]
    # Documentation/ABI/testing/sysfs-class-net: dev_port counts from 0.
    same = [name for name in found if machine.attribute(f"{net}/{name}/dev_port") == str(number - 1)]
    return (same or found or [None])[0]


def ports(machine: Machine) -> list[Port]:
    """All ports, in the order of the devices' names."""
    found = []
    for device in sorted(machine.names(DEVICES), key=natural):
        numbers = sorted(int(name) for name in machine.names(f"{DEVICES}/{device}/ports") if re.fullmatch("[0-9]{1,3}", name))
        found += [Port(machine, device, number, len(numbers) == 1) for number in numbers]
    return found


def silent(machine: Machine) -> list[str]:
    """PCI addresses of InfiniBand adapters without an RDMA device: no driver took them, or it gave up. Not of those that were
    given to a virtual machine, nor of virtual functions."""
    found = []
    for address in filter(pci.ADDRESS.fullmatch, machine.names("/sys/bus/pci/devices")):
        device = f"/sys/bus/pci/devices/{address}"
        # PCI Code and ID Assignment Specification: network controller, InfiniBand.
        if machine.attribute(f"{device}/class")[:6] == "0x0207" and not machine.names(f"{device}/infiniband"):
            if not machine.exists(f"{device}/physfn") and pci.driver(machine, device) != "vfio-pci":
                found.append(address)
    return found
