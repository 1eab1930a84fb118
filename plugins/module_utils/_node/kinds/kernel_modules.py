# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel modules: loaded now, and at every boot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import kernel, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {
    "name": {"type": "str", "required": True},
    # The unit that loads it at boot, where order matters; without it, systemd-modules-load does.
    "unit": {"type": "str"},
    **specs.WHERE,
}
PATTERNS = {"name": (r"[A-Za-z0-9_-]+", "a kernel module's name"), "unit": specs.UNIT}

# modprobe.d(5), from the first to the last: of files of one name only the first counts.
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")


def complete(resources: list[dict], _state: dict[str, list[dict]]) -> None:
    """The file by which a module is loaded at boot, where no unit does it."""
    for module in (item for item in resources if not item["unit"]):
        module["file"] = f"/etc/modules-load.d/onecc-{module['name']}.conf"
        module["content"] = f"{module['name']}\n"


def forbidden(machine: Machine, name: str, listed: bool) -> str | None:
    """What keeps a module from being loaded at a boot, with the file that says so.

    systemd-modules-load(8), which loads what is `listed` in its files, heeds a blacklist; modprobe of a name does not.
    """
    name = name.replace("-", "_")
    for word in (machine.text("/proc/cmdline") or "").split():
        key, _equals, value = word.partition("=")
        if key in ("module_blacklist", *(["modprobe.blacklist"] if listed else [])) and name in value.replace("-", "_").split(","):
            return f"the kernel's command line has {word}"
    files: dict[str, str] = {}
    for folder in FOLDERS:
        for file in machine.names(folder):
            files.setdefault(file, f"{folder}/{file}")
    for path in (path for file, path in sorted(files.items()) if file.endswith(".conf")):
        for line in (machine.text(path) or "").replace("\\\n", " ").splitlines():
            words = line.split()
            if len(words) > 1 and words[1].replace("-", "_") == name and (
                words[0] == "blacklist" and listed or words[0] == "install" and re.fullmatch(r"(/usr)?/bin/(true|false)|:", (words[2:] or [""])[0])
            ):
                return f"{path} has {line.strip()!r}"
    return None


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    for module in resources:
        name = module["name"]
        if not machine.exists(f"/sys/module/{name.replace('-', '_')}") and not kernel.built_in(machine, name):
            if kernel.listed(machine, name, "dep") is False:
                message = f"kernel module {name} does not exist for kernel {kernel.release(machine)}. Install what has it, or do not declare it"
                yield difference(name, "exists", False, True, message)
            else:
                yield difference(name, "loaded", False, True, f"kernel module {name} is not loaded")
        if not kernel.built_in(machine, name) and (why := forbidden(machine, name, bool(module.get("file")))):
            message = f"kernel module {name} is not loaded at boot: {why}. Remove that, or do not declare the module"
            yield difference(name, "forbidden", True, False, message, remedy="manual")
        if module.get("file") and machine.text(module["file"]) != module["content"]:
            yield difference(
                name, "at_boot", False, True, f"kernel module {name} is not loaded at boot by {module['file']}"
            )
