# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Units: enabled, and started or stopped."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand

# What is asked of systemd for each field. What is so already stays as it is.
VERBS = {"enabled": {True: "enable", False: "disable"}, "active": {True: "start", False: "stop"}}


def apply(hand: Hand, resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Enables, disables, starts and stops what differs."""
    asked = [(verbs[unit[field]], unit["name"]) for unit in resources for field, verbs in VERBS.items() if unit[field] is not None]
    if not hand.check_mode:
        command(hand, "daemon-reload")
        for verb, name in asked:
            command(hand, verb, "--", name)
    return [{"before": "".join(f"{verb} {name}\n" for verb, name in asked), "after": ""}]


def command(hand: Hand, *arguments: str) -> None:
    rc, stdout, stderr = hand.run_command(["systemctl", *arguments], environ_update={"LC_ALL": "C"})
    if rc:
        hand.fail_json(msg=f"systemctl {' '.join(arguments)} failed: {' '.join((stderr or stdout).split())}")
