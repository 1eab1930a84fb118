# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fabrics that are not there: cables between switches and HCAs, faults among them, and the text that ibnetdiscover prints of
them. ibsim reads that text too, and simulates the fabric for the real ibnetdiscover and iblinkinfo.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

End = tuple[str, int]
"""Identifier of a device, and number of a port."""

PORTS = 64
"""Of a switch (NDR, Quantum-2)."""


@dataclass
class Fabric:
    """`names` are the descriptions by identifier, S-… or H-… and a GUID, as ibnetdiscover has them."""

    names: dict[str, str] = field(default_factory=dict)
    cables: dict[End, End] = field(default_factory=dict)
    rates: dict[End, str] = field(default_factory=dict)
    """Of links that do not run at `usual`, at both of their ends."""
    usual: str = "4xNDR"

    def switch(self, name: str) -> str:
        return self._add(f"S-{0xb83fd20300000000 + len(self.names):016x}", name)

    def hca(self, name: str) -> str:
        # The GUID of the port follows that of the HCA.
        return self._add(f"H-{0xa088c20300000000 + 16 * len(self.names):016x}", name)

    def _add(self, device: str, name: str) -> str:
        self.names[device] = name
        return device

    def find(self, name: str) -> str:
        return next(device for device, known in self.names.items() if known == name)

    def connect(self, one: End, other: End) -> None:
        self.cables[one], self.cables[other] = other, one

    def cut(self, end: End) -> tuple[End, End]:
        """Pulls the cable at `end`, and returns both of its ends."""
        other = self.cables.pop(end)
        del self.cables[other]
        return end, other

    def swap(self, one: End, other: End) -> None:
        """Exchanges the plugs at two ports."""
        (_one, far), (_other, other_far) = self.cut(one), self.cut(other)
        self.connect(one, other_far)
        self.connect(other, far)

    def slow(self, end: End, rate: str) -> None:
        self.rates[end] = self.rates[self.cables[end]] = rate

    def remove(self, device: str) -> None:
        for end in [end for end in self.cables if end[0] == device]:
            self.cut(end)
        del self.names[device]

    def text(self, reached: bool = True) -> str:
        """What ibnetdiscover prints: switches, then HCAs. Of HCAs only those that are `reached`, as it shows no others."""
        ports: dict[str, list[int]] = {}
        for device, number in sorted(self.cables):
            ports.setdefault(device, []).append(number)
        records = [
            "\n".join([self._record(device), *(self._port((device, number)) for number in ports.get(device, []))])
            for device in sorted(self.names, reverse=True) if ports.get(device) or not reached
        ]
        return "#\n# Topology file: generated on Wed Nov 25 03:01:06 2026\n#\n# Initiated from node 00 port 00\n\n" + "\n\n".join(records) + "\n"

    def _record(self, device: str) -> str:
        guid = device[2:]
        heading = f"vendid=0x2c9\ndevid=0xd2f2\nsysimgguid=0x{guid}\n"
        if device.startswith("S"):
            return heading + (
                f'switchguid=0x{guid}({guid})\nSwitch\t{PORTS} "{device}"\t\t# "{self.names[device]}" enhanced port 0 lid 1 lmc 0'
            )
        count = max((number for owner, number in self.cables if owner == device), default=1)
        return heading + f'caguid=0x{guid}\nCa\t{count} "{device}"\t\t# "{self.names[device]}"'

    def _port(self, end: End) -> str:
        far, number = self.cables[end]
        rate = self.rates.get(end, self.usual)
        if end[0].startswith("S"):
            remote = f"({int(far[2:], 16) + number:x}) " if far.startswith("H") else ""
            return f'[{end[1]}]\t"{far}"[{number}]{remote}\t\t# "{self.names[far]}" lid 2 {rate}'
        own = f"({int(end[0][2:], 16) + end[1]:x})"
        return f'[{end[1]}]{own} \t"{far}"[{number}]\t\t# lid 2 lmc 0 "{self.names[far]}" lid 1 {rate}'


def cluster(nodes: int = 64, rails: int = 8, down: int = 32, uplinks: int = 32, spines: int = 8) -> Fabric:
    """A rail-optimized cluster as a 1CC has it: for every `down` nodes a leaf for each rail, whose uplinks are spread over all
    spines. The rails are mlx5_1 and on, because mlx5_0 is Ethernet. A node has the port of its number on each leaf."""
    fabric = Fabric()
    tops = [fabric.switch(f"spine-{number}") for number in range(1, spines + 1)]
    each = uplinks // spines if spines else 0
    leaves: list[str] = []
    for node in range(nodes):
        if node % down == 0:
            leaves = [fabric.switch(f"leaf-{node // down + 1}-{rail}") for rail in range(rails)]
            for rail, leaf in enumerate(leaves):
                for number in range(each * spines):
                    place = (node // down * rails + rail) * each + number % each + 1
                    fabric.connect((leaf, down + number + 1), (tops[number // each], place))
        for rail, leaf in enumerate(leaves):
            fabric.connect((leaf, node % down + 1), (fabric.hca(f"node-{node + 1} mlx5_{rail + 1}"), 1))
    return fabric


Fault = frozenset[tuple]
"""What has to be said of a fault: its kind, and its cables as (node, rail) or (name of a switch, port)."""


def said(finding: dict) -> Fault:
    """The same of a finding."""
    cables = [(cable["node"], cable["rail"]) if "node" in cable else (cable["switch"], cable["port"]) for cable in finding["cables"]]
    return frozenset([(finding["kind"],), *cables])


def rail_of(fabric: Fabric, hca: str) -> tuple[str, int]:
    node, _space, device = fabric.names[hca].partition(" ")
    return node, int(device.removeprefix("mlx5_")) - 1


def ends(fabric: Fabric, spine: bool) -> list[End]:
    """The ports of leaves with a cable to a spine, or to a node."""
    return sorted(
        (device, number) for (device, number), (far, _far) in fabric.cables.items()
        if fabric.names[device].startswith("leaf") and (far[0] == "S") == spine
    )


KINDS = ("swapped rails", "swapped uplinks", "dead rail", "dead uplink", "slow rail", "slow uplink")


def harm(fabric: Fabric, chance: random.Random, harmed: set[End], kinds: tuple[str, ...] = KINDS) -> Fault:
    """Does a fault to a fabric, at other ports than those that are `harmed` already, and says what a view has to say of it."""
    kind = chance.choice(kinds)
    spine = kind.endswith(("uplink", "uplinks"))
    free = [end for end in ends(fabric, spine) if end not in harmed]
    # Not the port that the tools look from.
    one = chance.choice([end for end in free if fabric.names[fabric.cables[end][0]] != "node-1 mlx5_1"])
    harmed.add(one)
    name = rail_of(fabric, fabric.cables[one][0]) if not spine else (fabric.names[one[0]], one[1])
    if kind.startswith("swapped"):
        # Two cables of one leaf, or to one spine, may change places: nothing is wrong then.
        far = fabric.cables[one][0]
        others = [end for end in free if end != one and end[0] != one[0] and (not spine or fabric.cables[end][0] != far)]
        other = chance.choice(others)
        harmed.add(other)
        other_name = rail_of(fabric, fabric.cables[other][0]) if not spine else (fabric.names[other[0]], other[1])
        fabric.swap(one, other)
        return frozenset([("miswired",), name, other_name])
    if kind.startswith("dead"):
        fabric.cut(one)
        return frozenset([("missing",), name])
    fabric.slow(one, chance.choice(["1xHDR", "2xHDR", "4xEDR", "4xFDR", "4xQDR", "1xSDR"]))
    return frozenset([("slow",), name])
