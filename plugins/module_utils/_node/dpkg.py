# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""What dpkg knows of a node's packages, read from its own files: milliseconds, where opening apt's cache costs a second."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

STATUS = "/var/lib/dpkg/status"
# What dpkg has done and not yet put into the file above, a paragraph a file; others than such numbers are unfinished.
JOURNAL = "/var/lib/dpkg/updates"
# The node's own architecture and the foreign ones, a line each. Without the file there are no foreign ones.
ARCHITECTURES = "/var/lib/dpkg/arch"
FIELDS = ("Status", "Architecture", "Version")


def journal(machine: Machine) -> list[str]:
    """The entries of dpkg's journal. Where there are any, dpkg is at work or was interrupted, and apt refuses to do anything."""
    return [name for name in machine.names(JOURNAL) if name.isdecimal()]


def packages(machine: Machine, names: Iterable[str] | None = None) -> dict[str, dict[str, str]]:
    """FIELDS of each package that dpkg knows, or of `names`. One of a foreign architecture is called name:architecture."""
    wanted = None if names is None else {name.partition(":")[0] for name in names}
    native = (machine.text(ARCHITECTURES) or "").partition("\n")[0]
    texts = [machine.text(STATUS) or "", *(machine.text(f"{JOURNAL}/{name}") or "" for name in journal(machine))]
    known = {}
    for paragraph in "\n\n".join(texts).split("\n\n"):
        head, _newline, rest = paragraph.lstrip("\n").partition("\n")
        name = head[len("Package: "):]
        if name and (wanted is None or name in wanted):
            fields = (line.partition(": ") for line in rest.split("\n"))
            found = {key: value for key, _colon, value in fields if key in FIELDS}
            own = found.get("Architecture") in (native, "all") or not native
            known[name if own else f"{name}:{found.get('Architecture')}"] = found
    return known


def state(fields: dict[str, str]) -> str:
    """The last word of the field Status."""
    return fields.get("Status", "not-installed").split()[-1]


def present(fields: dict[str, str]) -> bool:
    """Whether a package is there, be it in part."""
    return state(fields) not in ("not-installed", "config-files")


def installed(machine: Machine, names: Iterable[str] | None = None) -> dict[str, dict[str, str]]:
    """FIELDS of each package, or of those of `names`, that is there whole."""
    return {name: fields for name, fields in packages(machine, names).items() if state(fields) == "installed"}


def held(fields: dict[str, str]) -> bool:
    return fields.get("Status", "").startswith("hold ")


def upstream(version: str) -> str:
    """A version without its epoch and without what packages add to it."""
    return re.sub(r"^\d+:|-[^-]*$", "", version)
