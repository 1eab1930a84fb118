# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The provider of the RDMA stack: the declared one, and its modules are those that run."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import ofed
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {
    "name": {"type": "str", "required": True, "choices": [ofed.DETECT, *ofed.PROVIDERS]},
    "replace": {"type": "list", "elements": "str", "choices": list(ofed.PROVIDERS), "default": []},
}


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        name, stack = declared["name"], ofed.Stack(machine)
        if stack.provider and name not in (stack.provider, ofed.DETECT):
            told = stack.provider in declared["replace"]
            stays = "" if told else f". It stays until ofed_replace names {stack.provider}"
            message = f"the RDMA stack is {stack}, declared is {name}{stays}"
            yield difference(name, "provider", stack.provider, name, message, remedy="apply" if told else "manual")
        elif reason := ofed.reboot_reason(machine, stack):
            yield difference(name, "reboot", None, stack.version, reason, remedy="reboot")
