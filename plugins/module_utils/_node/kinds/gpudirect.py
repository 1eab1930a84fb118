# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""GPUDirect RDMA: possible in the declared way, where there are the NVIDIA driver and an RDMA device. Only compared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import gpudirect, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True, "choices": ["auto", "dmabuf", "peermem"]}, **specs.WHERE}


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for declared in resources:
        name = declared["name"]
        if why := gpudirect.impossible(machine, name):
            yield difference(name, "possible", False, True, f"GPUDirect RDMA ({name}) is not possible: {', and '.join(why)}", remedy="manual")
