# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel modules: which there are."""

from __future__ import annotations

import re

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def release(machine: Machine) -> str:
    """The kernel that runs."""
    return machine.attribute("/proc/sys/kernel/osrelease")


def listed(machine: Machine, name: str, file: str) -> bool | None:
    """Whether a list of depmod(8) has a module; None where there is no such list."""
    text = machine.text(f"/lib/modules/{release(machine)}/modules.{file}")
    return None if text is None else bool(re.search(rf"/{name.replace('-', '_')}\.ko", text.replace("-", "_")))


def built_in(machine: Machine, name: str) -> bool:
    """Whether the kernel has the module built in, which /sys/module does not always show."""
    return bool(listed(machine, name, "builtin"))


def exists(machine: Machine, name: str) -> bool:
    """Whether there is a file of the module, for this kernel."""
    return bool(listed(machine, name, "dep"))
