# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Locked packages: all of them in one transaction, because only together do their versions match."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change import package_set
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand


def apply(hand: Hand, _resources: list[dict], state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Brings the whole set to its versions."""
    return package_set.change(hand, state["locked_packages"], state.get("debconf_answers", []), [], locked=True)
