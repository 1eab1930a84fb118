# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""Findings: faults of a fabric as data, each with its kind, its cables, and a line for people.

A cable is `{"node", "rail"}` or `{"switch", "port"}`, with what it `is` and what it `should` be; None is nothing, or not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import Fabric, States
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_layout import Layout
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Placed

# In the order of the report.
KINDS = ("absent", "miswired", "missing", "slow", "inactive", "ambiguous", "unnamed")

Finding = dict[str, Any]
Cable = dict[str, Any]
End = tuple[str, int | None]
"""GUID of a device and number of its port, None where it is not known."""


class Seen(NamedTuple):
    """A fabric, and what was made out of it."""

    fabric: Fabric
    states: States
    placed: Placed
    layout: Layout


class Wrong(NamedTuple):
    """A cable that leads to the wrong switch, what a person calls its right end, where its other end is and where it belongs."""

    cable: Cable
    what: str
    at: End
    belongs: End | None


def finding(kind: str, message: str, *cables: Cable) -> Finding:
    return {"kind": kind, "message": message, "cables": list(cables)}


def rail_cable(node: str, rail: int, is_: str | None = None, should: str | None = None) -> Cable:
    return {"node": node, "rail": rail, "is": is_, "should": should}


def switch_cable(seen: Seen, at: End, is_: str | None = None, should: str | None = None) -> Cable:
    return {"switch": seen.layout.names[at[0]], "port": at[1], "is": is_, "should": should}


def end_name(seen: Seen, at: End) -> str:
    name = seen.layout.names[at[0]]
    return name if at[1] is None else f"{name} port {at[1]}"


def place_name(seen: Seen, item: Wrong) -> str:
    return end_name(seen, item.belongs) if item.belongs else "another switch"


def most(values: Iterable[Any]) -> Any:
    """The most common value; of several, the greatest."""
    votes = Counter(values)
    return max(votes, key=lambda value: (votes[value], value))


def swapped(wrong: list[Wrong]) -> tuple[list[tuple[Wrong, Wrong]], list[Wrong]]:
    """Pairs of cables each of which is where the other belongs, and the rest."""
    pairs, rest, left = [], list(wrong), []
    while rest:
        one = rest.pop(0)
        mates = [
            other for other in rest
            if one.belongs and other.belongs and (one.belongs[0], other.belongs[0]) == (other.at[0], one.at[0])
        ]
        if mates:
            # Of several, the one in whose very port it belongs; then the one at the same node, for hands reach no further.
            other = max(mates, key=lambda mate: (one.belongs == mate.at, mate.belongs == one.at, mate.cable.get("node") == one.cable.get("node")))
            rest.remove(other)
            pairs.append((one, other))
        else:
            left.append(one)
    return pairs, left


def miswired(seen: Seen, pairs: list[tuple[Wrong, Wrong]], single: list[Wrong]) -> list[Finding]:
    """A finding for each cable, and one for two that are swapped."""
    found = [
        finding("miswired", f"{item.what} leads to {end_name(seen, item.at)}, and belongs on {place_name(seen, item)}", item.cable)
        for item in single
    ]
    for one, other in pairs:
        message = (
            f"{one.what} and {other.what} are swapped: they lead to {end_name(seen, one.at)} and {end_name(seen, other.at)}, "
            f"and belong on {place_name(seen, one)} and {place_name(seen, other)}"
        )
        found.append(finding("miswired", message, one.cable, other.cable))
    return found
