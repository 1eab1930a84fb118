# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Names of RDMA devices: as the rule that is in force has them. A device gets its name when it appears, so a reboot mends it."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import rdma_names
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True, "choices": list(rdma_names.PATTERNS)}}


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        name = declared["name"]
        if others := rdma_names.others(machine, name):
            yield difference(name, "reboot", others, name, rdma_names.reboot_reason(others, name), remedy="reboot")
