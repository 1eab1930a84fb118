# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Which network interface leads to an address, by the kernel's main routing table."""

from __future__ import annotations

import socket
import struct

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# RTF_UP, RTF_GATEWAY and RTF_REJECT of Linux' route.h.
UP, GATEWAY, REJECT = 0x1, 0x2, 0x200


class Route:
    """A route of IPv4: what is in `network` under `mask` goes out by `interface`, through a gateway unless it is `direct`."""

    def __init__(self, interface: str, network: int, mask: int, metric: int, direct: bool) -> None:
        self.interface = interface
        self.network = network
        self.mask = mask
        self.metric = metric
        self.direct = direct


def number(address: str) -> int | None:
    """An IPv4 address as a number; None where it is none."""
    try:
        return struct.unpack("!I", socket.inet_pton(socket.AF_INET, address))[0]
    except (OSError, UnicodeError, ValueError):
        return None


def routes(machine: Machine) -> list[Route]:
    """The routes that are up. proc(5), /proc/net/route: the numbers are hexadecimal, in the byte order of the machine."""
    found = []
    for line in (machine.text("/proc/net/route") or "").splitlines()[1:]:
        fields = line.split()
        try:
            network, _gateway, flags, mask = (int(fields[i], 16) for i in (1, 2, 3, 7))
            metric = int(fields[6])
            network, mask = (struct.unpack("!I", struct.pack("=I", value))[0] for value in (network, mask))
        except (IndexError, ValueError, struct.error):
            continue
        if flags & UP and not flags & REJECT:
            found.append(Route(fields[0], network, mask, metric, not flags & GATEWAY))
    return found


def interface_to(machine: Machine, address: str) -> str | None:
    """The interface by which a node reaches an address of IPv4, or that has it: the most exact route, the least metric.

    None where no route leads there. Rules for other tables (ip-rule(8)) are not followed.
    """
    found = _nearest(routes(machine), address)
    return found.interface if found else None


def addresses(machine: Machine, interface: str) -> list[str]:
    """The node's own addresses of IPv4 on an interface, by the networks that lie directly at it.

    /proc/net/fib_trie has the addresses, each before a line "/32 host LOCAL", but does not say where they are.
    """
    found, address = [], ""
    for line in (machine.text("/proc/net/fib_trie") or "").splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[-1]
        elif words == ["/32", "host", "LOCAL"] and address not in found:
            found.append(address)
    direct = [route for route in routes(machine) if route.direct and route.mask]
    return [item for item in found if (at := _nearest(direct, item)) and at.interface == interface]


def _nearest(known: list[Route], address: str) -> Route | None:
    """The most exact route that fits an address, of those the one with the least metric."""
    wanted = number(address)
    fitting = [route for route in known if wanted is not None and wanted & route.mask == route.network]
    return min(fitting, key=lambda route: (-route.mask, route.metric), default=None)
