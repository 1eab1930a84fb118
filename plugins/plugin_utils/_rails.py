# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The rails of many nodes beside each other: which node is not like its peers, and in what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def differences(nodes: Mapping[str, Any], types: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What is odd, by node in the order given and then by rail.

    `nodes` has the facts of node_facts (subset rails, and gpus), `types` the instance types. A node is compared with those of its
    type, or with those that have as many GPUs of the same sort where its type is not known. Facts are what a node sent: where
    they are not as documented, that is said of this node, and the others are compared.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    groups: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for host, facts in nodes.items():
        if wrong := _wrong(facts):
            found[host] = [_item("facts", None, None, None, f"its facts cannot be compared: {wrong}. See what onecc.cluster.node_facts says there")]
        else:
            groups.setdefault((types or {}).get(host) or _sort_of(facts), {})[host] = facts
    found |= {host: items for members in groups.values() for host, items in _of_group(members).items()}
    return [{"host": host, **item} for host in nodes for item in found[host]]


# What is read of a rail. Nothing else is looked at.
_TEXTS = ("name", "interface", "address", "state", "phys_state")
_NUMBERS = ("rate", "width", "speed")
# PCI addresses, devices and interfaces have none but these (udev and the kernel make them of these).
_PLAIN = re.compile(r"[\w.:@+ -]{0,64}", re.ASCII)
_MOST = 1000


def _wrong(facts: Any) -> str | None:
    """What is not as documented in the facts of a node."""
    if not isinstance(facts, Mapping):
        return "they are no dictionary"
    gpus, told = facts.get("gpus") or [], facts.get("rails")
    if not isinstance(gpus, list) or len(gpus) > _MOST or not all(isinstance(gpu, Mapping) and _plain(gpu.get("id")) for gpu in gpus):
        return "gpus is no list of GPUs"
    if not isinstance(told, Mapping) or told.get("by") not in ("affinity", "address"):
        return "rails has no order by affinity or address"
    rails = told.get("rails")
    if not isinstance(rails, list) or len(rails) > _MOST or not all(isinstance(rail, Mapping) for rail in rails):
        return "rails has no list of rails"
    if not all(isinstance(rail.get("name"), str) and isinstance(rail.get("index"), int) for rail in rails):
        return "a rail has no name or index"
    texts = [field for rail in rails for field in _TEXTS if not _plain(rail.get(field))]
    numbers = [field for rail in rails for field in _NUMBERS if not _figure(rail.get(field))]
    return f"a rail's {(texts + numbers)[0]} is no plain value" if texts or numbers else None


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str) and _PLAIN.fullmatch(value) is not None


def _figure(value: Any) -> bool:
    return value is None or isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6


def _sort_of(facts: Mapping[str, Any]) -> tuple:
    """Stands for the type: the sort of GPU. Their number does not count, since one may be missing."""
    return tuple(sorted({gpu.get("id") or "" for gpu in facts.get("gpus") or []}))


def _of_group(members: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    keys = _keys(members)
    rails = {host: dict(zip(keys[host], facts["rails"]["rails"])) for host, facts in members.items()}
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


def _keys(members: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """By what each rail is the same one on another node, in one way for all of them: its place among the GPUs; where PCI hides
    that from most, its own address, or the interface of one that has none.

    On a node that has not as many rails as most, places may have moved. Where its addresses are those of its peers, they tell.
    """
    ways = Counter(facts["rails"]["by"] for facts in members.values())
    if ways["address"] > ways["affinity"]:
        return {
            host: [rail.get("address") or rail.get("interface") or rail["name"] for rail in facts["rails"]["rails"]] for host, facts in members.items()
        }
    usual = _most(len(facts["rails"]["rails"]) for facts in members.values())
    votes: dict[str, Counter[int]] = {}
    for facts in members.values():
        for rail in facts["rails"]["rails"] if len(facts["rails"]["rails"]) == usual else []:
            if rail.get("address"):
                votes.setdefault(rail["address"], Counter())[rail["index"]] += 1
    place = {address: of.most_common(1)[0][0] for address, of in votes.items()}

    def index(own: list[Mapping[str, Any]], rail: Mapping[str, Any]) -> int:
        known = [place.get(other.get("address") or "") for other in own]
        moved = len(own) != usual and None not in known and len(set(known)) == len(known)
        return place[rail["address"]] if moved else rail["index"]

    return {host: [f"rail {index(facts['rails']['rails'], rail)}" for rail in facts["rails"]["rails"]] for host, facts in members.items()}


def _gpus(host: str, members: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fewer GPUs than most have: without one, the places of rails may move."""
    numbers = Counter(len(facts.get("gpus") or []) for facts in members.values())
    is_, should = len(members[host].get("gpus") or []), _most(numbers.elements())
    message = f"it has {is_} GPUs; {numbers[should]} of {len(members) - 1} peers have {should}"
    return [_item("gpus", None, is_, should, message)] if is_ < should else []


def _label(rail: Mapping[str, Any]) -> str:
    where = ", ".join(text for text in (rail["name"], rail.get("interface"), rail.get("address")) if text)
    return f"rail {rail['index']} ({where})"


def _most(values: Iterable[Any]) -> Any:
    """The most common value; of several, the greatest."""
    votes = Counter(values)
    return max(votes, key=lambda value: (votes[value], value), default=0)


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
        if rail.get("state") != "ACTIVE":
            up = sum(other[key].get("state") == "ACTIVE" for other in peers if key in other)
            said = f"{rail.get('state') or 'unknown'}, {rail.get('phys_state') or 'unknown'}"
            found.append(_item("down", rail["name"], rail.get("state"), "ACTIVE", f"{_label(rail)} is down ({said}); it is up on {_of(up, peers)}"))
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
    return None if not rail or attribute == "rate" and rail.get("state") != "ACTIVE" else rail.get(attribute)


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
