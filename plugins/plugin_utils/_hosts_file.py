# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The lines of /etc/hosts by which the nodes of a cluster know each other.

They come before DNS on every node, so they must not say anything about names outside of the cluster: single labels only,
each for one node, and none that the file has for the node itself.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.onecc.cluster.plugins.plugin_utils import _ansible
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import GROUP, is_host_name, natural, plain_address


class Node(NamedTuple):
    name: str
    address: str
    alias: str | None
    """The host name that the API knows, where it is another one. Both are single labels."""


def own_variables(variables: Mapping[str, Any], group: str) -> dict[str, Mapping[str, Any]]:
    """What the inventory says of each host of a group, by name, out of a host's variables."""
    names = variables.get("groups", {}).get(group)
    return _ansible.own_variables(variables, names) if names else {}


def nodes(variables: Mapping[str, Any]) -> list[Node]:
    """The nodes of the inventory that have an address, out of a host's variables; those that are away for now too."""
    own = own_variables(variables, GROUP)
    lists = {id(said): said for said in (host.get("onecc_absent") for host in own.values()) if said}  # a source has one for all
    away = {item["name"]: {"onecc_instance": item} for said in lists.values() for item in said}
    return [found for found in (node(name, said) for name, said in {**away, **own}.items()) if found]


def node(name: str, variables: Mapping[str, Any]) -> Node | None:
    """A host by its own variables; None where no address leads to it, or it has no name that the file may have."""
    instance = variables.get("onecc_instance") or {}
    candidates = (instance.get("private_ip"), instance.get("ip"), variables.get("ansible_host"))
    address = next((found for found in (plain_address(str(text)) for text in candidates if text) if found), None)
    labels = [found for found in (label(name), label(instance.get("hostname"))) if found]
    if not address or not labels:
        return None
    return Node(labels[0], address, labels[1] if len(labels) > 1 and labels[1].lower() != labels[0].lower() else None)


def label(name: Any) -> str | None:
    """The first label of a name, for the rest belongs to DNS; None where that is no name of a node."""
    first = name.partition(".")[0] if isinstance(name, str) and is_host_name(name) else ""
    return first if is_host_name(first) else None


def text(found: Iterable[Node]) -> str:
    """A line a node, in the order of names. A name that several bear, in whatever case, is nobody's; nor is an alias that another bears."""
    ordered = sorted(found, key=lambda item: (natural(item.name), int(ipaddress.ip_address(item.address))))
    names = Counter(item.name.lower() for item in ordered)
    aliases = Counter(item.alias.lower() for item in ordered if item.alias)
    lines = []
    for item in ordered:
        labels = [item.name] if names[item.name.lower()] == 1 else []
        # An alias is what a node was called by the API, and takes no name away from another.
        if item.alias and aliases[item.alias.lower()] == 1 and item.alias.lower() not in names:
            labels.append(item.alias)
        if labels:
            lines.append(" ".join([item.address, *labels]) + "\n")
    return "".join(lines)
