# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The SSH configuration that Lambda's console hands out for a cluster, as a source of hosts without the API.

It has a `Host <name>` block with a `HostName <address>` for each node. Of ssh_config(5) this reads what is needed for
that: Host blocks with patterns, HostName, Port and User, the first value winning. Match and Include are passed over.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import (
    HEAD,
    Host,
    Node,
    Notes,
    filtered,
    is_host_name,
    listed,
    plain_address,
    quoted,
    with_roles,
)

_USER = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.@+-]*")


@dataclass(frozen=True)
class Entry:
    """One Host of the file."""

    name: str
    host_name: str | None
    port: str | None
    user: str | None


def hosts_from_config(
    text: str, names: t.Sequence[str], overrides: t.Mapping[str, str], notes: Notes
) -> list[Host]:
    """Hosts of the file. Heads are told by their names; whatever else there is computes."""
    refused = []
    entries = {}
    for entry in entries_of(text):
        fault = _fault(entry)
        if fault:
            refused.append(f"{quoted(entry.name)} ({fault})")
        else:
            entries[entry.name] = entry
    if refused:
        notes.warnings.append(f"Left out of the hosts of console_ssh_config: {listed(refused)}.")
    nodes = filtered(map(_node, entries.values()), (), (), names)
    # A guess by the name is all there is, so nobody needs to be told that it is one.
    hosts = with_roles(((t.cast(str, node["name"]), node) for node in nodes), overrides, True, Notes())
    return [_completed(host, entries[host.name]) for host in hosts]


def entries_of(text: str) -> list[Entry]:
    """The hosts that the file names, in its order, each with what all blocks that apply to it say."""
    blocks = _blocks(text)
    names = dict.fromkeys(pattern for patterns, _settings in blocks for pattern in patterns if not set(pattern) & set("*?!"))
    return [_entry(name, blocks) for name in names]


def _entry(name: str, blocks: t.Sequence[tuple[list[str], dict[str, str]]]) -> Entry:
    settings: dict[str, str] = {}
    for patterns, said in blocks:
        if _applies(name, patterns):
            settings = {**said, **settings}
    host_name = settings.get("hostname", name).replace("%h", name)
    return Entry(name, host_name, settings.get("port"), settings.get("user"))


def _applies(name: str, patterns: t.Sequence[str]) -> bool:
    if any(pattern.startswith("!") and fnmatchcase(name, pattern[1:]) for pattern in patterns):
        return False
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _blocks(text: str) -> list[tuple[list[str], dict[str, str]]]:
    blocks: list[tuple[list[str], dict[str, str]]] = [(["*"], {})]
    for line in text.splitlines():
        match = re.match(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$", line)
        if not match:
            continue  # empty, a comment, or nothing that ssh would take
        keyword = match.group(1).lower()
        words = [quoted_word or word for quoted_word, word in re.findall(r'"([^"]*)"|([^\s"]+)', match.group(2))]
        if keyword == "host":
            blocks.append((words, {}))
        elif keyword == "match":
            blocks.append(([], {}))
        elif words:
            blocks[-1][1].setdefault(keyword, words[0])
    return blocks


def _fault(entry: Entry) -> str:
    if not is_host_name(entry.name):
        return "not usable as the name of a host"
    if entry.host_name is None or plain_address(entry.host_name) is None:
        return "HostName is not an address"
    if entry.port is not None and not (re.fullmatch(r"[0-9]{1,5}", entry.port) and 0 < int(entry.port) < 65536):
        return "Port is not a port"
    if entry.user is not None and not is_user(entry.user):
        return "User is not usable as a user name"
    return ""


def is_user(name: str) -> bool:
    """Whether `name` can be a user on a node, and nothing else on a command line."""
    return _USER.fullmatch(name) is not None


def _node(entry: Entry) -> Node:
    address = t.cast(str, plain_address(entry.host_name or ""))
    private = ipaddress.ip_address(address).is_private
    return Node(
        id=None, name=entry.name, hostname=None, region=None, instance_type=None, gpus=None, status=None,
        ip=None if private else address, private_ip=address if private else None, file_systems=[], tags={},
    )


def _completed(host: Host, entry: Entry) -> Host:
    node = host.node
    if host.role == HEAD and node["ip"] is None:
        # What the file lists for a head node is how it is entered, whatever network that is.
        node = Node(**{**node, "ip": node["private_ip"]})  # type: ignore[typeddict-item]
    return replace(host, node=node, port=int(entry.port) if entry.port else None, user=entry.user)
