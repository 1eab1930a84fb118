# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""systemd units: enabled or not, active or not, each only where it is declared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True}, "enabled": {"type": "bool"}, "active": {"type": "bool"}, **specs.WHERE}
PATTERNS = {"name": specs.UNIT}

# systemctl(1), is-enabled. What is enabled at run time alone is not any more after a boot. A unit of the latter states can be
# neither enabled nor disabled: it is as declared either way.
ENABLED = ("enabled", "alias", "generated")
NEITHER = ("static", "indirect")
# systemd(1): what these say, `systemctl start` fails at.
BROKEN = ("bad-setting", "error")
ASKED = "LoadState,ActiveState,UnitFileState,FragmentPath,ConditionResult,ConditionTimestampMonotonic"


def show(machine: Machine, names: list[str]) -> list[dict[str, str]]:
    """What systemd says of units, in the order of their names, by one call."""
    blocks = machine.run("systemctl", "show", f"--property={ASKED}", "--", *names).stdout.strip("\n").split("\n\n")
    found = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return found + [{}] * (len(names) - len(found))


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for unit, found in zip(resources, show(machine, [unit["name"] for unit in resources])):
        yield from _check(unit, found)


def _check(unit: dict, found: dict[str, str]) -> Iterator[dict]:
    name, load, state = unit["name"], found.get("LoadState"), found.get("UnitFileState")
    wanted = unit.get("enabled") or unit.get("active")
    if load in ("not-found", None):
        yield difference(name, "exists", False, True, f"unit {name} does not exist")
        return
    if load == "masked" and wanted:
        should = "enabled" if unit.get("enabled") else "active"
        message = f"unit {name} is masked, declared is {should}. Somebody wanted it off: systemctl unmask {name}, or do not declare it"
        yield difference(name, "masked", True, False, message, remedy="manual")
        return
    if load in BROKEN and wanted:
        message = f"unit {name}: systemd cannot read {found.get('FragmentPath') or 'it'} ({load}). See systemctl status {name}"
        yield difference(name, "load", load, "loaded", message, remedy="manual")
        return
    enabled = state in ENABLED
    if unit.get("enabled") is not None and enabled != unit["enabled"] and state not in NEITHER:
        should = "enabled" if unit["enabled"] else "disabled"
        yield difference(name, "enabled", enabled, unit["enabled"], f"unit {name} is {state or 'not enabled'}, declared is {should}")
    active = found.get("ActiveState") in ("active", "reloading")
    if unit.get("active") is not None and active != unit["active"]:
        should = "active" if unit["active"] else "inactive"
        # systemd looks at conditions when a unit is started, and then says that the start went well.
        unmet = should == "active" and found.get("ConditionResult") == "no" and found.get("ConditionTimestampMonotonic", "0") != "0"
        why = f": one of its conditions is not met, see systemctl status {name}" if unmet else ""
        message = f"unit {name} is {found.get('ActiveState')}, declared is {should}{why}"
        yield difference(name, "active", active, unit["active"], message, remedy="manual" if unmet else "apply")
