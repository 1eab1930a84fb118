# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Compares a machine with a declared state and says what differs. Changes nothing."""

from __future__ import annotations

import importlib

from ansible_collections.onecc.cluster.plugins.module_utils._node import presence
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

KINDS = "ansible_collections.onecc.cluster.plugins.module_utils._node.kinds."


def check(machine: Machine, state: dict[str, list[dict]]) -> list[dict]:
    """The differences of every resource in `state` (resources by kind), each marked with its kind, in the state's order.

    Those of resources that are declared for something else than this node (`where`) are none.
    """
    found = []
    for kind, resources in state.items():
        module = importlib.import_module(KINDS + kind)
        here = [item for item in resources if presence.CONDITIONS[item.get("where") or "all"](machine)]
        if here or not resources:
            found += [{"kind": kind, **item} for item in module.check(machine, here)]
    return found
