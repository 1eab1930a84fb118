# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Swap: none, neither now nor after a boot. A job that swaps holds up all nodes that wait for it."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import fstab
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True, "choices": ["none"]}}

UNITS = "/etc/systemd/system"


def active(machine: Machine) -> list[str]:
    """Files and devices that are swapped to, as proc(5) lists them below a line of titles. A space in a name is \\040."""
    return [line.split()[0] for line in (machine.text("/proc/swaps") or "").splitlines()[1:] if line.split()]


def fstab_lines(machine: Machine) -> list[str]:
    """Those that systemd-fstab-generator(8) makes units of at each boot."""
    return [line for line in fstab.entries(machine.text(fstab.PATH, "surrogateescape") or "") if line.split()[2:3] == ["swap"]]


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for swap in resources:
        name = swap["name"]
        if found := active(machine):
            yield difference(name, "active", found, [], f"swap is on ({', '.join(found)}), declared is none")
        if lines := fstab_lines(machine):
            sources = ", ".join(line.split()[0] for line in lines)
            yield difference(name, "fstab", lines, [], f"swap is on after the next boot, by {fstab.PATH}: {sources}")
        if units := [unit for unit in machine.names(UNITS) if unit.endswith(".swap")]:
            message = f"swap is on after the next boot, by {', '.join(units)} in {UNITS}. Disable and remove what put it there"
            yield difference(name, "units", units, [], message, remedy="manual")


def files(_machine: Machine, _swap: dict, fields: set[str]) -> list[str]:
    return [fstab.PATH] if "fstab" in fields else []
