# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""What is wrong in a fabric, each fault once.

Each rail of a pod should meet the leaf that most of its nodes meet there, each port of a leaf should lead to the spine that it
leads to at most leaves, and each link should have the rate and the state that most have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import natural
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import SWITCH, UNKNOWN, Rate
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node, Port, label
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_seen import (
    KINDS,
    Cable,
    End,
    Finding,
    Seen,
    Wrong,
    end_name,
    finding,
    miswired,
    most,
    rail_cable,
    swapped,
    switch_cable,
)
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_uplinks import uplink_findings
from ansible_collections.onecc.cluster.plugins.plugin_utils._slurm import hostlist

# PortInfo PortState, from the worst to the best.
_STATES = ("Down", "Initialize", "Armed", "Active")


def findings(seen: Seen, nodes: list[Node], rails: int | None, spines: int | None) -> list[Finding]:
    """All faults. `nodes`, `rails` (of a node) and `spines` are what there should be, where that is declared."""
    found = [
        *_absent(seen, nodes, rails, spines), *_miswired_rails(seen), *_missing_rails(seen), *uplink_findings(seen),
        *_slow(seen), *_inactive(seen), *_nameless(seen, nodes),
    ]
    return sorted(found, key=lambda item: (KINDS.index(item["kind"]), natural(item["message"])))


def rail_name(node: str, rail: int, port: Port | None = None) -> str:
    return f"{node} rail {rail}" + (f" ({port.device})" if port and port.device else "")


def _absent(seen: Seen, nodes: list[Node], rails: int | None, spines: int | None) -> Iterator[Finding]:
    width = seen.placed.width
    # Those may be its own.
    nameless = " under its name" if any(port.switch in seen.layout.leaves for port in seen.placed.unnamed) else ""
    for node in nodes:
        if node.name not in seen.placed.rails:
            cables = [rail_cable(node.name, rail) for rail in range(width)]
            yield finding("absent", f"{node.name}: none of its HCAs is in the fabric{nameless}", *cables)
    if rails is not None and rails != width:
        yield finding("absent", f"nodes have {width} rails; {rails} are declared")
    if spines is not None and spines != len(seen.layout.spines):
        yield finding("absent", f"there are {len(seen.layout.spines)} spine switches; {spines} are declared")


# Rails


def _expected(seen: Seen) -> Iterator[tuple[str, int, Port | None, str | None]]:
    """Each rail of each node, its port if it is there, and the leaf that it should meet if one is known."""
    leaves = {node: pod.leaves for pod in seen.layout.pods for node in pod.nodes}
    for node, ports in seen.placed.rails.items():
        for rail in range(seen.placed.width):
            if (node, rail) not in seen.placed.ambiguous:
                yield node, rail, ports.get(rail), leaves.get(node, {}).get(rail)


def _miswired_rails(seen: Seen) -> list[Finding]:
    wrong = [(node, rail, port, leaf) for node, rail, port, leaf in _expected(seen) if port and port.switch != leaf]
    taken = _taken(seen, {(port.switch, port.number) for _node, _rail, port, _leaf in wrong})
    cables = []
    for node, rail, port, leaf in wrong:
        at, belongs = (port.switch, port.number), _belongs(seen, node, leaf, taken)
        cable = rail_cable(node, rail, end_name(seen, at), belongs and end_name(seen, belongs))
        cables.append(Wrong(cable, rail_name(node, rail, port), at, belongs))
    return miswired(seen, *swapped(cables))


def _taken(seen: Seen, wrong: set[End]) -> set[End]:
    """Ports of leaves with a cable that is right there."""
    return {(guid, number) for guid in seen.layout.leaves for number in seen.fabric[guid].links} - wrong


def _belongs(seen: Seen, node: str, leaf: str | None, taken: set[End]) -> End | None:
    """The leaf, and the port where most rails of the node are on theirs, if nothing else is there."""
    if leaf is None:
        return None
    numbers = Counter(port.number for port in seen.placed.rails[node].values())
    number, rails = numbers.most_common(1)[0]
    return leaf, number if 2 * rails > seen.placed.width and (leaf, number) not in taken else None


def _missing_rails(seen: Seen) -> Iterator[Finding]:
    missing = [(node, rail, leaf) for node, rail, port, leaf in _expected(seen) if not port]
    for pod in seen.layout.pods:
        for rail in range(seen.placed.width):
            gone = [node for node, lost, _leaf in missing if lost == rail and node in pod.nodes]
            if len(gone) == len(pod.nodes) > 1:
                missing = [item for item in missing if not (item[1] == rail and item[0] in gone)]
                message = f"rail {rail} of {hostlist(gone)} is missing: their leaf switch is not in the fabric"
                yield finding("missing", message, *(rail_cable(node, rail) for node in gone))
    taken = _taken(seen, set())
    for node, rail, leaf in missing:
        belongs = _belongs(seen, node, leaf, taken)
        where = f"; it belongs on {end_name(seen, belongs)}" if belongs else ""
        # What iblinkinfo says of the port.
        state = seen.states.get(belongs) if belongs else None
        how = f", which is {state.state}/{state.physical}" if state else ""
        cable = rail_cable(node, rail, None, belongs and end_name(seen, belongs))
        yield finding("missing", f"{rail_name(node, rail)} is not in the fabric{where}{how}", cable)


# Links that are there


def _links(seen: Seen) -> Iterator[tuple[str, End, Cable, str]]:
    """Each link of a rail and each uplink: what it belongs to, its end at a switch, its cable, and what a person calls it."""
    for node, ports in seen.placed.rails.items():
        for rail, port in ports.items():
            at = (port.switch, port.number)
            if seen.fabric[port.switch].kind == SWITCH:
                yield "rails", at, rail_cable(node, rail), f"{rail_name(node, rail, port)} at {end_name(seen, at)}"
    done: set[End] = set()
    for guid in [*seen.layout.leaves, *seen.layout.spines]:
        for number, link in sorted(seen.fabric[guid].links.items()):
            if seen.fabric[link.guid].kind == SWITCH and (guid, number) not in done:
                done.add((link.guid, link.port))
                other = end_name(seen, (link.guid, link.port))
                cable = {**switch_cable(seen, (guid, number)), "other": other}
                yield "uplinks", (guid, number), cable, f"{end_name(seen, (guid, number))} to {other}"


def _rate(seen: Seen, at: End) -> Rate:
    """The lower of what both ends say; what iblinkinfo says where ibnetdiscover knows no name for the speed."""
    link = seen.fabric[at[0]].links[at[1]]
    back = seen.fabric[link.guid].links[link.port]
    rate = min(link.rate, back.rate, key=lambda rate: rate.gbps)
    state = seen.states.get(at)
    return state.rate if rate.speed == UNKNOWN and state and state.rate else rate


def _slow(seen: Seen) -> Iterator[Finding]:
    links = [(group, _rate(seen, at), cable, what) for group, at, cable, what in _links(seen)]
    groups = {group for group, *_rest in links}
    usual = {group: most((rate.gbps, rate) for other, rate, *_rest in links if other == group)[1] for group in groups}
    for group, rate, cable, what in links:
        if rate.gbps < usual[group].gbps:
            ends = {**cable, "is": str(rate), "should": str(usual[group])}
            yield finding("slow", f"{what} runs at {rate}; most {group} run at {usual[group]}", ends)


def _inactive(seen: Seen) -> Iterator[Finding]:
    """Ports whose link is there and carries nothing. The subnet manager makes a link active."""
    links = [
        (_STATES.index(state.state), cable, what) for _group, at, cable, what in _links(seen)
        if (state := seen.states.get(at)) and state.state in _STATES
    ]
    usual = most(state for state, _cable, _what in links) if links else 0
    for state, cable, what in links:
        if state < usual:
            ends = {**cable, "is": _STATES[state], "should": _STATES[usual]}
            yield finding("inactive", f"{what} is {_STATES[state]}; most links are {_STATES[usual]}", ends)


def _nameless(seen: Seen, nodes: list[Node]) -> Iterator[Finding]:
    """HCAs that bear the name of another, and those without a name, which may be what is missing."""
    for (node, rail), ports in seen.placed.ambiguous.items():
        where = ", ".join(end_name(seen, (port.switch, port.number)) for port in ports)
        yield finding("ambiguous", f"{len(ports)} HCAs are called {node} {ports[0].device}: at {where}", rail_cable(node, rail))
    lost = len(seen.placed.rails) < len(nodes) or any(port is None for _node, _rail_, port, _leaf in _expected(seen))
    for port in seen.placed.unnamed:
        if port.switch in seen.layout.leaves and (lost or not nodes):
            at = (port.switch, port.number)
            yield finding("unnamed", f"nothing says in which node the {label(port)} is: at {end_name(seen, at)}", switch_cable(seen, at))
