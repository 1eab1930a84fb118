# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Answers to questions that packages ask when they are installed."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change import package_set
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Gives the answers that differ."""
    return package_set.change(hand, [], resources, [], locked=True)
