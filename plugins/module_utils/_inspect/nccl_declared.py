# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What a declaration of NCCL's configuration may say: for the module that applies it and for the controller."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._inspect import nccl_findings, nccl_lint
from ansible_collections.onecc.cluster.plugins.module_utils._node import nccl_conf, nccl_files, network, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import blocks

# What says something of the node, and not of the setting: such a setting is written all the same.
_OF_THE_NODE = ("device-down", "newer-variable", "shadowed")


def invalid(declared: dict) -> str | None:
    """What is wrong with a declaration whatever node it is for."""
    for field in ("path", "profile"):
        if declared[field] is not None and not re.fullmatch(specs.PATH[0], declared[field]):
            return f"{field} is {declared[field]!r}; allowed is {specs.PATH[1]}"
    if declared["address"] is not None and network.number(declared["address"]) is None:
        return f"address is {declared['address']!r}; allowed is an address of IPv4"
    if unknown := sorted(set(declared["allow"]) - set(nccl_findings.RULES)):
        return f"allow has {', '.join(unknown)}; the linter's rules are {', '.join(nccl_findings.RULES)}"
    if declared["topology"] is not None and not nccl_files.topology_addresses(declared["topology"]):
        return "topology has no PCI address; give it the contents of an XML file of NCCL, as NCCL_TOPO_DUMP_FILE writes it"
    for item in declared["settings"]:
        if not re.fullmatch(r"[^\x00-\x1f\x7f]+", item["reason"]) or "\n" in item["name"] + item["value"]:
            return f"settings, {item['name']}: name, value and reason are a line each, and the reason is not empty"
        if wrong := blocks.wrong_content(nccl_conf.render([item])):
            return f"settings, {item['name']}: {wrong}"
    found = objections(declared, nccl_conf.render(declared["settings"]), nccl_findings.Node())
    return f"settings: {'; '.join(found)}" if found else None


def objections(declared: dict, settings: str, node: nccl_findings.Node) -> list[str]:
    """What the linter has against settings, a line each."""
    found = nccl_lint.lint(declared["path"], settings.encode("utf-8", "surrogateescape"), node)
    passed_over = (*_OF_THE_NODE, *declared["allow"])
    return [f"{item['message']} ({item['rule']}; {item['fix']})" for item in found if item["rule"] not in passed_over]
