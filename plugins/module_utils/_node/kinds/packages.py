# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Debian packages: installed, and at a declared version where one is declared."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node import dpkg, specs
from ansible_collections.onecc.cluster.plugins.module_utils._node.difference import difference
from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

FIELDS = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    # What its installation may remove; a transaction that would remove anything else is refused.
    "replaces": {"type": "list", "elements": "str", "default": []},
    **specs.WHERE,
}
PATTERNS = {"name": (r"[a-z0-9][a-z0-9+.-]+", "a Debian package name"), "version": specs.VERSION}


def compare(name: str, fields: dict[str, str], version: str | None) -> Iterator[dict]:
    """How a package, of which dpkg knows these fields, differs from being installed, at a version where one is declared."""
    state = dpkg.state(fields)
    if not dpkg.present(fields):
        yield difference(name, "installed", False, True, f"package {name} is not installed")
    elif state != "installed":
        yield difference(name, "installed", state, True, f"package {name} is {state}: its installation was interrupted")
    elif version and fields.get("Version") != version:
        yield difference(
            name, "version", fields.get("Version"), version,
            f"package {name} is version {fields.get('Version')}, declared is {version}",
        )


def check(machine: Machine, resources: list[dict]) -> Iterator[dict]:
    known = dpkg.packages(machine, {package["name"] for package in resources})
    for package in resources:
        yield from compare(package["name"], known.get(package["name"], {}), package.get("version"))
