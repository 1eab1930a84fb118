# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Limits: for logins, services and users' services."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change import config_files
from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand


def prepare(hand: Hand, resources: list[dict], state: dict[str, list[dict]]) -> None:
    """Fails where they cannot be written."""
    config_files.refuse(hand, {"limits": resources}, state.get("directories", []))


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Writes what differs, and has systemd read it. Returns a diff of each file."""
    return config_files.change(hand, {"limits": resources})
