# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Debian packages: installed, and at a declared version where one is declared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

STATUS = "/var/lib/dpkg/status"


def installed(machine: Machine, names: set[str]) -> dict[str, dict[str, str]]:
    """The fields Status and Version of those packages of `names` that dpkg knows.

    Reads dpkg's own file: milliseconds, where a module that opens the apt cache costs the node a second.
    """
    known = {}
    for paragraph in (machine.text(STATUS) or "").split("\n\n"):
        head, _newline, rest = paragraph.lstrip("\n").partition("\n")
        name = head[len("Package: "):]
        if name in names:
            fields = (line.partition(": ") for line in rest.split("\n"))
            found = {key: value for key, _colon, value in fields if key in ("Status", "Version")}
            # Of one package in two architectures, the installed one counts.
            if name not in known or found.get("Status", "").endswith(" installed"):
                known[name] = found
    return known


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    known = installed(machine, {package["name"] for package in resources})
    for package in resources:
        name, version = package["name"], package.get("version")
        fields = known.get(name, {})
        status = fields.get("Status", "unknown ok not-installed").split()[-1]
        if status in ("not-installed", "config-files"):
            yield difference(name, "installed", False, True, f"package {name} is not installed")
        elif status != "installed":
            yield difference(
                name, "installed", status, True, f"package {name} is {status}: its installation was interrupted"
            )
        elif version and fields.get("Version") != version:
            yield difference(
                name, "version", fields.get("Version"), version,
                f"package {name} is version {fields.get('Version')}, declared is {version}",
            )
