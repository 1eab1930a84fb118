# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel modules: loaded now, and at every boot."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import modules
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for module in resources:
        name = module["name"]
        if not machine.exists(f"/sys/module/{name.replace('-', '_')}") and not modules.built_in(machine, name):
            if modules.listed(machine, name, "dep") is False:
                message = f"kernel module {name} does not exist for kernel {modules.release(machine)}. Install what has it, or do not declare it"
                yield difference(name, "exists", False, True, message)
            else:
                yield difference(name, "loaded", False, True, f"kernel module {name} is not loaded")
        if module.get("file") and machine.text(module["file"]) != module["content"]:
            yield difference(
                name, "at_boot", False, True, f"kernel module {name} is not loaded at boot by {module['file']}"
            )
