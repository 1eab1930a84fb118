# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Locked packages: at their declared versions, held, of equal versions where they belong together, and those that run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, package_sets
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds.packages import compare
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = package_sets.LOCKED_PACKAGE
PATTERNS = {"name": package_sets.NAME, "version": package_sets.VERSION}


def complete(resources: list[dict], _state: dict[str, list[dict]]) -> None:
    """Says of each package to which family it belongs, and which of them has to run. Raises ValueError."""
    package_sets.complete(resources)
    if wrong := package_sets.mismatches(resources, package_sets.declared_versions(resources)):
        raise ValueError("; ".join(wrong))


def newest(machine: Machine, names: list[str]) -> dict[str, str]:
    """The versions that apt would install. Asked only where a package is declared so."""
    text = machine.run("apt-cache", "policy", "--", *names).stdout if names else ""
    return dict(re.findall(r"^(\S+):\n.*\n  Candidate: ([^\s(]+)$", text, re.MULTILINE))


def running(machine: Machine, what: str) -> str | None:
    """The version of the kernel, or of the NVIDIA driver, that runs; None where none does."""
    if what == "kernel":
        return machine.attribute("/proc/sys/kernel/osrelease")
    found = re.search(r"\s(\d+(\.\d+)+)\s", machine.text("/proc/driver/nvidia/version") or "")
    return found[1] if found else None


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    known = dpkg.packages(machine, [package["name"] for package in resources])
    candidates = newest(machine, [package["name"] for package in resources if package["version"] == package_sets.NEWEST])
    sound: dict[str, str] = {}
    if entries := dpkg.journal(machine):
        yield difference("dpkg", "interrupted", len(entries), 0, "dpkg was interrupted, or is at work now")
    for package in resources:
        name, fields = package["name"], known.get(package["name"], {})
        version = candidates.get(name) if package["version"] == package_sets.NEWEST else package["version"]
        if found := list(compare(name, fields, version)):
            yield from found
            continue
        if dpkg.held(fields) != package["hold"]:
            is_ = "not held" if package["hold"] else "held, and should not be"
            yield difference(name, "hold", not package["hold"], package["hold"], f"package {name} is {is_}")
        sound[name] = fields.get("Version", "")
        if package["running"] != package_sets.NONE:
            kernel = package["running"] == "kernel"
            should = re.sub(r"linux-image-(unsigned-)?", "", name) if kernel else dpkg.upstream(sound[name])
            is_ = running(machine, package["running"])
            if is_ not in (None, should):
                yield difference(
                    name, "reboot", is_, should, f"reboot needed: {package['running']} {is_} runs, {should} is installed ({name})",
                    remedy="reboot",
                )
    for family, versions in package_sets.families(resources, sound).items():
        if len(versions) > 1:
            (one, first), (other, second) = list(versions.items())[:2]
            yield difference(
                second, "family", other, one, f"{first} {one} and {second} {other} are installed, and of the family {family!r}: declare one "
                "version for both", remedy="manual",
            )
