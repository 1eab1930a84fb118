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

# What a host is called before anybody named it: the kernel's default, /etc/hosts' name, and those of images and installers.
_NOBODY = {"localhost", "localhost.localdomain", "none", "ubuntu", "debian", "rocky", "almalinux", "centos", "fedora", "archlinux"}


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
    """The rails of `nodes`; without any, of those hosts that are called as most are, and of others that are built and cabled as these."""
    by_guid = _by_guid(nodes)
    names = _names(nodes)
    known: Rails = {}
    owned: dict[str, dict[str, list[Port]]] = {}
    others, unnamed = [], []
    for hca, port in _ports(fabric, names):
        if where := by_guid.get(port.guid) or by_guid.get(hca):
            known.setdefault(where[0], {})[where[1]] = port
        elif not (found := _NAMED.fullmatch(port.description)) or found[1].casefold() in _NOBODY and found[1].casefold() not in names:
            unnamed.append(port)
        elif nodes and found[1].casefold() not in names:
            others.append(port)
        else:
            owned.setdefault(names.get(found[1].casefold(), found[1]), {}).setdefault(port.device, []).append(port)
    # What a node itself says of its rails stands; it has no others.
    others += [port for node in known for ports in owned.pop(node, {}).values() for port in ports]
    if not nodes:
        alike = _alike(owned)
        others += [port for node, devices in owned.items() if node not in alike for ports in devices.values() for port in ports]
        owned = {node: devices for node, devices in owned.items() if node in alike}
    told = {node.name: len(node.guids) for node in nodes if node.name in known}
    meets = {node: {port.switch for port in rails.values()} for node, rails in known.items()}
    meets |= {node: {port.switch for ports in devices.values() for port in ports} for node, devices in owned.items()}
    width = _width({**{node: len(devices) for node, devices in owned.items()}, **told}, meets)
    models = _models(known, owned, width)
    rails, ambiguous = {node: _as_peers(node, known, models) for node in known}, {}
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


def _by_guid(nodes: list[Node]) -> dict[str, tuple[str, int]]:
    """Node and rail by what nodes say are their GUIDs. One that two claim is nobody's: then names decide."""
    claims: dict[str, list[tuple[str, int]]] = {}
    for node in nodes:
        for rail, guid in enumerate(node.guids):
            if guid:
                claims.setdefault(guid, []).append((node.name, rail))
    return {guid: of[0] for guid, of in claims.items() if len(of) == 1}


def _ports(fabric: Fabric, names: dict[str, str]) -> list[tuple[str, Port]]:
    """The ports of HCAs that are up, each with the GUID of its HCA, in the order of the switch's ports."""
    hcas = {guid: hca for guid, hca in fabric.items() if hca.kind == HCA and not _INSIDE_A_SWITCH.fullmatch(hca.description)}
    called = {guid: found for guid, hca in hcas.items() if (found := _NAMED.fullmatch(hca.description))}
    # As NCCL has it, the port is named where there are several: on any node, for on this one the others may be dead.
    ports: dict[str, set[int]] = {}
    for guid, found in called.items():
        if not names or found[1].casefold() in names:
            ports.setdefault(found[2], set()).update(hcas[guid].links)
    found_ports = []
    for guid, hca in hcas.items():
        device = called[guid][2] if guid in called else ""
        for number, link in sorted(hca.links.items()):
            name = device + (f":{number}" if len(ports.get(device, ())) > 1 or len(hca.links) > 1 else "")
            found_ports.append((guid, Port(hca.port_guids.get(number, guid), hca.description, name, link.guid, link.port, link.rate)))
    return sorted(found_ports, key=lambda item: (item[1].switch, item[1].number))


def _names(nodes: Iterable[Node]) -> dict[str, str]:
    """Nodes by what they may be called in the fabric: their names and aliases, whole and without the domain."""
    called: dict[str, set[str]] = {}
    for node in nodes:
        for name in (node.name, *node.aliases):
            for spelling in (name.casefold(), name.casefold().partition(".")[0]):
                called.setdefault(spelling, set()).add(node.name)
    return {spelling: next(iter(of)) for spelling, of in called.items() if len(of) == 1}


def _alike(owned: dict[str, dict[str, list[Port]]]) -> set[str]:
    """The hosts that are nodes, where nobody says so: those whose names differ from each other's by numbers alone, of the name
    that most have; and those of another name, such as of the next rack, that have the same devices and are no fewer than two."""
    families: dict[str, list[str]] = {}
    for node in owned:
        families.setdefault(re.sub("[0-9]+", "#", node.casefold()), []).append(node)
    most = max(map(len, families.values()), default=0)
    if most < 2:
        return set(owned)  # names that have nothing in common
    built = {family: _usual_devices([owned[node] for node in of]) for family, of in families.items()}
    main = {built[family] for family, of in families.items() if len(of) == most}
    widest = max(map(len, main))
    return {
        node for family, of in families.items() for node in of
        if len(built[family]) == widest and (len(of) == most or built[family] in main)
    }


def _usual_devices(hosts: list[dict[str, list[Port]]]) -> tuple[str, ...]:
    """The devices that at least half of the hosts have."""
    having = Counter(device for devices in hosts for device in devices)
    return tuple(sorted(device for device, number in having.items() if 2 * number >= len(hosts)))


def _width(counts: dict[str, int], meets: dict[str, set[str]]) -> int:
    """How many rails a node has: the greatest number that at least half of those nodes have that share a switch with one that
    has. Of the others of its pod some are missing, of another pod a leaf; one that nobody beside it has is no rail."""
    for count in sorted(set(counts.values()), reverse=True):
        having = [node for node in counts if counts[node] >= count]
        switches = set().union(*(meets[node] for node in having))
        peers = [node for node in counts if meets[node] & switches]
        if len(having) > 1 and 2 * len(having) >= len(peers):
            return count
    return max(counts.values(), default=0)


def _models(known: Rails, owned: dict[str, dict[str, list[Port]]], width: int) -> list[tuple[str, ...]]:
    """Devices in the order of rails: as nodes have told, the most common first, then those of whole nodes in the order of names."""
    told = Counter(tuple(port.device for _rail, port in sorted(rails.items())) for rails in known.values() if len(rails) == width)
    whole = Counter(tuple(sorted(devices, key=natural)) for devices in owned.values() if len(devices) == width)
    return [model for model, _nodes in [*told.most_common(), *whole.most_common()]]


def _as_peers(node: str, known: Rails, models: list[tuple[str, ...]]) -> dict[int, Port]:
    """The rails that a node told, in the order of its peers where its cables say that this is the right one: a node that lost a
    GPU may count otherwise."""
    own = known[node]
    model = models[0] if models else ()
    devices = [port.device for _rail, port in sorted(own.items())]
    if sorted(devices) != sorted(model) or len(set(model)) != len(model):
        return own
    usual = {model.index(port.device): port for port in own.values()}
    others = Counter((rail, port.switch) for other, rails in known.items() if other != node for rail, port in rails.items())

    def agreement(rails: dict[int, Port]) -> int:
        return sum(others[rail, port.switch] for rail, port in rails.items())

    return usual if agreement(usual) > agreement(own) else own


def _order(devices: tuple[str, ...], models: list[tuple[str, ...]]) -> dict[str, int]:
    """The rail of each device of a node: by the model that has all of them, else by the one that has the most."""
    def fit(model: tuple[str, ...]) -> int:
        return len(set(devices) & set(model))

    model = max(models, key=fit, default=())
    return {device: rail for rail, device in enumerate(model) if device in devices}


def label(port: Port) -> str:
    """How a person finds a port that nobody owns up to."""
    return f"HCA 0x{port.guid}, which calls itself {quoted(port.description)}"
