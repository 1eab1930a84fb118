# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on the controller.
"""The lines of /etc/hosts by which the nodes of a cluster know each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import GROUP, is_host_name, natural, plain_address


class Node(NamedTuple):
    name: str
    address: str
    alias: str | None
    """The host name that the API knows, where it is another one."""


def own_variables(variables: Mapping[str, Any], group: str) -> dict[str, Mapping[str, Any]]:
    """What the inventory says of each host of a group, by name, out of a host's variables.

    Not their whole variables, which cost a millisecond a host to gather: every node asks for those of every other.
    """
    inventory = getattr(variables.get("hostvars"), "_inventory", None)
    hosts = [inventory.get_host(name) for name in variables.get("groups", {}).get(group, [])] if inventory else []
    return {host.name: host.vars for host in hosts if host}


def nodes(variables: Mapping[str, Any]) -> list[Node]:
    """The nodes of the inventory that have an address, out of a host's variables; those that are away for now too."""
    found = [node(name, own) for name, own in own_variables(variables, GROUP).items()]
    known = {item.name for item in found if item}
    away = [item for item in variables.get("onecc_absent") or [] if item["name"] not in known]
    found += [node(item["name"], {"onecc_instance": item}) for item in away]
    return [item for item in found if item]


def node(name: str, variables: Mapping[str, Any]) -> Node | None:
    """A host by its own variables; None where no address leads to it, or its name is none."""
    instance = variables.get("onecc_instance") or {}
    candidates = (instance.get("private_ip"), instance.get("ip"), variables.get("ansible_host"))
    address = next((found for found in (plain_address(str(text)) for text in candidates if text) if found), None)
    if not address or not is_host_name(name):
        return None
    alias = instance.get("hostname")
    return Node(name, address, alias if alias and alias != name and is_host_name(alias) else None)


def text(found: Iterable[Node]) -> str:
    """A line a node, in the order of names. An alias that several bear, or that is the name of another, is nobody's."""
    ordered = sorted(found, key=lambda item: natural(item.name))
    borne = Counter([item.name for item in ordered] + [item.alias for item in ordered if item.alias])
    lines = [
        f"{item.address} {item.name}" + (f" {item.alias}" if item.alias and borne[item.alias] == 1 else "")
        for item in ordered
    ]
    return "".join(f"{line}\n" for line in lines)
