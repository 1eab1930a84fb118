# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""systemd units: enabled or not, active or not, each only where it is declared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# systemctl(1), is-enabled. A unit of the latter states can be neither enabled nor disabled: it is as declared either way. What is
# enabled in /run only (enabled-runtime) is not at the next boot.
ENABLED = ("enabled", "alias", "generated")
NEITHER = ("static", "indirect")


def show(machine: Machine, names: list[str]) -> list[dict[str, str]]:
    """Load, activity and enablement of units, in the order of their names, by one call."""
    asked = "--property=LoadState,ActiveState,UnitFileState"
    blocks = machine.run("systemctl", "show", asked, "--", *names).stdout.strip("\n").split("\n\n")
    found = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return found + [{}] * (len(names) - len(found))


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for unit, found in zip(resources, show(machine, [unit["name"] for unit in resources])):
        name = unit["name"]
        if found.get("LoadState") in ("not-found", None):
            yield difference(name, "exists", False, True, f"unit {name} does not exist")
            continue
        if found["LoadState"] == "masked" and (unit.get("enabled") or unit.get("active")):
            field = "enabled" if unit.get("enabled") else "active"
            message = f"unit {name} is masked, so nothing starts it, declared is {field}. If that may be undone, run `systemctl unmask {name}`"
            yield difference(name, field, False, True, message, refused=True)
            continue
        if found["LoadState"] not in ("loaded", "masked"):
            message = f"unit {name} cannot be read by systemd ({found['LoadState']}); `systemctl status {name}` says why"
            yield difference(name, "loaded", found["LoadState"], "loaded", message, refused=True)
            continue
        enabled = found.get("UnitFileState") in ENABLED
        if unit.get("enabled") is not None and enabled != unit["enabled"] and found.get("UnitFileState") not in NEITHER:
            should = "enabled" if unit["enabled"] else "disabled"
            is_ = found.get("UnitFileState") or "not enabled"
            yield difference(name, "enabled", enabled, unit["enabled"], f"unit {name} is {is_}, declared is {should}")
        active = found.get("ActiveState") in ("active", "reloading")
        if unit.get("active") is not None and active != unit["active"]:
            should = "active" if unit["active"] else "inactive"
            yield difference(
                name, "active", active, unit["active"], f"unit {name} is {found.get('ActiveState')}, declared is {should}"
            )
