# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The rails of many nodes beside each other: which node is not like its peers, and in what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


def differences(nodes: Mapping[str, Mapping[str, Any]], types: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What is odd, by node in the order given and then by rail.

    `nodes` has the facts of node_facts (subset rails, and gpus), `types` the instance types. A node is compared with those of its
    type, or with those that have as many GPUs of the same sort where its type is not known.
    """
    groups: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for host, facts in nodes.items():
        groups.setdefault((types or {}).get(host) or _sort_of(facts), {})[host] = facts
    found = {host: item for members in groups.values() for host, item in _of_group(members).items()}
    return [{"host": host, **item} for host in nodes for item in found[host]]


def _sort_of(facts: Mapping[str, Any]) -> tuple:
    """Stands for the type: the sort of GPU. Their number does not count, since one may be missing."""
    return tuple(sorted({gpu["id"] for gpu in facts.get("gpus") or []}))


def _of_group(members: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    rails = {host: {_key(facts["rails"], rail): rail for rail in facts["rails"]["rails"]} for host, facts in members.items()}
    held = Counter(key for own in rails.values() for key in own)
    expected = [key for key, number in held.items() if number * 2 >= len(members)]
    expected.sort(key=lambda key: next(own[key]["index"] for own in rails.values() if key in own))
    found = {}
    for host, own in rails.items():
        peers = [other for name, other in rails.items() if name != host]
        items = [*_gpus(host, members), *_number(own, expected, peers), *_each(own, peers)]
        if not any(item["field"] in ("missing", "extra") for item in items):
            items += _order(own, expected, peers)  # the names after a missing one would all be others
        found[host] = items
    return found


def _gpus(host: str, members: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fewer GPUs than most have: without one, the places of rails may move."""
    numbers = Counter(len(facts.get("gpus") or []) for facts in members.values())
    is_, should = len(members[host].get("gpus") or []), max(numbers, key=lambda number: (numbers[number], number))
    message = f"it has {is_} GPUs; {numbers[should]} of {len(members) - 1} peers have {should}"
    return [_item("gpus", None, is_, should, message)] if is_ < should else []


def _key(facts: Mapping[str, Any], rail: Mapping[str, Any]) -> str:
    """By what a rail is the same one on another node: its place among the GPUs; where PCI hides that, its own address, or the
    interface of one that has none."""
    if facts["by"] == "affinity":
        return f"rail {rail['index']}"
    return rail["address"] or rail["interface"] or rail["name"]


def _label(rail: Mapping[str, Any]) -> str:
    where = ", ".join(text for text in (rail["name"], rail["interface"], rail["address"]) if text)
    return f"rail {rail['index']} ({where})"


def _item(field: str, rail: str | None, is_: Any, should: Any, message: str) -> dict[str, Any]:
    return {"field": field, "rail": rail, "is": is_, "should": should, "message": message}


def _of(number: int, peers: list) -> str:
    return f"{number} of {len(peers)} peers"


def _number(own: dict, expected: list[str], peers: list[dict]) -> list[dict[str, Any]]:
    found = []
    for key in (key for key in expected if key not in own):
        with_it = [other[key] for other in peers if key in other]
        name = Counter(rail["name"] for rail in with_it).most_common(1)[0][0]
        found.append(_item("missing", name, None, name, f"{key} is missing; {_of(len(with_it), peers)} have it, as {name}"))
    for key in (key for key in own if key not in expected):
        rail = own[key]
        without = sum(key not in other for other in peers)
        found.append(_item("extra", rail["name"], rail["name"], None, f"{_label(rail)} is one that {_of(without, peers)} do not have"))
    return found


def _each(own: dict, peers: list[dict]) -> list[dict[str, Any]]:
    found = []
    for key, rail in own.items():
        if rail["state"] != "ACTIVE":
            up = sum(other[key]["state"] == "ACTIVE" for other in peers if key in other)
            said = f"{rail['state'] or 'unknown'}, {rail['phys_state'] or 'unknown'}"
            found.append(_item("down", rail["name"], rail["state"], "ACTIVE", f"{_label(rail)} is down ({said}); it is up on {_of(up, peers)}"))
        for field, attribute, unit in (("slower", "rate", "Gb/s"), ("narrower", "width", "PCIe lanes"), ("narrower", "speed", "GT/s of PCIe")):
            values = Counter(value for other in [*peers, own] if (value := _known(other.get(key), attribute)))
            should = max(values, key=lambda value: (values[value], value), default=0)
            is_ = _known(rail, attribute)
            if is_ and is_ < should:
                message = f"{_label(rail)} has {is_:g} {unit}; {_of(values[should], peers)} have {should:g}"
                found.append(_item(field, rail["name"], is_, should, message))
    return found


def _known(rail: Mapping[str, Any] | None, attribute: str) -> float | None:
    """An attribute of a rail; None where it says nothing, as the rate of a port without a link."""
    return None if not rail or attribute == "rate" and rail["state"] != "ACTIVE" else rail[attribute]


def _order(own: dict, expected: list[str], peers: list[dict]) -> list[dict[str, Any]]:
    """The names in the order of the rails. Half of the nodes against the other half: all are named."""
    def order(rails: dict) -> tuple[str, ...]:
        return tuple(rails[key]["name"] for key in expected if key in rails)

    orders = Counter(order(other) for other in peers if set(expected) <= set(other))
    if not orders:
        return []
    should, number = orders.most_common(1)[0]
    if order(own) == should or orders[order(own)] + 1 > number:
        return []
    message = f"the rails are, in their order, {' '.join(order(own))}; on {_of(number, peers)} they are {' '.join(should)}"
    return [_item("order", None, list(order(own)), list(should), message)]
