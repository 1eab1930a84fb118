# Copyright: (c) 2026, The onecc.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection. Runs on nodes: Python 3.9 and its standard library only.
"""Files of systemd that have a say in a unit besides its own: what takes its place, and what is dropped in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ansible_collections.onecc.cluster.plugins.module_utils._node.machine import Machine

# systemd.unit(5), "UNIT FILE LOAD PATH", from the first to the last; ABOVE come before the folder of administrators.
ABOVE = ("/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early")
FOLDERS = (
    *ABOVE, "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached",
    "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/generator.late",
)


def in_place_of(machine: Machine, name: str) -> list[str]:
    """The files that are read in place of a unit in /etc/systemd/system."""
    return [f"{folder}/{name}" for folder in ABOVE if machine.text(f"{folder}/{name}") is not None]


def drop_ins(machine: Machine, name: str) -> list[str]:
    """The files that are read after a unit, in the order of reading: those of its own, of its type, and of its name up to a dash."""
    stem, _dot, type_ = name.rpartition(".")
    ends = [match.end() for match in re.finditer("-", stem)]
    chosen: dict[str, str] = {}
    for folder in [f"{name}.d", *(f"{stem[:end]}.{type_}.d" for end in reversed(ends)), f"{type_}.d"]:
        for place in FOLDERS:
            for file in machine.names(f"{place}/{folder}"):
                if file.endswith(".conf"):
                    chosen.setdefault(file, f"{place}/{folder}/{file}")
    return [chosen[file] for file in sorted(chosen)]


def settings(text: str) -> Iterator[tuple[str, str, str]]:
    """Section, name and value of each assignment. systemd.syntax(7): a backslash at the end of a line continues it."""
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif line and line[0] not in "#;":
            name, _equals, value = line.partition("=")
            yield section, name.strip(), value.strip()


def overriding(machine: Machine, name: str, own: str, section: str) -> list[tuple[str, str]]:
    """Files by which a unit with the text `own` is not what that says, and how: another value in its section, or a condition."""
    found = [(path, "is read in its place") for path in in_place_of(machine, name)]
    values = {key: value for where, key, value in settings(own) if where == section}
    for path in drop_ins(machine, name):
        for where, key, value in settings(machine.text(path) or ""):
            otherwise = where == section and key in values and value != values[key]
            if otherwise or where == "Unit" and re.match("Condition|Assert", key) and value:
                found.append((path, f"says {key}={value}"))
    return found


def wanted(machine: Machine, name: str) -> str | None:
    """The link by which a boot starts a unit, be it a unit of a package; None where there is none.

    Not what generators made: that goes with the line, of fstab mostly, that they made it of.
    """
    for place in (folder for folder in FOLDERS if "/generator" not in folder):
        for folder in machine.names(place):
            if folder.endswith((".wants", ".requires")) and os.path.lexists(machine.path(f"{place}/{folder}/{name}")):
                return f"{place}/{folder}/{name}"
    return None
