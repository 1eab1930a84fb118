# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel parameters: now, and at every boot."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change import config_files
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import sysctls
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def prepare(hand: Hand, resources: list[dict], state: dict[str, list[dict]]) -> None:
    """Fails where they cannot be written."""
    config_files.refuse(hand, {"sysctls": resources}, state.get("directories", []))


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Writes what differs, and sets it. Returns a diff of each file."""
    return config_files.change(hand, {"sysctls": takable(resources)})


def takable(resources: list[dict]) -> list[dict]:
    """Those that this kernel has and whose value it takes. The others stay a difference, and keep none of these from being set."""
    refused = {
        item["name"] for item in sysctls.check(Machine(), resources) if item["remedy"] == "manual" and item["field"] in ("exists", "value")
    }
    return [item for item in resources if item["name"] not in refused]
