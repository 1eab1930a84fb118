# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Compares a machine with a declared state and says what differs. Changes nothing."""

from __future__ import annotations

import importlib

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

NODE = "ansible_collections.onecc.cluster.plugins.module_utils._node."


def check(machine: Machine, state: dict[str, list[dict]]) -> list[dict]:
    """The differences of every resource in `state` (resources by kind), each marked with its kind, in the state's order."""
    found = []
    for kind, resources in state.items():
        module = importlib.import_module(NODE + "kinds." + kind)
        if any(item.get("where") for item in resources):  # else its code is not even loaded
            resources = importlib.import_module(NODE + "presence").here(machine, resources)
            if not resources:
                continue
        found += [{"kind": kind, **item} for item in module.check(machine, resources)]
    return found
