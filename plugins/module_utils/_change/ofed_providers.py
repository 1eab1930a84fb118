# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""The provider of the RDMA stack: replaced in one transaction, where that is allowed."""

from __future__ import annotations

from typing import Any

from ansible_collections.onecc.cluster.plugins.module_utils._change import ofed_change, package_set
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import ofed
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def prepare(hand: Hand, resources: list[dict], state: dict[str, list[dict]]) -> dict[str, Any] | None:
    """What the change takes, before anything is written: the source of another provider's packages alone would draw them in."""
    machine, provider = Machine(), resources[0]
    params = {"provider": provider["name"], "replace": provider["replace"], "packages": state.get("locked_packages", [])}
    return ofed_change.replacing(hand.holding(params), machine, ofed.Stack(machine))


def apply(hand: Hand, _resources: list[dict], state: dict[str, list[dict]], prepared: dict[str, Any] | None) -> list[dict]:
    """Replaces the stack, with the packages that are declared."""
    if prepared is None:
        return []
    return package_set.change(hand, prepared["packages"], state.get("debconf_answers", []), prepared["remove"], locked=True)
