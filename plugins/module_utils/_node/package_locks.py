# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""A node's exact set of packages, and what runs there, as a lock: small, sorted, a line a package.

Two nodes that are alike have the same lock, to the byte: no names, no addresses, no time.
"""

from __future__ import annotations

import fnmatch
import json
import re

from ansible_collections.onecc.cluster.plugins.module_utils._node import apt, dpkg, package_sets, preflight
from ansible_collections.onecc.cluster.plugins.module_utils._node.kinds import locked_packages
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

SCHEMA = 1

# Whose packages are taken without a choice: the Origin of a Release file, or the host of a source.
ORIGINS = re.compile(r"lambda|nvidia|doca|mellanox|cuda", re.IGNORECASE)
# The kernel's packages: of the running version those that bear it in their names, and those that bring newer ones.
KERNEL = re.compile(r"linux-(image|headers|modules|modules-extra|tools)(-unsigned)?-(?P<release>\d+\.\d+\.\d+-\d+)(-.*)?|"
                    r"linux(-image|-headers|-tools)?-(generic|virtual|nvidia|lowlatency|aws|azure|gcp|kvm|amd64)(-.*)?")


class Source:
    """Where apt knows a version from: the Origin of the Release file, and the host."""

    def __init__(self) -> None:
        self.origin = ""
        self.host = ""

    @property
    def chosen(self) -> bool:
        return bool(ORIGINS.search(self.origin) or ORIGINS.search(self.host))


def sources(policy: str) -> dict[str, Source]:
    """What `apt-cache policy` says of each list of packages, by the words by which a version names it."""
    found: dict[str, Source] = {}
    source = Source()
    for line in policy.splitlines():
        if head := re.fullmatch(r" *-?\d+ (\S.*)", line):
            source = found[head[1]] = Source()
        elif release := re.fullmatch(r" +release (?:.*,)?o=(.*?)(?:,[a-z]=.*)?", line):
            source.origin = release[1]
        elif host := re.fullmatch(r" +origin (.*)", line):
            source.host = host[1]
    return found


def of_running_kernel(name: str, release: str) -> bool:
    found = KERNEL.fullmatch(name)
    return bool(found) and (found["release"] is None or f"{release}-".startswith(f"{found['release']}-"))


def selected(name: str, version: str, offered: list[Source], release: str, patterns: list[str]) -> bool:
    """Whether an installed package is of the lock: by patterns, or by who offers it, in whatever version."""
    if patterns:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return any(source.chosen for source in offered) or bool(re.fullmatch(package_sets.LAMBDA_VERSION, version)) or of_running_kernel(name, release)


def ask(machine: Machine, *argv: str) -> str:
    """What a program says; nothing where it is missing or fails."""
    done = machine.run(*argv)
    return done.stdout.strip() if done.rc == 0 else ""


def packages(machine: Machine, patterns: list[str]) -> list[dict]:
    """The installed packages of the lock."""
    installed = dpkg.installed(machine)
    known = sources(ask(machine, "apt-cache", "policy"))
    offers = apt.offers(ask(machine, "apt-cache", "policy", "--", *installed))
    release = machine.attribute("/proc/sys/kernel/osrelease")
    found = []
    for name, fields in sorted(installed.items()):
        version = fields["Version"]
        offered = {of: [known[word] for word in words if word in known] for of, words in offers.get(name, apt.Offer()).versions.items()}
        if selected(name, version, sum(offered.values(), []), release, patterns):
            origin = next((source.origin or source.host for source in offered.get(version, [])), None)
            found.append({
                "name": name, "version": version, "architecture": fields.get("Architecture"), "origin": origin, "hold": dpkg.held(fields),
            })
    return found


def firmware(machine: Machine) -> list[dict]:
    """Device, board and firmware of each HCA."""
    folder = "/sys/class/infiniband"
    return [
        {"device": name, "board": machine.attribute(f"{folder}/{name}/board_id"), "version": machine.attribute(f"{folder}/{name}/fw_ver")}
        for name in machine.names(folder)
    ]


def read(machine: Machine, patterns: list[str]) -> dict:
    """The lock of a node."""
    return {
        "schema": SCHEMA,
        "system": " ".join(preflight.distribution(machine)).strip(),
        "architecture": ask(machine, "dpkg", "--print-architecture"),
        "kernel": machine.attribute("/proc/sys/kernel/osrelease"),
        "driver": locked_packages.running(machine, "driver"),
        "ofed": ask(machine, "ofed_info", "-s").rstrip(":") or None,
        "firmware": firmware(machine),
        "packages": packages(machine, patterns),
    }


def text(lock: dict) -> str:
    """The lock as YAML, of which JSON is a part: texts in quotes, so that a version 1.10 stays one."""
    lines = ["# Written by onecc.cluster.package_lock. A set can be declared from it, for instance as lambda_stack_lock."]
    for key, value in lock.items():
        if isinstance(value, list):
            lines.append(f"{key}:" if value else f"{key}: []")
            lines += [f"  - {json.dumps(item, ensure_ascii=False)}" for item in value]
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
