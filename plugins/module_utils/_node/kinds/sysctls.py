# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel parameters: their value now, and at every boot."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def proc_path(name: str) -> str:
    """The file of a parameter. As sysctl(8) has it, the first separator decides which one separates."""
    swap = str.maketrans("./", "/.")
    separators = [char for char in name if char in "./"]
    return "/proc/sys/" + (name.translate(swap) if separators and separators[0] == "." else name)


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for sysctl in resources:
        name, should = sysctl["name"], sysctl["value"].split()
        value = machine.text(proc_path(name))
        if value is None:
            yield difference(name, "exists", False, True, f"sysctl {name} does not exist in this kernel")
        elif value.split() != should:
            is_, should_ = " ".join(value.split()), " ".join(should)
            yield difference(name, "value", is_, should_, f"sysctl {name} is {is_}, declared is {should_}")
        if machine.text(sysctl["file"]) != sysctl["content"]:
            yield difference(name, "at_boot", False, True, f"sysctl {name} is not set at boot by {sysctl['file']}")
