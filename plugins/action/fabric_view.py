# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.onecc.cluster.plugins.plugin_utils import _declaration, _fabric_svg, _fabric_view
from ansible_collections.onecc.cluster.plugins.plugin_utils._discovery import ROLE_GROUPS
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric import FabricError
from ansible_collections.onecc.cluster.plugins.plugin_utils._fabric_nodes import Node

ARGUMENTS = {
    "nodes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "aliases": {"type": "list", "elements": "str", "default": []},
            "guids": {"type": "list", "elements": "str", "default": []},
        },
    },
    "rails": {"type": "int"},
    "spines": {"type": "int"},
    "ibnetdiscover": {"type": "str"},
    "iblinkinfo": {"type": "str"},
    "svg": {"type": "str"},
    "topology": {"type": "str"},
    "report": {"type": "str"},
    "required": {"type": "bool", "default": False},
}

# No description can forge this line: none has a line end.
SECOND = "## onecc.cluster iblinkinfo"
# infiniband-diags are in /usr/sbin, which the PATH of a user may lack.
SCRIPT = f"""\
PATH=$PATH:/usr/sbin:/sbin
ibnetdiscover || exit
echo '{SECOND}'
iblinkinfo
"""

# What the shell and libibumad say, and what that means for whoever reads it.
CAUSES = (
    (r"not found", "ibnetdiscover is not there. Install the package infiniband-diags on this node, or ask another one"),
    (r"Permission denied|Operation not permitted", "it may not open /dev/infiniband/umad*. Run the task with become"),
    (r"ABI version|ib_umad module", "the kernel module ib_umad is not loaded, or the node has no InfiniBand HCA. Ask another node"),
    (r"can't open UMAD port|discover failed", "no InfiniBand port of the node is up. Ask another node"),
)

# Lines that could not be read, of which each has a warning.
WARNED = 3

_GUID = re.compile(r"(?:0x)?[0-9a-f]{1,16}")


class ActionModule(ActionBase):
    """Looks at a fabric from one node. Documented in plugins/modules/fabric_view.py."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result = super().run(tmp, variables)
        try:
            arguments = _declaration.validate(ARGUMENTS, self._task.args, "fabric_view")
            nodes = inventory_nodes(variables) if arguments["nodes"] is None else [given_node(item) for item in arguments["nodes"]]
            network, links, warnings = self.ask(arguments)
            view = _fabric_view.view(network, links, nodes, arguments["rails"], arguments["spines"])
            contents = {
                arguments["svg"]: _fabric_svg.svg(view),
                arguments["topology"]: _fabric_view.topology_conf(view),
                arguments["report"]: json.dumps(view, indent=2) + "\n",
            }
            diffs = [diff for path, text in contents.items() if path and (diff := self.write(path, text))]
        except (_declaration.DeclarationError, FabricError) as error:
            return {**result, "failed": True, "msg": error.message}
        table = _fabric_view.table(view)
        more = len(view["unread"]) - WARNED
        warnings += [f"{message} It was left out." for message in view["unread"][:WARNED]] + ([f"{more} more such lines are in `unread`."] if more > 0 else [])
        result |= {"changed": bool(diffs), **view, "table": table, "msg": "\n".join(table), "warnings": warnings}
        result["failed"] = arguments["required"] and bool(view["findings"])
        return {**result, "diff": diffs} if self._task.diff else result

    def ask(self, arguments: dict[str, Any]) -> tuple[str, str, list[str]]:
        """What ibnetdiscover and iblinkinfo say, in one round trip, and warnings; or what was captured."""
        if arguments["ibnetdiscover"] is not None:
            return arguments["ibnetdiscover"], arguments["iblinkinfo"] or "", []
        if arguments["iblinkinfo"] is not None:
            raise FabricError("fabric_view: iblinkinfo completes ibnetdiscover, and is not enough without it.")
        # On standard input, so that what the tools warn of does not come between what they say.
        done = self._low_level_execute_command(f"{self._compute_environment_string()} /bin/sh", in_data=SCRIPT.encode())
        network, second, links = done["stdout"].partition(f"{SECOND}\n")
        said = [line for line in done["stderr"].splitlines() if line.strip()]
        if not second:
            raise FabricError(failure(done["rc"], "\n".join(said)))
        if done["rc"]:
            return network, "", [f"iblinkinfo ended with status {done['rc']}, so the states of ports are not known: {' '.join(said[-2:])}"]
        return network, links, said[:3]

    def write(self, path: str, text: str) -> dict[str, str] | None:
        """Writes a file on the controller, if it differs and this is no check; returns the difference."""
        path = os.path.abspath(os.path.expanduser(path))
        try:
            before = ""
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    before = file.read()
            if before == text:
                return None
            if not self._task.check_mode:
                with open(f"{path}.new", "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(f"{path}.new", path)
        except (OSError, UnicodeError) as error:
            raise FabricError(f"fabric_view: {path} cannot be written: {error}") from error
        return {"before": before, "after": text, "before_header": path, "after_header": path}


def failure(status: int, said: str) -> str:
    """What to do about an ibnetdiscover that failed."""
    cause = next((cause for pattern, cause in CAUSES if re.search(pattern, said)), "")
    return f"ibnetdiscover ended with status {status}" + (f": {cause}." if cause else ".") + f" It said: {said.strip() or 'nothing'}"


def given_node(item: Mapping[str, Any]) -> Node:
    return Node(item["name"], tuple(item["aliases"]), tuple(guid(text) for text in item["guids"]))


def guid(text: str | None) -> str | None:
    """A GUID as /sys, ibstat or ibnetdiscover write it, as 16 digits; None where it is not known, which is an empty string."""
    plain = (text or "").replace(":", "").lower()
    if plain and not _GUID.fullmatch(plain):
        raise FabricError(f"fabric_view: {text!r} is no GUID, such as 0xa088c20300123456 or a088:c203:0012:3456.")
    return plain.removeprefix("0x").zfill(16) if plain else None


def inventory_nodes(variables: Mapping[str, Any]) -> list[Node]:
    """The compute nodes of the inventory, by all the names they are known under, and their rails where node_facts told them."""
    hosts = variables.get("hostvars", {})
    return [inventory_node(name, hosts[name]) for name in variables.get("groups", {}).get(ROLE_GROUPS["compute"], [])]


def inventory_node(name: str, variables: Mapping[str, Any]) -> Node:
    instance, facts = variables.get("onecc_instance") or {}, variables.get("ansible_facts") or {}
    aliases = [instance.get("hostname"), instance.get("name"), facts.get("hostname"), facts.get("fqdn")]
    told = facts.get("onecc_node") or {}
    ports = {(port["device"], port["port"]): guid(port["port_guid"]) for port in told.get("rdma") or []}
    rails = {rail["index"]: ports.get((rail["device"], rail["port"])) for rail in (told.get("rails") or {}).get("rails") or []}
    guids = tuple(rails.get(rail) for rail in range(max(rails, default=-1) + 1))
    return Node(name, tuple(str(alias) for alias in aliases if alias), guids)
