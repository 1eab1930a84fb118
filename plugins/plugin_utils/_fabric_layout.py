# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""How a fabric is built: leaf and spine switches, and the pods, which are nodes whose rails meet the same leaves.

Nobody has to say so: most cables are right, and show it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import natural
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import SWITCH, Fabric
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Rails

# A managed switch calls itself "MF0;name:MQM9700/U1". One of several chips, as in a director switch, says which it is behind the
# model: "MF0;name:MCS8500/L01/U1", "MF0;name:Q3400_RA/U3".
_MANAGED = re.compile(r"MF[0-9]+;(.+):([^:;/]*)((?:/[^:;]*)?)")

Meets = dict[int, str]
"""The leaf, by GUID, that each rail meets."""


class Pod(NamedTuple):
    leaves: Meets
    """Where the rails of most of its nodes meet."""
    nodes: list[str]


class Layout(NamedTuple):
    leaves: list[str]
    """GUIDs, in the order of pods and rails."""
    spines: list[str]
    """GUIDs, in the order of names: switches without nodes that leaves lead to."""
    pods: list[Pod]
    names: dict[str, str]
    """What a person calls each device, by GUID; no two are the same."""


def layout(fabric: Fabric, rails: Rails) -> Layout:
    names = _names(fabric)
    leaves = _leaves(fabric, Counter(port.switch for ports in rails.values() for port in ports.values()))
    meets = {node: {rail: port.switch for rail, port in ports.items() if port.switch in leaves} for node, ports in rails.items()}
    pods = _pods({node: found for node, found in meets.items() if found})
    spines = {
        link.guid for guid in leaves for link in fabric[guid].links.values()
        if fabric[link.guid].kind == SWITCH and link.guid not in leaves
    }
    by_pod = [guid for pod in pods for _rail, guid in sorted(pod.leaves.items())]
    by_name = sorted(leaves, key=lambda guid: natural(names[guid]))
    return Layout(list(dict.fromkeys(by_pod + by_name)), sorted(spines, key=lambda guid: natural(names[guid])), pods, names)


def _names(fabric: Fabric) -> dict[str, str]:
    """The shortest of its names that is none of another's: of a managed switch its own, the same with its chip, or all that it
    says; else the description, or the GUID."""
    spellings = {guid: _spellings(device.description) for guid, device in fabric.items()}
    borne = Counter(name for names in spellings.values() for name in dict.fromkeys(names))
    return {guid: next((name for name in names if name and borne[name] == 1), f"0x{guid}") for guid, names in spellings.items()}


def _spellings(description: str) -> list[str]:
    managed = _MANAGED.fullmatch(description)
    if not managed:
        return [description]
    name, _model, chip = managed.groups()
    # The only chip of a switch is U1. Others say which they are though the rest should be dark.
    return [*([name] if chip in ("", "/U1") else []), f"{name}{chip}", description]


def _leaves(fabric: Fabric, nodes: Counter[str]) -> set[str]:
    """The switches that rails meet. One with few, most of whose links lead to switches with many, is a spine with a stray cable."""
    def spine(guid: str) -> bool:
        to = [link.guid for link in fabric[guid].links.values() if fabric[link.guid].kind == SWITCH]
        return 2 * sum(nodes[other] >= 2 * nodes[guid] for other in to) > len(to)

    return {guid for guid in nodes if fabric[guid].kind == SWITCH and not spine(guid)}


def _pods(meets: dict[str, Meets]) -> list[Pod]:
    """Pods in the order of their first nodes; each node is in one."""
    used: dict[str, Counter[int]] = {}
    for found in meets.values():
        for rail, leaf in found.items():
            used.setdefault(leaf, Counter())[rail] += 1
    alike = Counter(tuple(found.items()) for found in meets.values())
    groups: list[list[str]] = []
    firsts: list[Meets] = []
    # Each node joins the first that most of its rails agree with, the most common ones first; those that none agrees with begin one.
    for node in sorted(meets, key=lambda node: (-len(meets[node]), -alike[tuple(meets[node].items())], natural(node))):
        best = max(range(len(firsts)), key=lambda i: _agreement(meets[node], firsts[i]), default=None)
        if best is None or 2 * _agreement(meets[node], firsts[best])[0] < len(meets[node]):
            firsts.append(meets[node])
            groups.append([node])
        else:
            groups[best].append(node)
    pods = [Pod(_common([meets[node] for node in group], used), group) for group in groups]
    # A node most of whose cables are wrong has begun one of its own, in which its rails meet other rails' leaves.
    sound = [pod for pod in pods if 2 * sum(_usual(used[leaf], rail) for rail, leaf in pod.leaves.items()) > len(pod.leaves)] or pods
    sound.sort(key=lambda pod: -len(pod.nodes))
    members: list[list[str]] = [[] for _pod in sound]
    for node in sorted(meets, key=natural):
        members[max(range(len(sound)), key=lambda i: _agreement(meets[node], sound[i].leaves))].append(node)
    found = [Pod(_common([meets[node] for node in group], used), group) for group in members if group]
    return sorted(found, key=lambda pod: natural(pod.nodes[0]))


def _agreement(one: Meets, other: Meets) -> tuple[int, int]:
    """How many rails meet the same leaf; and, for a node with every cable wrong, how many meet any leaf of the other's."""
    return sum(other.get(rail) == leaf for rail, leaf in one.items()), len(set(one.values()) & set(other.values()))


def _usual(rails: Counter[int], rail: int) -> bool:
    """Whether a leaf is one for this rail: as many cables of it, about, as of any."""
    return 2 * rails[rail] >= max(rails.values())


def _common(group: Iterable[Meets], used: dict[str, Counter[int]]) -> Meets:
    """The leaf that most meet, by rail, the surest first. Of two that as many meet, the one that is for this rail at other nodes,
    then the one that no rail has yet, then the first."""
    votes: dict[int, Counter[str]] = {}
    for found in group:
        for rail, leaf in found.items():
            votes.setdefault(rail, Counter())[leaf] += 1
    chosen: Meets = {}
    for rail in sorted(votes, key=lambda rail: (-max(votes[rail].values()), rail)):
        chosen[rail] = max(votes[rail], key=lambda leaf: (votes[rail][leaf], _usual(used[leaf], rail), leaf not in chosen.values()))
    return chosen
