# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Locked packages: at their declared versions, held, of equal versions where they belong together, and those that run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds.packages import compare
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# A version that stands for the newest one in the lists of packages that the node has.
NEWEST = "newest"
# A family that is none, and what a package says that need not run.
NONE = "none"


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


def families(packages: list[dict], versions: dict[str, str]) -> dict[str, dict[str, str]]:
    """By family, the upstream versions of those packages that have one in `versions`, and the first package of each."""
    found: dict[str, dict[str, str]] = {}
    for package in packages:
        if package["family"] != NONE and package["name"] in versions:
            found.setdefault(package["family"], {}).setdefault(dpkg.upstream(versions[package["name"]]), package["name"])
    return found


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    known = dpkg.packages(machine, [package["name"] for package in resources])
    candidates = newest(machine, [package["name"] for package in resources if package["version"] == NEWEST])
    sound: dict[str, str] = {}
    if entries := dpkg.journal(machine):
        yield difference("dpkg", "interrupted", len(entries), 0, "dpkg was interrupted, or is at work now")
    for package in resources:
        name, fields = package["name"], known.get(package["name"], {})
        version = candidates.get(name) if package["version"] == NEWEST else package["version"]
        if found := list(compare(name, fields, version)):
            yield from found
            continue
        if dpkg.held(fields) != package["hold"]:
            is_ = "not held" if package["hold"] else "held, and should not be"
            yield difference(name, "hold", not package["hold"], package["hold"], f"package {name} is {is_}")
        sound[name] = fields.get("Version", "")
        if package["running"] != NONE:
            kernel = package["running"] == "kernel"
            should = re.sub(r"linux-image-(unsigned-)?", "", name) if kernel else dpkg.upstream(sound[name])
            is_ = running(machine, package["running"])
            if is_ not in (None, should):
                yield difference(
                    name, "reboot", is_, should, f"reboot needed: {package['running']} {is_} runs, {should} is installed ({name})",
                    remedy="reboot",
                )
    for family, versions in families(resources, sound).items():
        if len(versions) > 1:
            (one, first), (other, second) = list(versions.items())[:2]
            yield difference(
                second, "family", other, one, f"{first} {one} and {second} {other} are installed, and of the family {family!r}: declare one "
                "version for both", remedy="manual",
            )
