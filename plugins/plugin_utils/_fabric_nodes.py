# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Which node each HCA of a fabric is in, and which of its rails it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import natural
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import HCA, Fabric, FabricError, Rate, quoted

# What drivers and rdma-ndd(8) call an HCA: "node-1 mlx5_3", "node-1 HCA-4", "node-1 ibp26s0".
_NAMED = re.compile(r"([0-9A-Za-z](?:[0-9A-Za-z._-]*[0-9A-Za-z])?)[ \t]+([A-Za-z][\w.-]*[0-9][\w.-]*)", re.ASCII)
# Quantum switches have an HCA inside, for SHARP: "Mellanox Technologies Aggregation Node".
_INSIDE_A_SWITCH = re.compile(r".*Aggregation Node", re.IGNORECASE)


class Node(NamedTuple):
    """A node that should be there. `guids` are those of its rails' HCAs or ports, in their order; None where not known."""

    name: str
    aliases: tuple[str, ...] = ()
    guids: tuple[str | None, ...] = ()


class Port(NamedTuple):
    """A port of an HCA, and the port of the switch that it is connected with."""

    guid: str
    description: str
    device: str
    switch: str
    number: int
    rate: Rate


Rails = dict[str, dict[int, Port]]
"""By node, its rails by number."""


class Placed(NamedTuple):
    rails: Rails
    width: int
    """How many rails a node has."""
    others: list[Port]
    """Ports of what is no node of the cluster, and of HCAs that are no rail."""
    unnamed: list[Port]
    """Ports of which nothing says whose they are."""
    ambiguous: dict[tuple[str, int], list[Port]]
    """Ports that call themselves the same, by node and rail."""


def place(fabric: Fabric, nodes: list[Node]) -> Placed:
    """The rails of `nodes`; without any, of whatever has at least half as many HCAs as most nodes do."""
    by_guid = {guid: (node.name, rail) for node in nodes for rail, guid in enumerate(node.guids) if guid}
    names = _names(nodes)
    known: Rails = {}
    owned: dict[str, dict[str, list[Port]]] = {}
    others, unnamed = [], []
    for hca, port in _ports(fabric):
        if where := by_guid.get(port.guid) or by_guid.get(hca):
            known.setdefault(where[0], {})[where[1]] = port
        elif (found := _NAMED.fullmatch(port.description)) and (not nodes or found[1].casefold() in names):
            node = names.get(found[1].casefold(), found[1])
            owned.setdefault(node, {}).setdefault(port.device, []).append(port)
        else:
            (others if found else unnamed).append(port)
    # What a node itself says of its rails stands; it has no others.
    others += [port for node in known for ports in owned.pop(node, {}).values() for port in ports]
    width = _width([*map(len, owned.values()), *(max(rails) + 1 for rails in known.values())])
    models = _models(known, owned, width)
    rails, ambiguous = dict(known), {}
    for node, devices in owned.items():
        few = not nodes and 2 * len(devices) < width
        order = {} if few else _order(tuple(devices), models)
        others += [port for device, ports in devices.items() for port in ports if device not in order]
        if not few:
            rails[node] = {order[device]: ports[0] for device, ports in devices.items() if device in order and len(ports) == 1}
            ambiguous |= {(node, order[device]): ports for device, ports in devices.items() if device in order and len(ports) > 1}
    if not rails:
        wanted = f"None of the {len(nodes)} nodes ({nodes[0].name}, …)" if nodes else "No node"
        seen = ", ".join(sorted({quoted(port.description) for port in others + unnamed}, key=natural)[:5]) or "nothing"
        raise FabricError(
            f"{wanted} is in the fabric by name. Its HCAs call themselves {seen}. Say in `nodes` how the nodes are called there, or "
            "the GUIDs of their HCAs."
        )
    ordered = {node: dict(sorted(rails[node].items())) for node in sorted(rails, key=natural)}
    return Placed(ordered, width, others, unnamed, ambiguous)


def _ports(fabric: Fabric) -> list[tuple[str, Port]]:
    """The ports of HCAs that are up, each with the GUID of its HCA, in the order of the switch's ports."""
    found = []
    for guid, hca in fabric.items():
        if hca.kind != HCA or _INSIDE_A_SWITCH.fullmatch(hca.description):
            continue
        named = _NAMED.fullmatch(hca.description)
        for number, link in sorted(hca.links.items()):
            # As NCCL has it: the port is named where there are several.
            device = (named[2] if named else "") + (f":{number}" if len(hca.links) > 1 else "")
            found.append((guid, Port(hca.port_guids.get(number, guid), hca.description, device, link.guid, link.port, link.rate)))
    return sorted(found, key=lambda item: (item[1].switch, item[1].number))


def _names(nodes: Iterable[Node]) -> dict[str, str]:
    """Nodes by what they may be called in the fabric: their names and aliases, whole and without the domain."""
    called: dict[str, set[str]] = {}
    for node in nodes:
        for name in (node.name, *node.aliases):
            for spelling in (name.casefold(), name.casefold().partition(".")[0]):
                called.setdefault(spelling, set()).add(node.name)
    return {spelling: next(iter(of)) for spelling, of in called.items() if len(of) == 1}


def _width(counts: list[int]) -> int:
    """The greatest number of HCAs that at least two nodes have."""
    having = Counter(counts)
    return max((count for count, nodes in having.items() if nodes > 1), default=max(counts, default=0))


def _models(known: Rails, owned: dict[str, dict[str, list[Port]]], width: int) -> list[tuple[str, ...]]:
    """Devices in the order of rails: as nodes have told, the most common first, then those of whole nodes in the order of names."""
    told = Counter(tuple(port.device for _rail, port in sorted(rails.items())) for rails in known.values() if len(rails) == width)
    whole = Counter(tuple(sorted(devices, key=natural)) for devices in owned.values() if len(devices) == width)
    return [model for model, _nodes in [*told.most_common(), *whole.most_common()]]


def _order(devices: tuple[str, ...], models: list[tuple[str, ...]]) -> dict[str, int]:
    """The rail of each device of a node: by the model that has all of them, else by the one that has the most."""
    def fit(model: tuple[str, ...]) -> int:
        return len(set(devices) & set(model))

    model = max(models, key=fit, default=())
    return {device: rail for rail, device in enumerate(model) if device in devices}


def label(port: Port) -> str:
    """How a person finds a port that nobody owns up to."""
    return f"HCA 0x{port.guid}, which calls itself {quoted(port.description)}"
