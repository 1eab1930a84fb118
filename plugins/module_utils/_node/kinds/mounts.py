# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Mounts: a systemd mount unit, enabled, and mounted with the declared options, owner, group and mode."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import mount_units, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {**specs.MOUNT, "array": {"type": "str"}}
PATTERNS = {"path": specs.PATH, "mode": specs.MODE}

invalid = mount_units.invalid


def complete(resources: list[dict], state: dict[str, list[dict]]) -> None:
    """Puts the declaration of an array into the mount that rests on it, for the node to resolve. Raises ValueError."""
    arrays = {array["name"]: array for array in state.get("arrays", [])}
    for mount in resources:
        if (mount["array"] is None) == (mount["source"] is None):
            raise ValueError(f"{mount['path']}: it needs either array or source")
        if mount["array"] is not None and mount["array"] not in arrays:
            raise ValueError(f"{mount['path']}: there is no array {mount['array']!r} in this declaration")
        mount["array"] = arrays.get(mount["array"])


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for mount in resources:
        yield from mount_units.check(machine, mount)


def files(machine: Machine, mount: dict, fields: set[str]) -> list[str]:
    """What is written for a mount. Where something is mounted, the mount point itself is not looked at: that could take for ever."""
    found = [f"{mount_units.UNITS}/{mount_units.unit_name(mount['path'])}"] if fields & {"unit", "enabled", "mounted", "options"} else []
    found += ["/etc/fstab"] if "fstab" in fields else []
    given = any(mount.get(field) for field in ("owner", "group", "mode"))
    return found + ([mount["path"]] if fields & {"mounted", "exists"} and (given or not machine.exists(mount["path"])) else [])
