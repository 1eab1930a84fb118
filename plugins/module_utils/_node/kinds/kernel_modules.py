# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel modules: loaded now, and at every boot."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def built_in(machine: Machine, name: str) -> bool:
    """Whether the running kernel has the module built in, which /sys/module does not always show."""
    builtin = machine.text(f"/lib/modules/{os.uname().release}/modules.builtin") or ""
    return any(line.endswith(f"/{name}.ko") for line in builtin.replace("-", "_").splitlines())


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for module in resources:
        name = module["name"]
        canonical = name.replace("-", "_")
        if not machine.exists(f"/sys/module/{canonical}") and not built_in(machine, canonical):
            yield difference(name, "loaded", False, True, f"kernel module {name} is not loaded")
        if machine.text(module["file"]) != module["content"]:
            yield difference(
                name, "at_boot", False, True, f"kernel module {name} is not loaded at boot by {module['file']}"
            )
