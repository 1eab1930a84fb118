# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Swap: turned off, now and for the next boot. What was swapped to stays as it is."""

from __future__ import annotations

from ansible_collections.onecc.cluster.plugins.module_utils._change.hand import Hand
from ansible_collections.onecc.cluster.plugins.module_utils._node import durable, fstab
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import swaps
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def apply(hand: Hand, _resources: list[dict], _state: dict[str, list[dict]], _prepared: None) -> list[dict]:
    """Comments out the lines of fstab, and turns off what is on. Fails where memory does not hold what is swapped out."""
    machine = Machine()
    before = machine.text(fstab.PATH, "surrogateescape") or ""
    lines = swaps.fstab_lines(machine)
    after = fstab.commented(before, lines, "declares no swap")
    if not hand.check_mode:
        if lines:
            durable.write(fstab.PATH, after, 0o644)
            # Else what it made of fstab at the boot would be started again.
            hand.run_command(["systemctl", "daemon-reload"])
        rc, stdout, stderr = hand.run_command(["swapoff", "--all"], environ_update={"LC_ALL": "C"})
        if rc:
            hand.fail_json(msg=f"swapoff failed: {' '.join((stderr or stdout).split())}. Free memory, or reboot the node")
    return [{"before_header": fstab.PATH, "after_header": fstab.PATH, "before": before, "after": after}] if lines else []
