# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Kernel parameters: their value now, and at every boot, by all files that set any."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import sysctl_files
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}}
PATTERNS = {
    "name": (r"[A-Za-z0-9_-]+([./][A-Za-z0-9_:-]+)+", "a sysctl's name, such as vm.swappiness"),
    "value": (r"[^\n]+", "one line"),
}

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)")
# How strtoul(3) with base 0 reads it, as the kernel does (_parse_integer_fixup_radix of Linux' lib/kstrtox.c).
OTHER_BASE = re.compile(r"(-?)(?:0[xX]([0-9a-fA-F]+)|0([0-7]+))")
# Whose value may be a number by chance, or is a list of numbers that may be longer or shorter.
TEXTS = re.compile(r"kernel/(hostname|domainname|core_pattern|modprobe|poweroff_cmd|hotplug)|.*(_reserved_ports|cpumask|cpu_bitmap|_mask|_key)")


def complete(resources: list[dict], state: dict[str, list[dict]]) -> None:
    """The file that sets a parameter at boot, and the modules of which one may bring it."""
    for sysctl in resources:
        # 90: after the distribution's own, before an administrator's 99.
        sysctl["file"] = f"/etc/sysctl.d/90-onecc-{sysctl['name'].replace('/', '.')}.conf"
        sysctl["content"] = f"{sysctl['name']} = {sysctl['value']}\n"
        sysctl["modules"] = [item["name"] for item in state.get("kernel_modules", [])]


def proc_path(name: str) -> str:
    """The file of a parameter."""
    return f"/proc/sys/{sysctl_files.key(name)}"


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    settings = sysctl_files.declared(machine, {item["file"]: item["content"] for item in resources})
    for sysctl in resources:
        yield from _now(machine, sysctl)
        yield from _at_boot(machine, sysctl, settings)


def _now(machine: Machine, sysctl: dict) -> Iterator[dict]:
    name, should = sysctl["name"], sysctl["value"].split()
    value = machine.text(proc_path(name))
    if value is None:
        yield _missing(machine, sysctl)
    elif wrong := _untakable(name, value.split(), should):
        yield difference(name, "value", " ".join(value.split()), " ".join(should), f"sysctl {name}: {wrong}", remedy="manual")
    elif value.split() != should:
        is_, should_ = " ".join(value.split()), " ".join(should)
        yield difference(name, "value", is_, should_, f"sysctl {name} is {is_}, declared is {should_}")


def _missing(machine: Machine, sysctl: dict) -> dict:
    """A module that is declared too may bring it once it is loaded; else nothing will."""
    name = sysctl["name"]
    to_load = [item for item in sysctl.get("modules") or [] if not machine.exists(f"/sys/module/{item.replace('-', '_')}")]
    message = f"sysctl {name} does not exist in this kernel"
    if to_load:
        return difference(name, "exists", False, True, message)
    advice = "Do not declare it for this node, or declare the kernel module that brings it"
    return difference(name, "exists", False, True, f"{message}. {advice}", remedy="manual")


def _untakable(name: str, is_: list[str], should: list[str]) -> str | None:
    """Why the kernel will never show this value. What it has now tells what it takes: so many whole numbers, in base ten."""
    if not is_ or TEXTS.fullmatch(sysctl_files.key(name)) or not all(NUMBER.fullmatch(word) for word in is_):
        return None
    for word in should:
        if found := OTHER_BASE.fullmatch(word):
            value = int(found[2], 16) if found[2] else int(found[3], 8)
            return f"the kernel writes {word} as {found[1]}{value}. Declare that"
        if not NUMBER.fullmatch(word):
            return f"{word!r} is declared, and the kernel takes whole numbers there, such as {is_[0]}"
    if len(should) != len(is_):
        return f"{len(should)} values are declared, and the kernel has {len(is_)} there: {' '.join(is_)}"
    return None


def _at_boot(machine: Machine, sysctl: dict, settings: list[sysctl_files.Assignment]) -> Iterator[dict]:
    """Whether our file is there, and who has the last word once it is."""
    name, path = sysctl["name"], sysctl["file"]
    if machine.text(path) != sysctl["content"]:
        yield difference(name, "at_boot", False, True, f"sysctl {name} is not set at boot by {path}")
    last = sysctl_files.at_boot(settings, name)
    if last is None or last.path == path:
        return
    if last.value is None:
        says, is_ = "takes it out of what is set", None
    elif last.key == sysctl_files.key(name):
        says, is_ = f"sets {last.value}", last.value
    else:
        is_ = f"{last.key.replace('/', '.')} = {last.value}"
        says = f"sets {is_}, and the kernel keeps only one of the two"
    if is_ is None or is_.split() != sysctl["value"].split():
        yield difference(
            name, "overridden", is_, sysctl["value"],
            f"sysctl {name}: at the next boot {last.place} {says}; declared is {sysctl['value']}. Take that line away, or declare "
            "what it says", remedy="manual",
        )
