# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Packages: installed, in one transaction."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change import package_set
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import package_sets


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Installs what differs."""
    names = {item["name"] for item in resources}
    replaced = {name for item in resources for name in item["replaces"]} - names
    packages = [{"name": item["name"], "version": item["version"], "hold": False, "family": None, "running": package_sets.NONE} for item in resources]
    return package_set.change(hand, packages, [], sorted(replaced), locked=False)
