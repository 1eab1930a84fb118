# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Links between leaves and spines: those that are missing, and those that lead to the wrong switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import SWITCH
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_seen import (
    End,
    Finding,
    Seen,
    Wrong,
    end_name,
    finding,
    miswired,
    most,
    swapped,
    switch_cable,
)

Plan = dict[int, str]
"""The spine, by GUID, that a port leads to at most leaves."""


def uplink_findings(seen: Seen) -> list[Finding]:
    wrong: list[Wrong] = []
    found: list[Finding] = []
    for leaves, spines in _planes(seen):
        plan = _plan(seen, leaves, spines)
        far = _plan(seen, spines, leaves)
        links = [(number, link.guid) for leaf in leaves for number, link in seen.fabric[leaf].links.items() if link.guid in spines]
        if len(leaves) > 2 and 4 * sum(plan.get(number) == spine for number, spine in links) >= 3 * len(links):
            for leaf in leaves:
                wrong += _misplaced(seen, leaf, plan, far)
                found += _lost(seen, leaf, plan, far)
        else:
            found += _counted(seen, leaves, spines)
    return [*found, *_wrong(seen, wrong), *_between_spines(seen)]


def _planes(seen: Seen) -> list[tuple[list[str], list[str]]]:
    """Leaves and the spines that they have in common, in the order of the layout. A stray cable joins no planes."""
    counts = _counts(seen, seen.layout.leaves, seen.layout.spines)
    usual = most(number for number in counts.values() if number) if any(counts.values()) else 0
    planes: list[set[str]] = []
    for pair, number in counts.items():
        if number and 2 * number >= usual:
            joined = [plane for plane in planes if plane.intersection(pair)]
            planes = [plane for plane in planes if plane not in joined] + [set(pair).union(*joined)]
    return [
        ([leaf for leaf in seen.layout.leaves if leaf in plane], [spine for spine in seen.layout.spines if spine in plane])
        for plane in planes
    ]


def _counts(seen: Seen, leaves: list[str], spines: list[str]) -> dict[tuple[str, str], int]:
    """How many links each leaf has to each spine."""
    to = {leaf: Counter(link.guid for link in seen.fabric[leaf].links.values()) for leaf in leaves}
    return {(leaf, spine): to[leaf][spine] for leaf in leaves for spine in spines}


def _plan(seen: Seen, switches: list[str], others: list[str]) -> Plan:
    """By number of a port, the one of `others` that it leads to at more than half of `switches`."""
    votes: dict[int, Counter[str]] = {}
    for guid in switches:
        for number, link in seen.fabric[guid].links.items():
            if link.guid in others:
                votes.setdefault(number, Counter())[link.guid] += 1
    best = {number: of.most_common(1)[0] for number, of in sorted(votes.items())}
    return {number: guid for number, (guid, count) in best.items() if 2 * count > len(switches)}


def _belongs(leaf: str, number: int, plan: Plan, far: Plan) -> End:
    """Where a leaf's port that is in the plan should lead: the spine, and its port where those of the other spines show it."""
    ports = [port for port, spine in plan.items() if spine == plan[number]]
    far_ports = [port for port, guid in far.items() if guid == leaf]
    return plan[number], far_ports[ports.index(number)] if len(ports) == len(far_ports) else None


def _misplaced(seen: Seen, leaf: str, plan: Plan, far: Plan) -> Iterator[Wrong]:
    """Ports that lead to another switch than the plan has; more links than others have do no harm."""
    for number, link in sorted(seen.fabric[leaf].links.items()):
        to_spine = link.guid in seen.layout.spines
        if seen.fabric[link.guid].kind == SWITCH and link.guid != plan.get(number) and (number in plan or not to_spine):
            belongs = _belongs(leaf, number, plan, far) if number in plan else None
            cable = switch_cable(seen, (leaf, number), end_name(seen, (link.guid, link.port)), belongs and end_name(seen, belongs))
            yield Wrong(cable, end_name(seen, (leaf, number)), (link.guid, link.port), belongs)


def _lost(seen: Seen, leaf: str, plan: Plan, far: Plan) -> Iterator[Finding]:
    for number in plan:
        link = seen.fabric[leaf].links.get(number)
        if link is None or seen.fabric[link.guid].kind != SWITCH:
            belongs = _belongs(leaf, number, plan, far)
            instead = f"; an HCA is there, 0x{link.guid}" if link else ""
            message = f"the link of {end_name(seen, (leaf, number))} to {end_name(seen, belongs)} is missing{instead}"
            yield finding("missing", message, switch_cable(seen, (leaf, number), None, end_name(seen, belongs)))


def _wrong(seen: Seen, wrong: list[Wrong]) -> list[Finding]:
    """Cables that are swapped with those of another leaf. Those of one leaf may change places: it has the same links then."""
    found, single = [], []
    ends = {(item.cable["switch"], item.cable["port"]): item for item in wrong}
    for item in wrong:
        other = ends.get((seen.layout.names[item.at[0]], item.at[1]))
        if other is None:
            single.append(item)
        elif item.what < other.what:
            # Between two leaves: wrong at both ends, and one fault all the same.
            message = f"{item.what} and {other.what} are connected with each other: both are leaves"
            found.append(finding("miswired", message, item.cable, other.cable))
    pairs, rest = swapped(single)
    pairs = [(one, other) for one, other in pairs if one.cable["switch"] != other.cable["switch"]]
    for leaf in {item.cable["switch"] for item in rest}:
        of_leaf = [item for item in rest if item.cable["switch"] == leaf]
        if Counter(item.at[0] for item in of_leaf) == Counter(item.belongs and item.belongs[0] for item in of_leaf):
            rest = [item for item in rest if item not in of_leaf]
    return found + miswired(seen, pairs, rest)


def _counted(seen: Seen, leaves: list[str], spines: list[str]) -> Iterator[Finding]:
    """Where leaves are not cabled alike port by port: those with more or fewer links to a spine than most."""
    counts = _counts(seen, leaves, spines)
    usual = {spine: most(counts[leaf, spine] for leaf in leaves) for spine in spines}
    for leaf in leaves:
        fewer = [spine for spine in spines if counts[leaf, spine] < usual[spine]]
        more = [spine for spine in spines if counts[leaf, spine] > usual[spine]]
        if fewer:
            words = [f"{counts[leaf, spine]} links to {seen.layout.names[spine]}, most have {usual[spine]}" for spine in fewer + more]
            cables = [switch_cable(seen, (leaf, None), None, seen.layout.names[spine]) for spine in fewer]
            yield finding("miswired" if more else "missing", f"{seen.layout.names[leaf]} has {'; '.join(words)}", *cables)


def _between_spines(seen: Seen) -> Iterator[Finding]:
    for guid in seen.layout.spines:
        for number, link in sorted(seen.fabric[guid].links.items()):
            if link.guid in seen.layout.spines and (guid, number) < (link.guid, link.port):
                one, other = end_name(seen, (guid, number)), end_name(seen, (link.guid, link.port))
                cables = switch_cable(seen, (guid, number), other), switch_cable(seen, (link.guid, link.port), one)
                yield finding("miswired", f"{one} and {other} are connected with each other: both are spines", *cables)
