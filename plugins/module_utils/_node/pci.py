# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""PCI devices as /sys has them: where one hangs, and how fast its link is."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# domain:bus:device.function. A domain that the kernel makes up (VMD, Hyper-V) may have more than four digits.
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
HOST_BRIDGE = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}")
# PCI Express Base Specification, Link Capabilities Register: the widths there are. A virtual machine may show 0, 63 or 255.
WIDTHS = (1, 2, 4, 8, 12, 16, 32)


def figure(text: str) -> float | None:
    """The number that an attribute begins with: "400 Gb/sec (4X NDR)" is 400, "Unknown" none."""
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,6})?(?![0-9])", text)
    number = float(found[0]) if found else None
    return int(number) if number is not None and number.is_integer() else number


def path(machine: Machine, link: str) -> list[str]:
    """The chain from the host bridge ("pci0000:14") down to the device that a link in /sys leads to; empty where it is none
    of PCI."""
    return [part for part in machine.real(link).split("/") if ADDRESS.fullmatch(part) or HOST_BRIDGE.fullmatch(part)]


def key(address: str) -> list[int]:
    """What sorts addresses as numbers."""
    return [int(part, 16) for part in re.split("[:.]", address)]


def numa_node(machine: Machine, device: str) -> int | None:
    """The NUMA node of the device whose folder is given; None where it belongs to none (-1), or nobody knows."""
    node = figure(machine.attribute(f"{device}/numa_node"))
    return None if node is None else int(node)


def driver(machine: Machine, device: str) -> str | None:
    """The driver that is bound to the device whose folder is given."""
    name = machine.real(f"{device}/driver").rpartition("/")[2]
    return None if name == "driver" else name


def bridges(one: list[str], other: list[str]) -> int:
    """How many bridges below the host bridge two paths share: none where they meet in it, or not at all."""
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    return max(shared - 1, 0)


def link(machine: Machine, chain: list[str]) -> dict[str, float | None]:
    """Width in lanes and speed in GT/s of a device's link: as trained, and what both its ends are capable of.

    All are None where the kernel does not know, as in a virtual machine.
    """
    def end(address: str, which: str) -> tuple[float | None, float | None]:
        device = f"/sys/bus/pci/devices/{address}"
        width = figure(machine.attribute(f"{device}/{which}_link_width"))
        return width if width in WIDTHS else None, figure(machine.attribute(f"{device}/{which}_link_speed"))

    ends = [address for address in chain[-2:] if ADDRESS.fullmatch(address)]
    most = [end(address, "max") for address in ends]
    width, speed = end(ends[-1], "current") if ends else (None, None)
    return {
        "width": width,
        "speed": speed,
        "max_width": min((width for width, _speed in most if width), default=None),
        "max_speed": min((speed for _width, speed in most if speed), default=None),
    }
